"""KFC of Nar-KFC: Threading Keyframe with Narratives (Fang et al., ICLR 2026, 2505.24158)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector, Variant
from framesift.selection.selectors._scaling import unit

#: Above this many candidates the release leaves the scores at full rank.
LOW_RANK_UP_TO = 7200
#: Sums this close are equal, eigenvalues to this share: identical frames differ by rounding only.
TIE = 1e-9


class KFC(Selector):
    """Frames with large sums of pair scores, chosen greedily among nodes and then moved to better neighbours.

    A pair's score is the relevance of its earlier frame plus exp(-cosine of the two); the scores are replaced by their
    best approximation of rank n/4. Nodes are `max_nodes` frames at equal distances, or all where candidates are at
    most four times the budget. From the node with the largest score with itself on, the node with the largest sum of
    scores with the chosen is added; at last each chosen frame may move by `radius` frames, once, if that raises the
    sum of all pairs.

    Only the earlier frame's relevance counts in a pair, so that of the last frames hardly matters; frames after the
    last whole step between nodes are none; and after the low-rank step the first node need not be the most relevant.
    The paper moves frames by two, and also solves the problem as an integer program, which this is not.

    In the release frames move in the order in which Python iterates over a set; `released` does the same. In the fair
    form they move in time order. The release uses `max_nodes` nodes or, per data set, a quarter of the frames, also
    where there are fewer frames than nodes or a budget larger than the nodes; the fair form uses
    ``min(max(max_nodes, budget), n // 4)``, and so always gives the budget. A video no longer than the budget gets
    frames at equal distances in the release, some twice.

    The approximation costs O(n**3) and depends on the question: seconds for 2,500 candidates. So the fair form leaves
    it out unless `low_rank` is set; it then takes milliseconds, and 5 to 30 % of the frames differ (synthetic videos).

    Fragile: identical frames, among which the release chooses by rounding noise. Here the earlier comes first, and the
    rank is cut above eigenvalues that are equal.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> angles = np.array([0, 2, 3, 40, 43, 44, 80, 82, 85, 87, 20, 21]) * np.pi / 180
    >>> frames = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> select("kfc", embeddings=frames, query=[0.6, 0.8], budget=4).tolist()
    [4, 5, 9, 10]
    """

    title = "KFC (greedy) of Nar-KFC"
    cites = ("fang2026narkfc",)
    needs_scores: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = True
    needs_query: ClassVar[bool] = True
    source: ClassVar[str] = "arXiv 2505.24158, ICLR 2026"

    kind: Literal["kfc"] = "kfc"
    variant: Variant = Field(default="fair", description="`released`: frames move in the order of a Python set.")
    max_nodes: int | None = Field(
        default=128, ge=1, description="Nodes of a long video; none: a quarter of the frames."
    )
    radius: int = Field(default=1, ge=0, description="Frames by which a chosen one may move at last (k).")
    low_rank: bool | None = Field(
        default=None,
        description="Replace the scores by their approximation of rank n/4; none: as the variant `released` does.",
    )

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        n = len(candidates)
        if n <= budget:
            return np.arange(1, budget + 1) * n // (budget + 1)
        x, query = unit(candidates.embeddings), unit(candidates.query)
        low_rank = not self.fair if self.low_rank is None else self.low_rank
        reduced = low_rank and not n > max(LOW_RANK_UP_TO, 4 * budget)
        scores = _low_rank(x, x @ query) if reduced else _full_rank(x, x @ query)
        frames = self._nodes(n, budget)
        picks = _grow(scores(frames), budget)
        # a set of small integers is iterated in an order that depends on the order of insertion, but on nothing else
        return _move(frames[sorted(picks) if self.fair else list(set(picks))], n, self.radius, scores)

    def _nodes(self, n: int, budget: int) -> np.ndarray:
        if n <= 4 * budget:
            return np.arange(n)
        nodes = self.max_nodes or n // 4
        if self.fair:
            nodes = min(max(nodes, budget), n // 4)
        return (2 * np.arange(nodes) + 1) * (n // nodes) // 2


#: From frames to the scores of their pairs, a square matrix.
Scores = Callable[[np.ndarray], np.ndarray]


def _full_rank(x: np.ndarray, relevance: np.ndarray) -> Scores:
    def scores(frames: np.ndarray) -> np.ndarray:
        pairs = np.exp(-x[frames] @ x[frames].T) + relevance[np.minimum.outer(frames, frames)]
        pairs[frames[:, None] == frames] = 2 * relevance[frames]
        return pairs

    return scores


def _low_rank(x: np.ndarray, relevance: np.ndarray) -> Scores:
    n = len(x)
    values, vectors = np.linalg.eigh(_full_rank(x, relevance)(np.arange(n)))
    size = np.abs(values)
    left_out = np.sort(size)[::-1][n // 4]
    kept = size > left_out * (1 + TIE)  # of equal eigenvalues none: which of their vectors are found is chance
    values, vectors = values[kept], vectors[:, kept]
    return lambda frames: (vectors[frames] * values) @ vectors[frames].T


def _grow(scores: np.ndarray, budget: int) -> list[int]:
    picks = [_first_best(np.diagonal(scores))]
    np.fill_diagonal(scores, 0)
    gain = scores[picks[0]].copy()
    while len(picks) < min(budget, len(scores)):
        gain[picks[-1]] = -np.inf
        picks.append(_first_best(gain))
        gain += scores[picks[-1]]
    return picks


def _move(chosen: np.ndarray, n: int, radius: int, scores: Scores) -> np.ndarray:
    near = np.unique(chosen[:, None] + np.arange(-radius, radius + 1))
    near = near[(near >= 0) & (near < n)]
    pairs = scores(near)
    np.fill_diagonal(pairs, 0)
    now = np.searchsorted(near, chosen)
    for i, frame in enumerate(chosen):
        reach = np.arange(max(0, frame - radius), min(n, frame + radius + 1))
        options = np.searchsorted(near, reach)
        options = np.array([now[i], *(at for at in options if at not in now)])
        now[i] = options[_first_best(pairs[np.ix_(options, np.delete(now, i))].sum(axis=1))]
    return np.sort(near[now])


def _first_best(values: np.ndarray) -> int:
    return int(np.argmax(values >= values.max() - TIE))
