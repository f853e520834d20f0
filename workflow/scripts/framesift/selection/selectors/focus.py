"""FOCUS: Efficient Keyframe Selection for Long Video Understanding (ICLR 2026, arXiv 2510.27280)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Choice, Selector, Variant, completed
from framesift.selection.selectors._scaling import within_unit


@dataclass(frozen=True)
class Replay:
    """What the bandit did for one question; positions are those of candidates.

    Attributes
    ----------
    chosen : list of int
        The best of all scored frames, then what was drawn from each of the final arms.
    coarse, fine : int array
        Frames scored in the first stage, in the order drawn, and in the second, ascending; none is in both.
    arms : list of (int, int)
        First frame of each arm, and the first after it.
    upper_bounds : float array
        Upper confidence bound of each arm.
    drawn : list of int
        How many frames were drawn from each arm in the last stage.
    """

    chosen: list[int]
    coarse: np.ndarray
    fine: np.ndarray
    arms: list[tuple[int, int]]
    upper_bounds: np.ndarray
    drawn: list[int]

    @property
    def scored(self) -> np.ndarray:
        return np.concatenate([self.coarse, self.fine])


class FOCUS(Selector):
    """A bandit over clips that scores few frames (the paper's two stages), replayed on scores that are there already.

    The video is cut into clips, the arms. Of each, the middle frame and a few random ones are scored; the arms of the
    largest upper confidence bound are scored densely. A share of the budget goes to the best scored frames, the rest
    is drawn within the arms of the largest bounds, likelier near their best scored frames. Here the scorer has seen all
    candidates before, so nothing is saved; the note of the choice tells how many the method would have scored. Time is
    that of the candidates: at one a second an arm has 16 of them, where the release has every frame of the video.

    In the released code, and so here, the dense scores do not change the bounds (the paper updates them and ends with
    the arms of the largest means), the draw is by a softmax of the scores at `temperature` 0.06 after scaling, and
    the share of the best frames and the least distance in time are additions to the paper. Frames after the last whole
    arm can only be chosen among the best. An arm that has too few frames for its share leaves it unused, so the release
    gives fewer frames than the budget, often half in short videos.

    ``fair`` fills up with the best of the frames the bandit scored, and if there are too few, with frames far in time
    from all chosen. It also scales scores that leave [0, 1] to it, and says so in the note, for the bounds weigh them
    against constants, and the draw cuts them off at 0 and 1. With other scores it gives the frames of the release and
    those that fill up.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("focus", scores=scores, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "FOCUS (replayed on the scores of all candidates)"
    cites = ("zhu2026focus",)
    source: ClassVar[str] = "arXiv 2510.27280, ICLR 2026"
    random: ClassVar[bool] = True

    kind: Literal["focus"] = "focus"
    variant: Variant = Field(
        default="fair", description="`fair`: filled up to the budget; `released`: fewer frames where arms run out."
    )
    coarse_every_sec: float = Field(default=16, gt=0, description="Length of an arm in seconds.")
    fine_every_sec: float = Field(default=1, gt=0, description="Distance of dense frames in seconds.")
    zoom_ratio: float = Field(
        default=0.25, ge=0, le=1, description="Share of arms that are scored densely and drawn from (alpha)."
    )
    final_min_arms: int = Field(default=4, ge=1, description="Fewest arms to draw from.")
    final_max_arms: int = Field(default=32, ge=1, description="Most arms to draw from.")
    min_coarse_segments: int = Field(default=8, ge=1, description="Fewest arms of a video.")
    min_zoom_segments: int = Field(default=4, ge=1, description="Fewest arms that are scored densely.")
    extra_samples_per_region: int = Field(default=2, ge=0, description="Random frames scored in each arm.")
    min_variance: float = Field(default=1e-6, ge=0, description="Least variance of an arm in its confidence bound.")
    fine_uniform_ratio: float = Field(
        default=0.5, ge=0, le=1, description="Share of dense frames at equal distances; the others are random."
    )
    interpolation: Literal["nearest", "linear", "uniform"] = Field(
        default="nearest",
        description="Scores of an arm's other frames: of the nearest scored frame, on a line between scored frames"
        " (`released`: with numpy.interp on frames out of order, as the release does), or none, all being equal.",
    )
    top_ratio: float = Field(default=0.2, ge=0, le=1, description="Share of the budget for the best scored frames.")
    temperature: float = Field(default=0.06, gt=0, description="Temperature of the draw within an arm.")
    region_half_window_sec: float | None = Field(
        default=None, gt=0, description="Half the window scored densely, in seconds (none: half an arm)."
    )
    min_gap_sec: float = Field(
        default=1, ge=0, description="Least distance in seconds of drawn frames from those before; see `gap_ratio`."
    )
    gap_ratio: float = Field(
        default=0.25, ge=0, description="The least distance is at most this share of the mean distance of the budget."
    )
    disable_gap_below: float = Field(
        default=0.2, ge=0, description="No least distance where the mean distance is at most this many seconds."
    )

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> Choice:
        n = len(candidates)
        scores, scaling = within_unit(candidates.scores) if self.fair else (candidates.scores, None)
        replay = self.replay(scores, candidates.per_second, budget, rng)
        note = f"scored {len(replay.scored)} of {n} frames"
        if not self.fair:
            return Choice(np.sort(replay.chosen), note)
        spare = replay.scored[np.argsort(-scores[replay.scored], kind="stable")]
        # Scores that the bandit has not asked for are not its to fill up by.
        positions = completed(np.concatenate([replay.chosen, spare]), Candidates(candidates.times), budget)
        return Choice(positions, "; ".join(filter(None, [note, scaling])))

    def least_gap(self, n: int, fps: float, budget: int) -> float:
        """Least distance in seconds for a budget."""
        mean = n / max(1, fps) / max(1, budget)
        return 0 if mean <= self.disable_gap_below else min(self.gap_ratio * mean, self.min_gap_sec)

    def replay(self, scores: np.ndarray, fps: float, budget: int, rng: np.random.Generator) -> Replay:
        """Run the bandit on `scores` at `fps` frames a second; `rng` is used for `choice` alone."""
        n = len(scores)
        duration = n / max(1, fps)
        desired = max(self.min_coarse_segments, ceil(duration / self.coarse_every_sec))
        stride = max(1, n // desired)
        fine_stride = min(max(1, round(fps * self.fine_every_sec)), stride)
        half = self.region_half_window_sec or max(1 / fps, duration / desired / 2)
        count = max(1, n // stride)
        width = max(1, n // count)
        arms = [(i * width, (i + 1) * width) for i in range(count)]

        samples = [self._sample(start, end, rng) for start, end in arms]
        coarse = np.concatenate(samples)
        bounds = self._upper_bounds(scores[np.stack(samples)])
        ranked = np.argsort(-bounds, kind="stable")

        share = ceil(count * self.zoom_ratio)
        promising = ranked[: max(self.min_zoom_segments, share)]
        fine = self._zoom([arms[i] for i in promising], coarse, n, max(1, round(half * fps)), fine_stride, rng)

        scored = np.concatenate([coarse, fine])
        top = round(self.top_ratio * min(budget, len(scored)))
        chosen = scored[np.argsort(-scores[scored], kind="stable")[:top]].tolist()
        final = ranked[: min(max(self.final_min_arms, share), self.final_max_arms)]
        each, more = divmod(budget - top, len(final))
        gap = round(self.least_gap(n, fps, budget) * fps)
        taken = np.zeros(n, dtype=bool)
        taken[chosen] = True
        drawn = [0] * count
        for rank, arm in enumerate(final):
            if quota := each + (rank < more):
                start, end = arms[arm]
                frames = self._draw(start, end, quota, samples[arm], scores, taken, gap, rng)
                taken[frames] = True
                drawn[arm] = len(frames)
                chosen += frames.tolist()
        return Replay(chosen, coarse, fine, arms, bounds, drawn)

    def _sample(self, start: int, end: int, rng: np.random.Generator) -> np.ndarray:
        """The middle of an arm and a few random frames of it."""
        centre = (start + end - 1) // 2
        rest = np.concatenate([np.arange(start, centre), np.arange(centre + 1, end)])
        size = min(self.extra_samples_per_region, len(rest))
        # The release draws even where it needs none, unless the arm has no other frame.
        extra = rng.choice(rest, size=size, replace=False) if len(rest) else rest
        return np.concatenate([[centre], extra])

    def _upper_bounds(self, samples: np.ndarray) -> np.ndarray:
        """Upper confidence bound of each arm, from the scores of its samples (one row each)."""
        total, each = samples.size, samples.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            mean, variance = samples.mean(axis=1), samples.var(axis=1)
            if total == 1:
                return mean
            spread = np.maximum(variance, self.min_variance)
            return mean + np.sqrt(2 * log(total) * spread / each) + 3 * log(total) / each

    def _zoom(
        self,
        arms: list[tuple[int, int]],
        coarse: np.ndarray,
        n: int,
        half: int,
        stride: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Frames to be scored densely around the middles of `arms`, ascending; none of those scored before."""
        new = np.zeros(n, dtype=bool)
        free = np.ones(n, dtype=bool)
        free[coarse] = False
        for start, end in arms:
            centre = (start + end - 1) // 2
            low, high = max(0, centre - half), min(n - 1, centre + half)
            window = high - low + 1
            need = max(1, window // stride)
            regular = round(need * self.fine_uniform_ratio)
            if regular:
                if window <= regular:
                    at = np.array([(low + high) // 2])
                else:
                    step = window / regular
                    at = np.minimum(high, low + (np.arange(regular) * step + step / 2).astype(int))
                new[at[free[at]]] = True
                free[at] = False
            if need > regular:
                available = low + np.flatnonzero(free[low : high + 1])
                if len(available):
                    at = rng.choice(available, size=min(need - regular, len(available)), replace=False)
                    new[at] = True
                    free[at] = False
        return np.flatnonzero(new)

    def _draw(
        self,
        start: int,
        end: int,
        quota: int,
        samples: np.ndarray,
        scores: np.ndarray,
        taken: np.ndarray,
        gap: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Up to `quota` frames of an arm that are not taken."""
        frames = start + np.flatnonzero(~taken[start:end])
        if not len(frames):
            return frames
        if gap > 0:
            low = max(0, start - gap + 1)
            near = np.flatnonzero(taken[low : end + gap - 1]) + low
            if len(near):
                apart = frames[np.abs(frames[:, None] - near).min(axis=1) >= gap]
                frames = apart if len(apart) else frames
        if self.interpolation == "uniform":
            return rng.choice(frames, size=min(quota, len(frames)), replace=False)
        value = self._estimate(frames, samples, scores)
        low_value, high_value = value.min(), value.max()
        scaled = (value - low_value) / (high_value - low_value) if high_value > low_value else np.ones(len(value))
        logits = scaled / self.temperature
        weights = np.exp(logits - logits.max())
        at = rng.choice(len(frames), size=min(quota, len(frames)), replace=False, p=weights / weights.sum())
        return frames[at]

    def _estimate(self, frames: np.ndarray, samples: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores of an arm's frames as the bandit knows them, from those of the first stage."""
        if self.interpolation == "nearest":
            value = scores[samples[np.argmin(np.abs(frames[:, None] - samples), axis=1)]]
        else:
            known = np.sort(samples) if self.fair else samples
            value = np.interp(frames, known, scores[known])
        return np.clip(value, 0, 1)
