"""Answerers: the video LLMs that answer the questions, run through lmms-eval.

An answerer sees exactly the frames it is given, as one video. Decoding, the journal of answers and the checks around
it are the same for all (`framesift.answering.asker`).
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from framesift.answering.lmms.task import Frames
from framesift.answering.protocols import UniformArm
from framesift.checkpoints.component import Checkpoint, model_digest
from framesift.core.components import Component
from framesift.core.spec import not_in_spec

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class AnswerRequest:
    """One question as it is put to a model.

    Attributes
    ----------
    frames : Frames
        The pictures, in the order in which they are to be shown, with their indices and times.
    text : str
        The whole text of the prompt, as the task of lmms-eval makes it.
    messages : list of dict or None
        What a chat model of lmms-eval is sent: roles and contents, `frames` among them. None for simple models.
    generation : dict
        Generation settings of the task (``max_new_tokens``, ...); the model may change it.
    request : lmms_eval.api.instance.Instance
        The request for a model class of lmms-eval; whatever it makes of its document gives `frames`.
    documents : dict
        The `task_dict` of a model class of lmms-eval.
    """

    frames: Frames
    text: str
    messages: list[dict[str, Any]] | None
    generation: dict[str, Any]
    request: Any
    documents: Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """What one call of a network really got: frame indices in the video, their seconds, and a digest of the pixels."""

    frames: list[int]
    times: list[float]
    pixels: str


@dataclass(frozen=True)
class Reply:
    """What a model said, and what it was given.

    `usage` counts what is paid for, such as tokens; `cost` is what was measured of a network that runs here.
    """

    text: str
    given: Given
    usage: dict[str, int] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict, compare=False)


class LoadedAnswerer(ABC):
    """A loaded answerer."""

    @abstractmethod
    def answer(self, asked: AnswerRequest) -> Reply:
        """Answer one question.

        The model passes every picture on, in order, as one video, resamples nothing, compares the number of pictures
        with what goes into the network (`given`), and raises whatever goes wrong: many model classes of lmms-eval log
        an error and answer with an empty text.
        """


class Answerer(Component):
    """Contract of an answerer: `load`, and what identifies its weights."""

    #: Which kind of request it is asked with: that of lmms-eval's chat models, or that of its simple ones.
    chat: ClassVar[bool] = True
    #: The conda environment in which it runs: envs/{env}.yaml, or the path of a .yaml relative to the class's file.
    env: ClassVar[str] = "evaluate"
    #: Libraries whose versions may change an answer.
    libraries: ClassVar[tuple[str, ...]] = ("lmms-eval", "torch", "transformers")
    #: How the uniform arm of the protocol `released` takes its frames.
    released_uniform: ClassVar[UniformArm] = "linspace"

    variant_of: str | None = Field(
        default=None,
        description="Name of the answerer that this one is a variant of: tables show it as that one with another"
        " method, `METHOD + LABEL`, and compare it with that one's baseline.",
        json_schema_extra=not_in_spec(),
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, description="Longest answer in tokens; none for what the lmms-eval task says."
    )

    @property
    def concurrency(self) -> int:
        """Questions that may be asked at a time."""
        return 1

    def connection(self) -> dict[str, Any]:
        """Fields that decide no answer, and that a program needs beside the spec."""
        return {}

    def picture(self, image: Image) -> Image:
        """A decoded frame as the model's own processing is to get it."""
        return image

    @abstractmethod
    def weights(self) -> str:
        """What identifies the weights."""

    @abstractmethod
    def load(self, device: str) -> LoadedAnswerer:
        """Load the model on ``cpu`` or ``cuda``."""


class LocalAnswerer(Answerer, Checkpoint):
    """An answerer whose checkpoint runs here."""

    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="bfloat16", description="Precision of the model.")
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        default="sdpa", description="Implementation of attention in transformers."
    )

    def weights(self) -> str:
        return model_digest(self.model, self.revision)


def given(frames: Frames, pixels: Any, shown: int | None = None) -> Given:
    """What a network gets, from the frames that were processed and the tensor that came of them.

    Parameters
    ----------
    frames : Frames
    pixels : tensor
        All that the network sees of them.
    shown : int
        How many pictures the tensor holds, from its shape; by default (..., channels, height, width).

    Raises
    ------
    RuntimeError
        Where the tensor does not hold as many pictures as there are frames.
    """
    shown = math.prod(pixels.shape[:-3]) if shown is None else shown
    if shown != len(frames) or not len(frames):
        raise RuntimeError(f"{len(frames)} frames became a tensor of {shown} pictures, of shape {tuple(pixels.shape)}")
    return Given(list(frames.frames), list(frames.times), tensor_digest(pixels))


def tensor_digest(tensor: Any) -> str:
    """A digest of shape, type and values of a tensor of any device."""
    import torch

    values = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{tuple(values.shape)} {values.dtype}".encode())
    digest.update(memoryview(values.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()[:16]
