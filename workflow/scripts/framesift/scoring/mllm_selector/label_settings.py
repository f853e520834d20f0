"""Settings of pseudo-labels: every choice that the paper leaves open is a field here.

This module imports nothing heavier than pydantic, so the workflow can read it while planning.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from framesift.checkpoints.component import Checkpoint, model_digest
from framesift.core.spec import Frozen, not_in_spec, spec_of
from framesift.remote.chat_api import ChatApi
from framesift.scoring.mllm_selector.label_prompts import Prompts
from framesift.scoring.scorers import Asked

#: Arguments of a chat template that Framesift sets for every prompt.
OWN_ARGUMENTS = {"conversation", "tokenize", "add_generation_prompt", "continue_final_message"}


class LocalModel(Checkpoint):
    """A chat model of transformers on this machine: with vision for `vlm`, of texts for `llm`."""

    kind: Literal["transformers"] = "transformers"
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="bfloat16", description="Precision of the model.")
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        default="sdpa", description="Implementation of attention in transformers."
    )
    template: dict[str, Any] = Field(
        default={}, description="Further arguments of the chat template, such as `{enable_thinking: false}`."
    )
    batch_size: int = Field(default=16, ge=1, description="Prompts per batch.", json_schema_extra=not_in_spec())

    @field_validator("template")
    @classmethod
    def _not_ours(cls, template: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(OWN_ARGUMENTS & template.keys()):
            raise ValueError(f"{', '.join(taken)} cannot be set here")
        return template

    def made_by(self) -> dict[str, Any]:
        """Everything that its replies depend on, except the checkpoint's location."""
        named = {name: value for name, value in self.spec().items() if name not in ("model", "revision")}
        return named | {"weights": model_digest(self.model, self.revision)}

    def connection(self) -> dict[str, Any]:
        """Fields that change no label, which a program needs beside the spec."""
        return {"batch_size": self.batch_size}


class ServedModel(ChatApi):
    """A model behind a server of chat completions.

    For `vlm` the server must return log-probabilities of tokens. A server that can continue a reply (vLLM, SGLang)
    gives explanation and verdict as one reply, as a local model does; another (OpenAI) gives the verdict in a turn of
    its own.
    """

    kind: Literal["openai_api"] = "openai_api"
    continues: bool = Field(
        default=True,
        description="The server can continue a reply: vLLM and SGLang can, OpenAI cannot.",
    )
    image_format: Literal["jpeg", "png"] = Field(default="jpeg", description="Encoding of frames; `png` is lossless.")

    def made_by(self) -> dict[str, Any]:
        """Everything known that its replies depend on."""
        return self.spec() | {"weights": self.identity()}


class ScorerStandIn(Frozen):
    """Scores of a configured scorer stand in for the verdicts of a VLM, without explanations or captions."""

    kind: Literal["scorer"] = "scorer"
    scorer: str = Field(min_length=1, description="Name of a scorer.")
    exponent: float = Field(
        default=1.0,
        gt=0,
        description="Exponent of the scaled scores. Scores of a dual encoder are close together, verdicts are not; a"
        " larger exponent spreads the scores as far.",
    )


class Peaks(Frozen):
    """The peaks of the spatial labels stand in for the frames that an LLM would choose.

    A peak reaches down to half of its prominence on both sides.
    """

    kind: Literal["peaks"] = "peaks"
    prominence: float = Field(
        default=0.5, gt=0, le=1, description="Least prominence of a peak, as a share of the range of the labels."
    )


SpatialModel = Annotated[LocalModel | ServedModel | ScorerStandIn, Field(discriminator="kind")]
TemporalModel = Annotated[LocalModel | ServedModel | Peaks, Field(discriminator="kind")]


class LabelSettings(Frozen):
    """Soft labels of frames: the average of a spatial and a temporal one (Hu et al., arXiv 2502.19680, section 3).

    Defaults are the paper's if it names a value (one frame at a time, explanation before verdict, the average);
    docs/mllm_selector.md gives reasons for the others.
    """

    vlm: SpatialModel = Field(description="The model that inspects single frames, for spatial labels and captions.")
    llm: TemporalModel | None = Field(
        default=None, description="The model that reads the captions, for temporal labels; none for the VLM itself."
    )
    n: int = Field(default=128, ge=1, description="Frames that the selector to be trained sees.")
    n_label: int | None = Field(
        default=None,
        ge=2,
        description="Frames to label, uniform over the `n`; the labels of the others are interpolated. None for all.",
    )
    weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the temporal label: 0 for spatial labels alone, 1 for temporal ones alone.",
    )
    retries: int = Field(
        default=2, ge=0, description="How often to ask the LLM again after a reply that cannot be used."
    )
    text: Asked = Field(
        default="question_and_options",
        description="What prompts contain: the question alone, or its options too. As for the selector.",
    )
    max_side: int | None = Field(
        default=448,
        ge=16,
        description="Longest side of a frame in pixels; larger frames are scaled down. None for no limit.",
    )
    explanation_tokens: int = Field(default=64, ge=1, description="Longest explanation before a verdict.")
    caption_tokens: int = Field(default=64, ge=1, description="Longest caption of a frame.")
    reply_tokens: int = Field(default=1024, ge=1, description="Longest reply to the captions.")
    prompts: Prompts = Field(default=Prompts(), description="The prompts of the models.")

    @model_validator(mode="after")
    def _possible(self) -> LabelSettings:
        if self.temporal and self.reader is None:
            raise ValueError("scores give an LLM no captions to read: set llm: {kind: peaks}, or weight: 0")
        return self

    @property
    def spatial(self) -> bool:
        """Whether spatial labels are needed, for themselves or for their peaks."""
        return self.weight < 1 or isinstance(self.reader, Peaks)

    @property
    def temporal(self) -> bool:
        """Whether temporal labels are needed."""
        return self.weight > 0

    @property
    def reader(self) -> LocalModel | ServedModel | Peaks | None:
        """The model that gives temporal labels; None if there is none."""
        return self.llm or (None if isinstance(self.vlm, ScorerStandIn) else self.vlm)

    @property
    def captions(self) -> bool:
        """Whether frames need captions."""
        return self.temporal and not isinstance(self.reader, Peaks)

    def spec(self) -> dict[str, Any]:
        """The settings that decide labels, as plain types."""
        parts = {name: part.spec() for name in ("vlm", "llm") if hasattr(part := getattr(self, name), "spec")}
        return spec_of(self) | parts
