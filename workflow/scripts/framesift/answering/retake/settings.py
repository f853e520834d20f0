"""Settings of ReTaKe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from framesift.core.spec import Frozen


class Retake(Frozen):
    """How to compress a video before a network reads it. Defaults are those of the released configurations."""

    budget_tokens: int | None = Field(
        default=32000,
        ge=1,
        description="Tokens of the prompt, text and video, that a layer keeps; longer prompts are compressed to this"
        " number. 32000 with Qwen2-VL and 40000 with LLaVA-Video as released; the paper's comparison has 16000.",
    )
    ratio: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the video's tokens to keep, whatever the length; replaces the budget.",
    )
    ratio_length: Literal["raw", "after_dpselect"] = Field(
        default="raw",
        description="The length that divides the budget: `raw`, as released, or the length after DPSelect.",
    )
    chunk_frames: int = Field(default=32, ge=1, description="Frames in one chunk of the prefill.")
    encoder_frames: int = Field(default=256, ge=1, description="Frames that the vision tower encodes at a time.")
    dpselect: Literal["none", "mask", "drop"] = Field(
        default="mask",
        description="`mask`: tokens at peaks of change are pivots; `drop`: the others never reach the language model.",
    )
    dpselect_ratio: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the time steps that `drop` keeps; 1 in every released configuration.",
    )
    window: int = Field(default=3, ge=1, description="Steps among which a peak is the maximum; odd.")
    patch_sync: bool = Field(
        default=False,
        description="All patches of a frame keep the same steps; otherwise each keeps its own, as released.",
    )
    pivot_fill: Literal["1.0", "inf"] = Field(
        default="1.0",
        description="Score of a pivot: `1.0`, the mean score, as released (most pivots are then dropped), or `inf`:"
        " pivots are kept before everything else, as the paper says.",
    )
    reforge: bool = Field(
        default=True, description="Close the time axis over dropped tokens; scores then ignore positions."
    )
    text_after: Literal["released", "paper"] = Field(
        default="released",
        description="Positions of the text after a reforged video: `released` moves its time alone; `paper` lets all"
        " three axes continue after the largest id of the video.",
    )
    scores: Literal["chunk", "prompt"] = Field(
        default="chunk",
        description="The tokens that attend: the `chunk` itself (ReTaKe), or the `prompt` after each chunk"
        " (AdaReTaKe).",
    )
    prompt_tokens: int = Field(
        default=1024,
        ge=1,
        description="Largest number of tokens of the prompt that attend, from its end (AdaReTaKe: 152 once).",
    )
    layer_budget: Literal["even", "adakv"] = Field(
        default="even",
        description="The same number of tokens in all layers, or more where scores are high (AdaReTaKe).",
    )
    temporal_budget: bool = Field(
        default=False, description="More tokens for chunks whose frames change more (AdaReTaKe)."
    )
    reference_bug: bool = Field(
        default=False,
        description="LLaVA: apply DPSelect's marks of unpooled patches to pooled tokens in order, as released.",
    )

    @field_validator("pivot_fill", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError("a window needs a middle: give an odd number")
        return window

    @model_validator(mode="after")
    def _one_measure(self) -> Retake:
        if self.dpselect_ratio < 1 and self.dpselect != "drop":
            raise ValueError(f"dpselect_ratio {self.dpselect_ratio} has no effect with `dpselect: {self.dpselect}`")
        return self

    def share(self, length: int) -> float:
        """The share of the video's tokens to keep, for a prompt of `length` tokens.

        Examples
        --------
        >>> Retake(budget_tokens=16000).share(length=64000)
        0.25
        """
        if self.ratio is not None:
            return self.ratio
        return 1.0 if self.budget_tokens is None else min(1.0, self.budget_tokens / length)
