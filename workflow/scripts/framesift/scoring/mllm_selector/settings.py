"""Settings of a selector and of a training stage: every choice that the paper leaves open is a field here.

This module imports nothing heavier than pydantic, so the workflow can read it while planning.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from framesift.checkpoints.component import Pretrained
from framesift.core.spec import Frozen, not_in_spec, spec_id
from framesift.scoring.encoders.patches import Patches
from framesift.scoring.scorers import Asked

#: Placeholder of the question in a template.
PLACE = "{question}"
Task = Literal["instruction", "importance"]
TrainLlm = Literal["none", "lora", "all"]


class LanguageModel(Pretrained):
    """The checkpoint of a causal language model of transformers."""


class SelectorSettings(Frozen):
    """The network: its parts, and how it reads frames and question.

    Defaults are the paper's if it names a value (128 frames, 9 tokens a frame, Qwen2.5-1.5B, the score query last, the
    penultimate block); docs/mllm_selector.md gives reasons for the others.
    """

    vision: Patches = Field(description="The frozen vision encoder, with the number of frames and the pooled grid.")
    llm: LanguageModel = Field(
        default=LanguageModel(model="Qwen/Qwen2.5-1.5B-Instruct", revision="989aa7980e4cf806f80c7fef2b1adb7bc71aa306"),
        description="The language model that reads frames and question.",
    )
    order: Literal["frames_then_question", "question_then_frames"] = Field(
        default="frames_then_question", description="What comes first; the score query is always last."
    )
    read_out: int = Field(
        default=-2,
        le=-1,
        description="The block whose output at the score query is read, before any final norm: -2 the penultimate, -1"
        " the last. Blocks after it do not run.",
    )
    head_width: int | None = Field(
        default=None, ge=1, description="Width of the score head's hidden layer; none for the language model's width."
    )
    head_norm: bool = Field(default=False, description="Normalise (RMS) the input of the score head.")
    template: str = Field(default=PLACE, description=f"The text around a question, with {PLACE} in its place.")
    text: Asked = Field(
        default="question_and_options",
        description="What the prompt contains: the question alone, or its options too.",
    )
    max_tokens: int = Field(default=512, ge=1, description="Tokens after which a question is truncated.")

    @model_validator(mode="after")
    def _complete(self) -> SelectorSettings:
        if self.vision.frames is None:
            raise ValueError("set vision.frames: the selector sees a fixed number of frames")
        if self.template.count(PLACE) != 1:
            raise ValueError(f"a template must contain {PLACE} exactly once")
        return self

    @property
    def n(self) -> int:
        """Frames seen, and scores given."""
        assert self.vision.frames is not None
        return self.vision.frames

    @property
    def template_hash(self) -> str:
        """Identifies the form of a prompt: with another hash, the tokens differ from those of the training."""
        return spec_id({"template": self.template, "order": self.order, "text": self.text, "cut": self.max_tokens})

    def prompt(self, text: str) -> str:
        """The text of a question in its template.

        Examples
        --------
        >>> vision = {"kind": "patches", "model": ".", "frames": 8}
        >>> SelectorSettings(vision=vision, template="Which frames? {question}").prompt("What is it?")
        'Which frames? What is it?'
        """
        return self.template.replace(PLACE, text)


class Lora(Frozen):
    """Low-rank adapters of the language model's linear layers (Hu et al., ICLR 2022)."""

    r: int = Field(default=64, ge=1, description="Rank.")
    alpha: int = Field(default=128, ge=1, description="Scale of the update, divided by the rank.")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="Dropout before the adapters.")
    targets: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        description="Names of the layers with an adapter.",
    )


class Stage(Frozen):
    """One stage of training with AdamW: trained parts, tasks and schedule. The rate rises, then falls to 0."""

    stage: int
    tasks: tuple[Task, ...]
    train_llm: TrainLlm
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)
    lora: Lora = Field(default=Lora(), description="The adapters, if `train_llm` is `lora`.")
    seed: int = Field(default=0, ge=0, description="Seed of initial weights, the order of the data, and dropout.")
    batch_size: int = Field(default=128, ge=1, description="Examples an optimizer step, over all devices.")
    micro_batch: int = Field(
        default=8,
        ge=1,
        description="Examples a forward pass of one device; `batch_size` is reached by gradient accumulation.",
        json_schema_extra=not_in_spec(),
    )
    by_video: bool = Field(
        default=False,
        description="Draw videos with all their examples instead of single examples. Frames that come first then run"
        " once for all examples of a video in a forward pass.",
    )
    shift: bool = Field(
        default=False,
        description="Rotate each video with its labels in time, by a random number of slots, so that a network cannot"
        " memorise the positions in few videos.",
    )
    max_steps: int | None = Field(default=None, ge=1, description="Limit of optimizer steps; none for all epochs.")
    warmup: float = Field(default=0.03, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(default=0.0, ge=0, description="Decay of AdamW.")
    clip: float = Field(default=1.0, gt=0, description="Largest norm of a gradient.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="bfloat16", description="Precision of computation and of frozen weights; trained weights are float32."
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Recompute activations of blocks in the backward pass, to save memory.",
        json_schema_extra=not_in_spec(),
    )
    validate_every: int | None = Field(
        default=None,
        ge=1,
        description="Steps between validations; none for once an epoch. The last step always validates.",
    )
    recall_at: int = Field(default=8, ge=1, description="Budget k of recall@k and evidence recall in validation.")
    save_every: int = Field(
        default=200, ge=1, description="Steps between two checkpoints.", json_schema_extra=not_in_spec()
    )
    saved_as: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Precision of the saved language model, if `train_llm` is `all`."
    )

    @model_validator(mode="after")
    def _possible(self) -> Stage:
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks: name each task once, and at least one")
        if "instruction" in self.tasks and self.train_llm == "lora":
            raise ValueError(
                "adapters are trained on importance alone: instruction following needs blocks of the language model"
                " that"
                " the saved selector does not have"
            )
        return self


class FirstStage(Stage):
    """Stage 1 trains projector, score query and head, on two tasks that alternate step by step."""

    stage: Literal[1] = 1
    tasks: tuple[Task, ...] = Field(default=("instruction", "importance"), description="Tasks, which alternate.")
    train_llm: TrainLlm = Field(
        default="none", description="Trained part of the language model: `none`, `all`, or `lora` adapters."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Highest learning rate.")
    epochs: int = Field(default=1, ge=1, description="Passes over the examples of importance.")


class SecondStage(Stage):
    """Stage 2 also trains adapters of the language model, on importance alone. Adapters usually train at 1e-4."""

    stage: Literal[2] = 2
    tasks: tuple[Task, ...] = Field(default=("importance",), description="Tasks, which alternate.")
    train_llm: TrainLlm = Field(
        default="lora", description="Trained part of the language model: `none`, `all`, or `lora` adapters."
    )
    learning_rate: float = Field(default=1e-5, gt=0, description="Highest learning rate.")
    epochs: int = Field(default=5, ge=1, description="Passes over the examples of importance.")


AnyStage = Annotated[FirstStage | SecondStage, Field(discriminator="stage")]


class TrainingSpec(Frozen):
    """The spec of one run of train_selector.py: a stage, and the network if it does not continue from one."""

    selector: SelectorSettings | None = Field(default=None, description="The network; none with --initial.")
    stage: AnyStage
