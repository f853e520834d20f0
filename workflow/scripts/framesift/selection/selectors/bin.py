"""Bins: the best frame of every equal part of the video (BIN in the AKS paper)."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from framesift.selection.selectors import Candidates, Selector


class Bin(Selector):
    """BIN in the AKS paper's ablation: the best frame of each of `budget` equal bins, of equal ones the earlier.

    Where the budget does not divide the number of candidates, bin i holds positions ``i * n // budget`` up to
    ``(i + 1) * n // budget``: bins differ by one frame at most, and the longer ones are spread over the video. Fragile:
    the paper does not say what becomes of that remainder; where the budget is a power of two, halving as AKS does puts
    some borders one frame elsewhere.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("bin", scores=scores, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "the best-scored frame of each of equal parts (BIN)"
    cites = ("tang2025aks",)
    source: ClassVar[str] = "BIN in arXiv 2502.21271"

    kind: Literal["bin"] = "bin"

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        borders = np.arange(budget + 1) * len(candidates) // budget
        return np.array([start + int(np.argmax(candidates.scores[start:end])) for start, end in pairwise(borders)])
