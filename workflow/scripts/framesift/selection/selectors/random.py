"""Random frames: what a selector must beat to have chosen at all."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector


class Random(Selector):
    """`budget` frames drawn without replacement, every set of them as likely as any other.

    They depend on the configured seed, the question id and `draw` alone, so one run is one sample: compare several.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> select("random", timestamps=range(12), budget=4).tolist()
    [3, 5, 6, 7]
    """

    title = "random frames"

    kind: Literal["random"] = "random"
    needs_scores: ClassVar[bool] = False
    random: ClassVar[bool] = True
    draw: int = Field(default=0, ge=0, description="Which of the independent draws of a seed.")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        for _ in range(self.draw):
            [rng] = rng.spawn(1)
        return rng.choice(len(candidates), size=budget, replace=False)
