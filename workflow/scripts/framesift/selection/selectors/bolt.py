"""BOLT: Boost Large Vision-Language Model Without Training for Long-form Video Understanding (CVPR 2025)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector, Variant, completed
from framesift.selection.selectors._scaling import scaled


class BOLT(Selector):
    """Inverse transform sampling (the paper's section of that name): frames at equal steps of the cumulated scores.

    Scores are scaled to [0, 1] over the video, raised to `power` and cumulated; each of `budget` levels takes the
    first frame where the cumulated share reaches it. Nothing depends on the scores' offset or scale. The levels are
    those of the released code, from 1/budget to 1 - 1/budget; in the paper they are i/budget.

    A frame whose share spans several levels is taken several times: with peaked scores a fifth of 64 frames is not
    rare. The release shows such frames repeatedly (``released``); ``fair`` takes them once and fills the places that
    fall free with the best of the other frames. The levels degenerate for one frame (the last) and for two (the
    median, twice); here a single frame is the median.

    ``released``, where the release is not well defined: for scores that are all equal it divides by zero and gives the
    first frame `budget` times, which is kept; a level that rounding puts beyond the last frame takes the last frame.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("bolt", scores=scores, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "BOLT"
    cites = ("liu2025bolt",)
    source: ClassVar[str] = "arXiv 2503.21483, CVPR 2025"

    kind: Literal["bolt"] = "bolt"
    variant: Variant = Field(
        default="fair", description="`fair`: distinct frames, filled up; `released`: repeated frames are kept."
    )
    power: float = Field(
        default=3,
        gt=0,
        description="Exponent that sharpens the scores (alpha in the paper, which takes 3 for Video-MME and MLVU and"
        " 2.5 for LongVideoBench; 1 is the release's -1, none).",
    )

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        scores = candidates.scores
        if scores.min() == scores.max():
            return np.zeros(budget, dtype=int)
        positions = inverse_transform(scaled(scores) ** self.power, levels(budget, self.fair))
        return completed(positions, candidates, budget) if self.fair else positions


def levels(n: int, fair: bool = False) -> np.ndarray:
    """The shares at which frames are taken."""
    return np.array([0.5]) if fair and n == 1 else np.linspace(1 / n, 1 - 1 / n, n)


def inverse_transform(weights: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """For each share, the first position up to which at least that share of the weights lies.

    Examples
    --------
    >>> inverse_transform(np.array([1.0, 1.0, 6.0, 2.0]), np.array([0.1, 0.5, 0.9]))
    array([0, 2, 3])
    """
    cumulated = np.cumsum(weights / weights.sum())
    return np.minimum(np.searchsorted(cumulated, shares), len(weights) - 1)
