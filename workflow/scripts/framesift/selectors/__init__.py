"""Selectors: which of a video's candidate frames does the answerer see?

A selector is a function of one question: scores, times and budget go in, positions among the candidates come out.
`choose` wraps every selector in the rules they all share.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from framesift.components import Component


@dataclass(frozen=True)
class Candidates:
    """The candidate frames of one question.

    Attributes
    ----------
    times : float64 array, shape (n,)
        Seconds, ascending.
    scores : float64 array, shape (n,), or empty
        Larger is better; empty for a selector that asks for no scores.
    """

    times: np.ndarray
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.times)


class Selector(Component):
    """Contract of a selector: `needs_scores`, `random`, `select`."""

    #: Whether `select` reads scores. A selector without is run once, whatever the scorer.
    needs_scores: ClassVar[bool] = True
    #: Whether `select` draws from the generator it is given. Only then does the seed belong to its spec.
    random: ClassVar[bool] = False

    @abstractmethod
    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Choose frames.

        Parameters
        ----------
        candidates : Candidates
            More than `budget` of them, with finite scores that are not all equal.
        budget : int
            Number of frames, at least 1.
        rng : numpy Generator
            The question's own, seeded from the configured seed and the question id.

        Returns
        -------
        int array, shape (budget,)
            Positions among the candidates: distinct, in any order.
        """


class ScoreError(ValueError):
    """The scores of a question cannot be used to choose."""


@dataclass(frozen=True)
class Choice:
    """What `choose` returns: ascending positions among the candidates, and the rule that stepped in, if one did."""

    positions: np.ndarray
    note: str | None = None


def choose(selector: Selector, candidates: Candidates, budget: int, rng: np.random.Generator) -> Choice:
    """Apply a selector under the fair protocol: min(budget, candidates) distinct frames in time order.

    Two rules stand before the selector. A video with no more candidates than the budget is taken whole. Scores that
    are all equal prefer nothing, so the frames are spread uniformly; the choice says so in its note.

    Raises
    ------
    ScoreError
        For scores that are missing, NaN or infinite.
    """
    n = len(candidates)
    if n <= budget:
        return Choice(np.arange(n))
    if selector.needs_scores:
        if len(candidates.scores) != n:
            raise ScoreError(f"selector {selector.kind!r} needs {n} scores, and there are {len(candidates.scores)}")
        if bad := int(np.count_nonzero(~np.isfinite(candidates.scores))):
            raise ScoreError(f"{bad} of {n} scores are NaN or infinite")
        if np.ptp(candidates.scores) == 0:
            return Choice(spread(n, budget), note="all scores are equal: uniform frames")
    positions = np.sort(np.asarray(selector.select(candidates, budget, rng)))
    if len(positions) != budget or len(np.unique(positions)) != budget or positions[0] < 0 or positions[-1] >= n:
        raise AssertionError(f"selector {selector.kind!r} broke its contract: {positions.tolist()} of {n}")
    return Choice(positions)


def spread(n: int, budget: int) -> np.ndarray:
    """`budget` of `n` positions at equal distances, both ends included (budget <= n)."""
    return np.linspace(0, n - 1, budget).round().astype(int) if budget > 1 else np.array([(n - 1) // 2])


def question_rng(seed: int, question_id: str) -> np.random.Generator:
    """The generator of one question, the same whatever other questions a run holds."""
    digest = hashlib.sha256(f"{seed}/{question_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
