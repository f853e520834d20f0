"""AKS: Adaptive Keyframe Sampling for Long Video Understanding (Tang et al., CVPR 2025, arXiv 2502.21271)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import AliasChoices, Field, model_validator

from framesift.selection.selectors import Candidates, Selector, best

RATIO = 1
T2 = -100.0


class AKS(Selector):
    """Judge and split (paper, section 3.3): take the best frames of a segment where they stand out, else halve it.

    Scores are scaled to [0, 1] over the video. A segment is a leaf when the mean of its best scores exceeds its mean by
    more than `s_thr`, or at depth `max_depth`; each leaf gives its best frames, of equal ones the earlier. Variants:

    ``released``: the release's frame_select.py. A segment is judged by its `budget` best scores at every depth, and a
    leaf of depth d gives ``int(budget / 2**d)`` frames. So it returns too few, often none, where 2**max_depth does not
    divide the budget, and all candidates where they are fewer than the budget. It judges by the standard deviation too
    (`t2`) and can thin out the candidates (`ratio`). Scores that are all equal are split to the end; scores that are
    NaN, which the release takes as if they were all equal, are an error here.

    ``fair``: the same judgement. A segment's quota is halved with it, the right half taking the odd frame, and a quota
    of one is not split further: the sum is always the budget, and the result is that of the release wherever the
    release is well defined.

    ``paper``: a segment is judged by as many of its best scores as its quota, its quota is shared between its halves in
    proportion to their length, and no depth exceeds log2 of the budget, rounded up. Fragile: accounts of the paper
    differ on whether a segment is judged by its own quota or by the budget, and on ``>`` or ``>=``.

    Fragile in all: a mean that equals the threshold to the last bit.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("aks", scores=scores, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "AKS"
    cites = ("tang2025aks",)
    source: ClassVar[str] = "arXiv 2502.21271, CVPR 2025"

    kind: Literal["aks"] = "aks"
    variant: Literal["fair", "released", "paper"] = Field(
        default="fair",
        description="`released`: the authors' code, frames missing where 2**max_depth does not divide the budget;"
        " `fair`: the same with every frame of the budget; `paper`: quotas by length, each segment judged by its own.",
    )
    s_thr: float = Field(
        default=0.8,
        ge=0,
        validation_alias=AliasChoices("s_thr", "t1"),
        description="Threshold of the judgement (`t1` in the release, and here too).",
    )
    max_depth: int = Field(
        default=5,
        ge=0,
        validation_alias=AliasChoices("max_depth", "all_depth"),
        description="Deepest level of splitting (L; `all_depth` in the release, and here too).",
    )
    t2: float = Field(
        default=T2,
        description="Standard deviation that a leaf's scores must exceed besides; only in the released form.",
    )
    ratio: int = Field(default=RATIO, ge=1, description="Use every so many candidates; only in the released form.")

    @model_validator(mode="after")
    def _only_released(self) -> AKS:
        if self.variant != "released" and (self.t2, self.ratio) != (T2, RATIO):
            raise ValueError("`t2` and `ratio` belong to the variant `released`")
        return self

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        if self.variant == "released":
            return self._released(candidates.scores, budget)
        depth = self.max_depth if self.variant == "fair" else min(self.max_depth, math.ceil(math.log2(budget)))
        scaled = _scaled(candidates.scores)
        chosen: list[np.ndarray] = []
        segments = [(0, len(scaled), budget, 0)]  # start, end, quota, depth
        while segments:
            start, end, quota, level = segments.pop()
            segment = scaled[start:end]
            judged = budget if self.variant == "fair" else quota
            if level >= depth or quota == 1 or _lead(segment, judged) > self.s_thr:
                chosen.append(start + best(segment, quota))
                continue
            middle = start + (end - start) // 2
            left = quota // 2
            if self.variant == "paper":
                # the larger remainder takes the frame, of equal ones that of the right, longer half
                left = math.ceil(quota * (middle - start) / (end - start) - 0.5)
            segments += [(start, middle, left, level + 1), (middle, end, quota - left, level + 1)]
        return np.concatenate(chosen)

    def _released(self, scores: np.ndarray, budget: int) -> np.ndarray:
        grid = np.arange(len(scores) // self.ratio) * self.ratio
        if len(grid) < budget:
            return grid
        scaled = _scaled(scores[grid])
        chosen: list[np.ndarray] = [np.empty(0, dtype=int)]
        level = [(0, len(grid))]
        for depth in range(self.max_depth + 1):
            halves = []
            for start, end in level:
                segment = scaled[start:end]
                # budgets near the number of candidates leave segments without frames
                leaf = len(segment) and _lead(segment, budget) > self.s_thr and np.std(segment) > self.t2
                if leaf or depth == self.max_depth:
                    chosen.append(start + best(segment, budget // 2**depth))
                else:
                    middle = start + (end - start) // 2
                    halves += [(start, middle), (middle, end)]
            level = halves
        return grid[np.sort(np.concatenate(chosen))]


def _scaled(scores: np.ndarray) -> np.ndarray:
    span = scores.max() - scores.min()
    return (scores - scores.min()) / span if span else np.zeros(len(scores))


def _lead(segment: np.ndarray, k: int) -> float:
    """By how much the mean of the `k` best scores exceeds the mean of all."""
    return float(segment[best(segment, k)].mean() - segment.mean())
