"""Scorers: how well does a frame fit a question?

A scorer sees the frames of a video once, in batches, and serves all questions of the video from that one pass:
`features` does the work that depends on the frames alone, `scores` the rest.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from framesift.models import Checkpoint
from framesift.questions import Question
from framesift.spec import not_in_spec

if TYPE_CHECKING:
    import numpy as np


class Scorer(Checkpoint):
    """Contract of a scorer: `load`, then `features` and `scores` for each batch of frames."""

    #: True where `features` are small vectors worth keeping, so that a new question needs no decoding.
    keeps_features: ClassVar[bool] = False

    text: Literal["question", "question_and_options"] = Field(
        default="question",
        description="What the scorer is asked: the question alone (as AKS does), or with its options.",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="Precision of the model.")
    batch_size: int = Field(default=64, ge=1, description="Frames per batch.", json_schema_extra=not_in_spec())

    @abstractmethod
    def load(self, device: str) -> Any:
        """Load the checkpoint; what it returns is given back to `features` and `scores` as `loaded`."""

    @abstractmethod
    def features(self, loaded: Any, images: list[np.ndarray]) -> Any:
        """What the frames alone give.

        Parameters
        ----------
        loaded
            From `load`.
        images : list of uint8 arrays, each (height, width, 3)
            RGB frames of one batch.

        Returns
        -------
        tensor, shape (batch, ...)
            Anything `scores` can use; float32 of shape (batch, dimensions) on the CPU where `keeps_features`.
        """

    @abstractmethod
    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        """Scores of frames for texts: float32 array of shape (batch, len(texts)); larger is better."""

    def query(self, question: Question) -> str:
        """The text this scorer is asked for a question."""
        if self.text == "question":
            return question.question
        letters = (f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(question.options))
        return " ".join([question.question, *letters])


def unit_length(output: Any) -> Any:
    """Embeddings as float32 of length 1 on the CPU (transformers 5 wraps them in an output object)."""
    import torch

    embedding = output if torch.is_tensor(output) else output.pooler_output
    return torch.nn.functional.normalize(embedding.float(), dim=-1).cpu()
