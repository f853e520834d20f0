"""Random frames: what a selector must beat to have chosen at all."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from framesift.selection.selectors import Candidates, Selector


class Random(Selector):
    """`budget` frames drawn without replacement, every set of them as likely as any other.

    The draw depends on the configured seed and the question id alone, so one run is one sample: compare several seeds.

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

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        return rng.choice(len(candidates), size=budget, replace=False)
