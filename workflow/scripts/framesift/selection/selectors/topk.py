"""Top-k: the frames that fit the question best, wherever they are (TOP in the AKS paper)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from framesift.selection.selectors import Candidates, Selector, best


class TopK(Selector):
    """The `budget` highest scores; of equal scores the earlier frame.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("topk", scores=scores, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "the best-scored frames (TOP)"
    cites = ("tang2025aks",)
    source: ClassVar[str] = "TOP in arXiv 2502.21271"

    kind: Literal["topk"] = "topk"

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        return best(candidates.scores, budget)
