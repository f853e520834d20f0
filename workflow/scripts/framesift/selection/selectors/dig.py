"""DIG: DIvide, then Ground: Adapting Frame Selection to Query Types for Long-Form Video Understanding (CVPR 2026)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector, Variant, completed


class DIG(Selector):
    """Video refinement (the paper's stage before the answer): uniform frames of the regions around high rewards.

    A frame of high reward stands for a region that reaches `window` segments to either side; overlapping regions are
    joined, and the budget is spread uniformly over all of them. Only a reward's place between the smallest and the
    largest matters, not its scale.

    Of the paper's pipeline this is the stage that reads numbers. Rewards are the cached scores, where the paper asks a
    video LLM for a number from 0 to 100. Each candidate is a segment of its own, where the paper cuts the video at
    changes of DINOv2 features; the window is therefore counted in candidates. The paper's first stage, by which an LLM
    sends questions about the whole video to uniform sampling, is left out: all questions are taken as local.

    The released code (``released``) has faults, which ``fair`` corrects, see `regions`; on segments of one candidate
    the wrong right edge makes no difference. Where the regions hold fewer frames than the budget, the release repeats
    frames; ``fair`` takes each once and fills up with the best of the other frames. Fragile: which frames count as high
    is decided by counts, so that one more or less may double the regions.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("dig", scores=scores, budget=4).tolist()
    [0, 3, 7, 11]
    """

    title = "the refinement stage of DIG"
    cites = ("li2026dig",)
    source: ClassVar[str] = "arXiv 2512.04000, CVPR 2026"

    kind: Literal["dig"] = "dig"
    variant: Variant = Field(
        default="fair",
        description="`fair`: corrected, distinct frames, filled up; `released`: with the faults of the released code.",
    )
    window: int = Field(default=2, ge=0, description="Segments that a region takes in on either side (w).")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        n = len(candidates)
        boundaries = np.minimum(np.arange(n + 1), n - 1)
        positions = refine(candidates.scores, boundaries, budget, self.window, corrected=self.fair)
        return completed(positions, candidates, budget) if self.fair else positions


def refine(
    rewards: np.ndarray, boundaries: np.ndarray, budget: int, window: int = 2, *, corrected: bool = False
) -> np.ndarray:
    """Frames at equal distances over the regions of high reward; repeated where the regions are shorter than `budget`.

    Parameters
    ----------
    rewards : float array, shape (n,)
        One for each segment.
    boundaries : int array, shape (n + 1,)
        Segment i goes from frame ``boundaries[i]`` to ``boundaries[i + 1]``.
    budget : int
    window : int
        Segments taken in on either side.
    corrected : bool
        See `regions`.
    """
    spans = regions(rewards, boundaries, window, corrected=corrected)
    frames = np.concatenate([np.arange(start, end + 1) for start, end in spans])
    return frames[np.linspace(0, len(frames) - 1, budget, dtype=int)]


def regions(rewards: np.ndarray, boundaries: np.ndarray, window: int, *, corrected: bool) -> list[tuple[int, int]]:
    """First and last frames of the regions around high rewards, joined where they touch; or of all, if none is high.

    The released code ends a region where the last segment it takes in begins, so it takes in two segments before and
    one after, and never the video's last. `corrected` ends it before the next segment begins. And where all rewards
    but the smallest are equal, the released code finds none of them high and takes the whole video; `corrected`
    finds all of them high. The release adds 1e-8 to the range of the rewards, which rounds them differently on
    different scales; `corrected` does not.
    """
    n = len(rewards)
    whole = [(int(boundaries[0]), int(boundaries[n]))]

    def region(i: int) -> tuple[int, int]:
        start = int(boundaries[max(0, i - window)])
        if not corrected:
            return start, int(boundaries[min(n - 1, i + window)])
        end = i + window + 1
        return start, int(boundaries[n]) if end >= n else max(start, int(boundaries[end]) - 1)

    percent = _percent(rewards, 0 if corrected else 1e-8)
    active = np.flatnonzero(percent > 0)
    if len(active) < 2:
        return [region(int(active[0]))] if len(active) else whole
    high = active[_stand_out(percent[active], corrected)]
    joined: list[tuple[int, int]] = []
    for start, end in sorted(region(int(i)) for i in high):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined or whole


def _percent(rewards: np.ndarray, epsilon: float) -> np.ndarray:
    low, high = rewards.min(), rewards.max()
    with np.errstate(over="ignore"):
        if np.isinf(high - low):
            rewards, low, high = rewards / 2, low / 2, high / 2
    if high == low:
        return np.zeros(len(rewards))
    return (rewards - low) / (high - low + epsilon) * 100


def _stand_out(values: np.ndarray, corrected: bool) -> np.ndarray:
    """Which of some positive values are high: of two rules, the one that finds fewer."""
    rest = values
    while True:
        zeros = np.count_nonzero(rest == 0)
        rest = np.maximum(rest - rest.mean(), 0)
        if np.count_nonzero(rest == 0) == zeros:
            break
    above_means = rest > 0
    above_half = values > 0.5 * values.max()
    few = np.count_nonzero(above_means)
    return above_means if few <= np.count_nonzero(above_half) and (few or not corrected) else above_half
