"""Greedy non-maximum suppression in time, as the M-LLM frame selector ends (Hu et al., CVPR 2025, arXiv 2502.19680)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector, best, completed


class NMS(Selector):
    """Take the best frame, suppress its neighbours, repeat: the paper's last step, from scores to frames.

    Neighbours are the frames at most ``n / (divisor * budget)`` positions away. Only the order of the scores counts, so
    scaling them would change nothing; of equal ones the earlier is taken. A pick removes at most
    ``n / (2 * budget) + 1`` frames at the paper's divisor of four, so frames run out only where the budget exceeds half
    of the candidates (with a smaller divisor, sooner): then the best of the suppressed ones fill up.

    Fragile: the paper has no code; that a frame just at the radius is suppressed is our reading. The rest of the
    method, which trains a model to score frames, is not here: any scorer's scores can stand in.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("nms", scores=scores, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "non-maximum suppression as in the M-LLM selector"
    cites = ("hu2025mllm",)
    source: ClassVar[str] = "arXiv 2502.19680, CVPR 2025"

    kind: Literal["nms"] = "nms"
    divisor: float = Field(default=4.0, gt=0, description="The radius is n / (divisor * budget) candidates.")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        n = len(candidates)
        radius = int(n / (self.divisor * budget))
        free = np.ones(n, dtype=bool)
        chosen: list[int] = []
        for i in best(candidates.scores, n):
            if free[i]:
                chosen.append(int(i))
                free[max(0, i - radius) : i + radius + 1] = False
            if len(chosen) == budget:
                break
        return completed(np.array(chosen), candidates, budget)
