"""CATS-style: suppression around each chosen frame that is narrow where the scores bend, and fades.

After CATS: Curvature-Aware Temporal Selection for Efficient Long-Video Understanding (Miraj et al., 2025).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector


class CATS(Selector):
    """Greedy suppression with a radius of its own for each frame, after the three formulas that the authors published.

    With n candidates and a budget of M, frame i suppresses those nearer than ``(n / M) / (1 + c_i)``, where ``c_i`` is
    the absolute second difference of the scores. The radius halves every ``rho * M`` further picks, so that suppressed
    frames come back. Each pick is the best free frame, of equal ones the earlier; where none is free, the best of all.

    CATS-style, not CATS: code and paper are not public. Ours are the scaling of the scores to [0, 1] over the video,
    without which cosines would leave the radius unchanged; the curvature at the ends, taken with the end repeated; that
    a frame just at the radius is free; and what happens where none is.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("cats", scores=scores, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "CATS-style selection (re-derived)"
    cites = ("miraj2025cats",)
    source: ClassVar[str] = "CATS (2025), after its description"

    kind: Literal["cats"] = "cats"
    rho: float = Field(default=0.5, gt=0, description="Share of the budget after which a radius is halved.")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        n = len(candidates)
        scores = candidates.scores - candidates.scores.min()
        scores = scores / scores.max()
        padded = np.pad(scores, 1, mode="edge")
        curvature = np.abs(padded[2:] - 2 * scores + padded[:-2])
        radius = n / budget / (1 + curvature)
        positions = np.arange(n)
        chosen: list[int] = []
        taken = np.zeros(n, dtype=bool)
        for step in range(budget):
            suppressed = np.zeros(n, dtype=bool)
            for picked_at, i in enumerate(chosen):
                reach = radius[i] * 0.5 ** ((step - picked_at) / (self.rho * budget))
                suppressed |= np.abs(positions - i) < reach
            free = ~taken & ~suppressed
            pool = positions[free] if free.any() else positions[~taken]
            pick = int(pool[np.argmax(scores[pool])])
            taken[pick] = True
            chosen.append(pick)
        return np.array(chosen)
