"""Uniform sampling, the baseline of every comparison."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector, spread


class Uniform(Selector):
    """Frames at equal distances over the candidates, by one of the conventions in use.

    ``linspace``: both ends included (``np.linspace``, as LLaVA-OneVision samples). ``midpoint``: the middle of each of
    `budget` equal segments (as InternVL samples). ``grid``: every ``n // budget``-th of the n candidates from the
    first, cut off at the budget; where the budget does not divide n it leaves out the end of the video, at worst (n =
    2 * budget - 1) half of it.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> select("uniform", timestamps=range(12), budget=4).tolist()
    [0, 4, 7, 11]
    """

    title = "uniform sampling"

    kind: Literal["uniform"] = "uniform"
    needs_scores: ClassVar[bool] = False
    convention: Literal["linspace", "midpoint", "grid"] = Field(
        default="linspace",
        description="`linspace`: both ends included; `midpoint`: middles of equal segments; `grid`: every so many"
        " candidates from the first.",
    )

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        n = len(candidates)
        if self.convention == "midpoint":
            return (2 * np.arange(budget) + 1) * n // (2 * budget)
        if self.convention == "grid":
            return np.arange(budget) * (n // budget)
        return spread(n, budget)
