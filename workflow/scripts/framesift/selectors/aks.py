"""AKS: Adaptive Keyframe Sampling for Long Video Understanding (Tang et al., CVPR 2025, arXiv 2502.21271)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selectors import Candidates, Selector


class AKS(Selector):
    """Judge and split (paper, section 3.3): take the best frames of a segment where they stand out, else halve it.

    Scores are scaled to [0, 1] over the video. A segment is a leaf when the mean of its `budget` best scores exceeds
    its mean by more than `s_thr`, or at depth `max_depth`; each leaf gives its best frames, of equal ones the
    earlier.

    The released code gives a leaf of depth d ``int(budget / 2**d)`` frames, so it returns too few, often none, where
    2**max_depth does not divide the budget. Here a segment's quota is halved with it, the right half taking the odd
    frame, and a quota of one is not split further: the sum is always the budget, and the result is that of the
    release wherever the release is well defined.
    """

    source: ClassVar[str] = "arXiv 2502.21271, CVPR 2025"

    kind: Literal["aks"] = "aks"
    s_thr: float = Field(default=0.8, ge=0, description="Threshold of the judgement (`t1` in the release).")
    max_depth: int = Field(default=5, ge=0, description="Deepest level of splitting (L; `all_depth` in the release).")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        scores = candidates.scores
        scaled = (scores - scores.min()) / (scores.max() - scores.min())
        chosen: list[np.ndarray] = []
        segments = [(0, len(scaled), budget, 0)]  # start, end, quota, depth
        while segments:
            start, end, quota, depth = segments.pop()
            segment = scaled[start:end]
            best = np.argsort(-segment, kind="stable")
            stands_out = segment[best[:budget]].mean() - segment.mean() > self.s_thr
            if stands_out or depth == self.max_depth or quota == 1:
                chosen.append(start + best[:quota])
            else:
                middle = start + (end - start) // 2
                segments.append((start, middle, quota // 2, depth + 1))
                segments.append((middle, end, quota - quota // 2, depth + 1))
        return np.concatenate(chosen)
