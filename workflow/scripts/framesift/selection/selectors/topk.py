"""Top-k: the frames that fit the question best, wherever they are (TOP in the AKS paper)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from framesift.selection.selectors import Candidates, Selector, best


class TopK(Selector):
    """The `budget` highest scores; of equal scores the earlier frame."""

    title = "the best-scored frames (TOP)"
    cites = ("tang2025aks",)
    source: ClassVar[str] = "TOP in arXiv 2502.21271"

    kind: Literal["topk"] = "topk"

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        return best(candidates.scores, budget)
