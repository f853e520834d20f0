"""Q-Frame: Query-aware Frame Selection and Multi-Resolution Adaptation for Video-LLMs (ICCV 2025)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from framesift.selection.selectors import Candidates, Selector, Variant


class QFrame(Selector):
    """Query-aware Frame Selection (so in the paper): frames drawn without replacement by the Gumbel-max trick.

    Frames that fit the question better are likelier. A frame's key is the logarithm of its softmax probability at
    temperature `tau` plus Gumbel noise; the largest keys are taken. The logits of the paper are inner products of
    Long-CLIP embeddings that are not normalised, and `tau` is tuned to them: with cosines, `gain` has to be the product
    of the two norms, a property of the encoder that is to be measured. Where scores range over much less than
    `tau / gain`, the draw is almost uniform.

    The logarithm is taken of the softmax as a whole, in double precision. The release rounds the softmax first (float16
    on a GPU), so frames some 17 below the best become impossible there and come last in no particular order.

    ``released`` first thins the candidates to `max_candidates` at equal distances (the release does so among all frames
    of the video) and takes `high` + `mid` + `low` frames whatever the budget, in time order, fewer where there are
    fewer. Their three resolutions are the business of whoever shows the frames, and not reproduced.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("qframe", scores=scores, budget=4).tolist()
    [0, 9, 10, 11]
    """

    title = "Q-Frame (at one resolution)"
    cites = ("zhang2025qframe",)
    source: ClassVar[str] = "arXiv 2506.22139, ICCV 2025"
    random: ClassVar[bool] = True

    kind: Literal["qframe"] = "qframe"
    variant: Variant = Field(
        default="fair",
        description="`fair`: the budget, from all candidates; `released`: the tiers, from thinned candidates.",
    )
    tau: float = Field(default=0.8, gt=0, description="Temperature of the softmax.")
    gain: float = Field(
        default=1,
        gt=0,
        description="Logits are this times the scores: 1 for inner products, the product of the norms for cosines.",
    )
    max_candidates: int = Field(default=128, ge=1, description="Candidates of the released form (128 in the release).")
    high: int | None = Field(
        default=None, ge=0, description="Frames in full resolution, released form only (none: the budget)."
    )
    mid: int = Field(default=0, ge=0, description="Frames in middle resolution, released form only.")
    low: int = Field(default=0, ge=0, description="Frames in low resolution, released form only.")

    @model_validator(mode="after")
    def _tiers_are_released(self) -> QFrame:
        if self.fair and (self.high is not None or self.mid or self.low):
            raise ValueError("high, mid and low need `variant: released`; a fair selection has the budget")
        if self.high == 0 and not (self.mid or self.low):
            raise ValueError("high, mid and low are all 0: no frames")
        return self

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        n = len(candidates)
        pool = np.arange(n)
        if not self.fair and n > self.max_candidates:
            pool = np.linspace(0, n - 1, self.max_candidates, dtype=int)
        # Single precision, as torch.rand draws: in double precision a draw may lie within 1e-10 of 1.
        noise = rng.random(len(pool), dtype=np.float32)
        order = gumbel_order(candidates.scores[pool], noise, tau=self.tau, gain=self.gain)
        if self.fair:
            return pool[order[:budget]]
        taken = tiers(order, budget if self.high is None else self.high, self.mid, self.low)
        return np.sort(pool[np.concatenate(taken)])


def gumbel_order(scores: np.ndarray, uniform: np.ndarray, *, tau: float, gain: float) -> np.ndarray:
    """Positions in the order in which they are drawn, given one uniform number in [0, 1) for each."""
    with np.errstate(over="ignore"):
        log_probability = (scores - scores.max()) * (gain / tau)  # but for a constant, which changes no order
    gumbel = -np.log(-np.log(uniform.astype(float) + 1e-10) + 1e-10)
    return np.argsort(-(log_probability + gumbel), kind="stable")


def tiers(order: np.ndarray, high: int, mid: int, low: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first `high` frames of an order, the next `mid`, the next `low`; each in time order.

    Examples
    --------
    >>> tiers(np.array([4, 0, 3, 1]), high=2, mid=1, low=1)
    (array([0, 4]), array([3]), array([1]))
    """
    first, second, third, _ = np.split(order, np.cumsum([high, mid, low]))
    return np.sort(first), np.sort(second), np.sort(third)
