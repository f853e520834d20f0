"""How frames are labelled, and by what: every choice that the paper leaves open is a field here.

This module imports nothing heavier than pydantic, so that a workflow can read it while it is planning.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from framesift.checkpoints.component import Checkpoint, model_digest
from framesift.core.spec import not_in_spec, spec_of
from framesift.remote.chat_api import ChatApi
from framesift.scoring.mllm_selector.label_prompts import Prompts
from framesift.scoring.mllm_selector.settings import FrozenSettings
from framesift.scoring.scorers import Asked

#: Arguments of a chat template that every prompt is made with.
OWN_ARGUMENTS = {"conversation", "tokenize", "add_generation_prompt", "continue_final_message"}


class LocalModel(Checkpoint):
    """A chat model of transformers that runs here: one that sees pictures for `vlm`, one of texts for `llm`."""

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
        """What its replies depend on, wherever the checkpoint lies."""
        named = {name: value for name, value in self.spec().items() if name not in ("model", "revision")}
        return named | {"weights": model_digest(self.model, self.revision)}

    def connection(self) -> dict[str, Any]:
        """Fields that decide no label, which a program needs beside the spec."""
        return {"batch_size": self.batch_size}


class ServedModel(ChatApi):
    """A model behind a server of chat completions.

    For `vlm` the server must tell the log-probabilities of tokens. One that goes on with a reply that was begun (vLLM,
    SGLang) gets explanation and verdict as one reply, as a local model does; another (OpenAI) is asked for the verdict
    in a turn of its own.
    """

    kind: Literal["openai_api"] = "openai_api"
    continues: bool = Field(
        default=True,
        description="The server can go on with a reply that was begun: vLLM and SGLang can, OpenAI cannot.",
    )
    image_format: Literal["jpeg", "png"] = Field(
        default="jpeg", description="How frames are encoded; `png` loses nothing."
    )

    def made_by(self) -> dict[str, Any]:
        """What its replies depend on, as far as that is known."""
        return self.spec() | {"weights": self.identity()}


class ScorerStandIn(FrozenSettings):
    """Scores of a configured scorer stand in for the verdicts of a VLM. It explains and describes nothing."""

    kind: Literal["scorer"] = "scorer"
    scorer: str = Field(min_length=1, description="Name of a scorer.")
    exponent: float = Field(
        default=1.0,
        gt=0,
        description="Of the scaled scores. Scores of a dual encoder lie close together, verdicts do not: a larger one"
        " makes the stand-in as sure of itself.",
    )


class Peaks(FrozenSettings):
    """The peaks of the spatial labels stand in for the frames that an LLM would name.

    A peak reaches down to half of its prominence on both sides.
    """

    kind: Literal["peaks"] = "peaks"
    prominence: float = Field(
        default=0.5, gt=0, le=1, description="Least prominence of a peak, as a share of the range of the labels."
    )


SpatialModel = Annotated[LocalModel | ServedModel | ScorerStandIn, Field(discriminator="kind")]
TemporalModel = Annotated[LocalModel | ServedModel | Peaks, Field(discriminator="kind")]


class LabelSettings(FrozenSettings):
    """Soft labels of frames: the average of a spatial and a temporal one (Hu et al., arXiv 2502.19680, section 3).

    Defaults are the paper's where it says something (one frame at a time, explanation before verdict, the average),
    and otherwise the choices that docs/mllm_selector.md gives reasons for.
    """

    vlm: SpatialModel = Field(description="What looks at single frames, for spatial labels and captions.")
    llm: TemporalModel | None = Field(
        default=None, description="What reads the captions, for temporal labels; none for the VLM itself."
    )
    n: int = Field(default=128, ge=1, description="Frames that the selector to be trained sees.")
    n_label: int | None = Field(
        default=None,
        ge=2,
        description="Frames that are really labelled, uniform over those; the others are interpolated. None for all.",
    )
    weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the temporal label: 0 for spatial labels alone, 1 for temporal ones alone.",
    )
    retries: int = Field(
        default=2, ge=0, description="How often the LLM is asked again after a reply that cannot be used."
    )
    text: Asked = Field(
        default="question_and_options",
        description="What of a question is shown: the question alone, or its options too. As the selector's.",
    )
    max_side: int | None = Field(
        default=448, ge=16, description="Longest side of a frame in pixels, larger ones are scaled down; none for all."
    )
    explanation_tokens: int = Field(default=64, ge=1, description="Longest explanation before a verdict.")
    caption_tokens: int = Field(default=64, ge=1, description="Longest caption of a frame.")
    reply_tokens: int = Field(default=1024, ge=1, description="Longest reply to the captions.")
    prompts: Prompts = Field(default=Prompts(), description="What the models are asked.")

    @model_validator(mode="after")
    def _possible(self) -> LabelSettings:
        if self.temporal and self.reader is None:
            raise ValueError("scores describe no frames to an LLM: set llm: {kind: peaks}, or weight: 0")
        return self

    @property
    def spatial(self) -> bool:
        """Whether spatial labels are wanted, for themselves or for their peaks."""
        return self.weight < 1 or isinstance(self.reader, Peaks)

    @property
    def temporal(self) -> bool:
        """Whether temporal labels are wanted."""
        return self.weight > 0

    @property
    def reader(self) -> LocalModel | ServedModel | Peaks | None:
        """What gives temporal labels; None where nothing can."""
        return self.llm or (None if isinstance(self.vlm, ScorerStandIn) else self.vlm)

    @property
    def captions(self) -> bool:
        """Whether frames are described."""
        return self.temporal and not isinstance(self.reader, Peaks)

    def spec(self) -> dict[str, Any]:
        """The settings that decide labels, as plain types."""
        parts = {name: part.spec() for name in ("vlm", "llm") if hasattr(part := getattr(self, name), "spec")}
        return spec_of(self) | parts
