"""Uniform sampling, the baseline of every comparison."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from framesift.selectors import Candidates, Selector, spread


class Uniform(Selector):
    """Frames at equal distances over the candidates, ends included (``np.linspace``, as LLaVA-OneVision samples)."""

    kind: Literal["uniform"] = "uniform"
    needs_scores: ClassVar[bool] = False

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        return spread(len(candidates), budget)
