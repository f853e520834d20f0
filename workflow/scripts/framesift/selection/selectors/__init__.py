"""Selectors: which of a video's candidate frames does the answerer see?

A selector is a function of one question: what is known of the candidates and a budget go in, positions among the
candidates come out. `choose` wraps every selector in the rules they all share; `select` does so in one call.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from framesift.core.components import Component, build, own, plugged


def _nothing() -> np.ndarray:
    return np.empty(0)


@dataclass(frozen=True)
class Candidates:
    """The candidate frames of one question.

    Attributes
    ----------
    times : float64 array, shape (n,)
        Seconds, ascending.
    scores : float64 array, shape (n,), or empty
        Larger is better; empty for a selector that asks for no scores.
    embeddings : float64 array, shape (n, dimensions), or empty
        What an encoder sees in each frame; unit vectors from the encoders of this library.
    query : float64 array, shape (dimensions,), or empty
        The question's embedding by the same encoder.
    question : str
        Its text.
    spans : tuple of (float, float)
        First and last second of each annotated moment of evidence; empty for a selector that asks for none.

    Examples
    --------
    >>> candidates = Candidates(times=np.arange(4) / 2, scores=np.array([0.1, 0.9, 0.4, 0.2]))
    >>> len(candidates), candidates.per_second
    (4, 2.0)
    """

    times: np.ndarray
    scores: np.ndarray = field(default_factory=_nothing)
    embeddings: np.ndarray = field(default_factory=_nothing)
    query: np.ndarray = field(default_factory=_nothing)
    question: str = ""
    spans: tuple[tuple[float, float], ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    @property
    def per_second(self) -> float:
        """How many candidates there are a second, on average."""
        return (len(self) - 1) / float(self.times[-1] - self.times[0]) if len(self) > 1 else 1.0


@dataclass(frozen=True)
class Choice:
    """Positions among the candidates, and what is to be told of how they were chosen."""

    positions: np.ndarray
    note: str | None = None


class SelectionSource(Component):
    """Whatever selections can be taken from: a selector, or a file with a selection."""

    #: Whether `select` reads scores. A selector without is run once, whatever the scorer.
    needs_scores: ClassVar[bool] = True
    #: Whether it reads embeddings of the frames.
    needs_embeddings: ClassVar[bool] = False
    #: Whether it reads them where there are some: where the table names an encoder.
    takes_embeddings: ClassVar[bool] = False
    #: Whether it reads the embedding of the question.
    needs_query: ClassVar[bool] = False
    #: Whether it reads the annotated evidence. Such a selector is an oracle, and tables mark it as one.
    needs_evidence: ClassVar[bool] = False
    #: Whether `select` draws from the generator it is given. Only then does the seed belong to its spec.
    random: ClassVar[bool] = False
    #: Where the method was published, in a word.
    source: ClassVar[str] = ""

    @property
    def fair(self) -> bool:
        """Whether it gives exactly min(budget, candidates) distinct frames."""
        return getattr(self, "variant", "fair") != "released"


class Selector(SelectionSource):
    """Contract of a selector: `select`, and what it needs.

    A selector that reproduces a published one has a field ``variant``: ``fair`` keeps to the protocol (exactly
    min(budget, candidates) distinct frames, in time order), ``released`` does what the released code does, with its
    flaws: fewer frames, frames twice, an order of its own.
    """

    @abstractmethod
    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray | Choice:
        """Choose frames.

        Parameters
        ----------
        candidates : Candidates
            With all that it needs, and finite. As a fair selector, it is asked only where there are more candidates
            than `budget`, and where the scores are not all equal unless it has embeddings to go by.
        budget : int
            Number of frames, at least 1.
        rng : numpy Generator
            The question's own, seeded from the configured seed and the question id.

        Returns
        -------
        int array, or Choice
            Positions among the candidates. Of a fair selector exactly `budget`, distinct, in any order.
        """


def methods() -> list[str]:
    """The kinds of selectors that choose, plug-ins included; those that only read a file are not among them."""
    return sorted(
        cls.model_fields["kind"].default
        for cls in (*own("selectors"), *plugged("selectors"))
        if issubclass(cls, Selector)
    )


#: The field of selectors that have a released form.
Variant = Literal["fair", "released"]


class ScoreError(ValueError):
    """What is known of a question's candidates cannot be used to choose."""


def choose(selector: Selector, candidates: Candidates, budget: int, rng: np.random.Generator) -> Choice:
    """Apply a selector; under the fair protocol, min(budget, candidates) distinct frames in time order.

    Two rules stand before a fair selector. A video with no more candidates than the budget is taken whole. Scores that
    are all equal prefer nothing, so where nothing else is known the frames are spread uniformly; the choice says so in
    its note. A released form is asked as it is, and what it gives is kept, in its order.

    Raises
    ------
    ScoreError
        For scores or embeddings that are missing, NaN or infinite, and times that do not ascend.
    ValueError
        For a budget below 1.

    Examples
    --------
    >>> from framesift.selection.selectors.topk import TopK
    >>> same = Candidates(times=np.arange(5.0), scores=np.full(5, 0.5))
    >>> choose(TopK(), same, budget=3, rng=np.random.default_rng(0))
    Choice(positions=array([0, 2, 4]), note='all scores are equal: uniform frames')
    """
    n = len(candidates)
    if budget < 1:
        raise ValueError(f"a budget is at least one frame, not {budget}")
    if selector.fair and n <= budget:
        return Choice(np.arange(n))
    _check(selector, candidates)
    if not selector.fair:
        given = _choice(selector.select(candidates, budget, rng))
        if len(given.positions) and (given.positions.min() < 0 or given.positions.max() >= n):
            raise AssertionError(f"selector {selector.kind!r} left the candidates: {given.positions.tolist()} of {n}")
        return given
    if selector.needs_scores and not selector.needs_embeddings and np.ptp(candidates.scores) == 0:
        return Choice(spread(n, budget), note="all scores are equal: uniform frames")
    given = _choice(selector.select(candidates, budget, rng))
    positions = np.sort(given.positions)
    if len(positions) != budget or len(np.unique(positions)) != budget or positions[0] < 0 or positions[-1] >= n:
        raise AssertionError(f"selector {selector.kind!r} broke its contract: {positions.tolist()} of {n}")
    return Choice(positions, given.note)


def select(
    method: str,
    *,
    scores: Any = None,
    timestamps: Any = None,
    embeddings: Any = None,
    query: Any = None,
    question: str = "",
    fps: float = 1.0,
    n: int | None = None,
    budget: int,
    seed: int = 0,
    **params: Any,
) -> np.ndarray:
    """Choose frames of one video by the name of a method.

    Parameters
    ----------
    method : str
        The `kind` of a selector, e.g. ``aks``.
    scores : array-like, shape (n,), optional
    timestamps : array-like, shape (n,), optional
        Seconds; by default candidates are ``1 / fps`` seconds apart.
    embeddings : array-like, shape (n, dimensions), optional
    query : array-like, shape (dimensions,), optional
    question : str, optional
        Its text, for methods that look at it.
    fps : float
        Candidates a second, where there are no timestamps.
    n : int, optional
        Number of candidates, where no timestamps, scores or embeddings tell it.
    budget : int
        Number of frames.
    seed : int
        For methods that draw random numbers.
    **params
        Parameters of the method.

    Returns
    -------
    int array
        Positions among the candidates.

    Raises
    ------
    InputError
        For an unknown method or parameter.
    ScoreError
        For input that the method needs and that is missing or unusable, or of another shape.

    Examples
    --------
    >>> select("topk", scores=[0.1, 0.9, 0.4, 0.2], budget=2).tolist()
    [1, 2]
    >>> select("uniform", timestamps=range(10), budget=4).tolist()
    [0, 3, 6, 9]
    >>> select("uniform", n=12, budget=4).tolist()
    [0, 4, 7, 11]
    """
    times, values, frames, text = (
        np.asarray(given if given is not None else (), float) for given in (timestamps, scores, embeddings, query)
    )
    if timestamps is None:
        known = [count for count in (n, np.size(values), len(frames)) if count]
        times = np.arange(known[0] if known else 0) / fps
    if all(given is None for given in (timestamps, scores, embeddings, n)):
        raise ScoreError("there are no candidates: give scores, timestamps, embeddings, or their number n")
    selector, candidates = (
        build("selectors", {"kind": method, **params}),
        Candidates(times, values, frames, text, question),
    )
    if len(times):
        _check(selector, candidates)  # `choose` takes a short video whole, whatever its scores are
    return choose(selector, candidates, budget, np.random.default_rng(seed)).positions


def _choice(given: np.ndarray | Choice) -> Choice:
    choice = given if isinstance(given, Choice) else Choice(given)
    return Choice(np.asarray(choice.positions, dtype=int), choice.note)


def _check(selector: Selector, candidates: Candidates) -> None:
    n = len(candidates)
    if candidates.times.ndim != 1 or not np.all(np.diff(candidates.times) >= 0):
        raise ScoreError("times are no ascending list")
    if candidates.scores.ndim != 1:
        raise ScoreError(f"scores are an array of shape {candidates.scores.shape}, not a list")
    needed = {
        "scores": (selector.needs_scores, candidates.scores, n),
        "embeddings": (selector.needs_embeddings, candidates.embeddings, n),
        "values in the question's embedding": (
            selector.needs_query,
            candidates.query,
            candidates.embeddings.shape[1] if candidates.embeddings.ndim == 2 else 0,
        ),
    }
    for what, (needs, values, expected) in needed.items():
        if not needs:
            continue
        if len(values) != expected or not expected:
            raise ScoreError(
                f"selector {selector.kind!r} needs {expected or 'some'} {what}, and there are {len(values)}"
            )
        if bad := int(np.count_nonzero(~np.isfinite(values))):
            raise ScoreError(f"{bad} of {np.size(values)} {what} are NaN or infinite")


def spread(n: int, budget: int) -> np.ndarray:
    """`budget` of `n` positions at equal distances, both ends included (budget <= n).

    Examples
    --------
    >>> spread(10, 4)
    array([0, 3, 6, 9])
    """
    return np.linspace(0, n - 1, budget).round().astype(int) if budget > 1 else np.array([(n - 1) // 2])


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Positions of the `k` largest scores, best first; of equal ones the earlier.

    Examples
    --------
    >>> best(np.array([0.1, 0.9, 0.4, 0.9]), 3)
    array([1, 3, 2])
    """
    return np.argsort(-scores, kind="stable")[:k]


def completed(positions: np.ndarray, candidates: Candidates, budget: int) -> np.ndarray:
    """Distinct positions made exactly `budget`: the rule by which fair forms fill and trim.

    Frames given twice count once. Too few: the best of the others by score are added (without scores, each time the one
    farthest in time from all that are chosen; of equals the earlier). Too many: the first `budget` are kept, so what a
    method gives first is what it holds to be best.

    Examples
    --------
    >>> candidates = Candidates(times=np.arange(5.0), scores=np.array([0.1, 0.9, 0.4, 0.2, 0.8]))
    >>> completed(np.array([2, 2]), candidates, budget=3)
    array([2, 1, 4])
    """
    kept = list(dict.fromkeys(int(i) for i in positions))[:budget]
    if len(kept) == budget:
        return np.array(kept)
    others = np.setdiff1d(np.arange(len(candidates)), kept)
    if len(candidates.scores):
        return np.array([*kept, *others[best(candidates.scores[others], budget - len(kept))]])
    if not kept:
        return spread(len(candidates), budget)
    distance = np.min(np.abs(candidates.times[:, None] - candidates.times[kept]), axis=1)
    distance[kept] = -1
    while len(kept) < budget:
        kept.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.abs(candidates.times - candidates.times[kept[-1]]))
        distance[kept] = -1
    return np.array(kept)


def question_rng(seed: int, question_id: str) -> np.random.Generator:
    """The generator of one question, the same whatever other questions a run holds.

    Examples
    --------
    >>> [question_rng(0, name).integers(100).item() for name in ("q1", "q2", "q1")]
    [60, 25, 60]
    """
    digest = hashlib.sha256(f"{seed}/{question_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
