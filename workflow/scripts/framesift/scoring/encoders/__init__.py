"""Encoders: what a vision model sees in a frame. Scorers are encoders that also know how well a frame fits a text.

Frames are resized where they are decoded, by `pictures`; `features` gets them as the model's input, in batches.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from pydantic import Field

from framesift.checkpoints.component import Checkpoint, model_digest
from framesift.core.spec import not_in_spec
from framesift.video.pictures import Pictures


class Encoder(Checkpoint):
    """Contract of an encoder: `load`, `pictures`, then `features` for each batch of frames."""

    #: True where `features` are small vectors worth keeping, so that a new question needs no decoding.
    keeps_features: ClassVar[bool] = True
    #: Whether they are one vector a frame, as selectors compare them.
    vectors: ClassVar[bool] = True
    #: The conda environment in which it runs: envs/{env}.yaml, or the path of a .yaml relative to the class's file.
    env: ClassVar[str] = "features"
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="Precision of the model.")
    batch_size: int = Field(default=32, ge=1, description="Frames per batch.", json_schema_extra=not_in_spec())

    def weights(self) -> str:
        """What identifies the weights, wherever they lie."""
        return model_digest(self.model, self.revision)

    def positions(self, candidates: int) -> list[int]:
        """Which of a video's candidates it sees, ascending: all, unless it says otherwise."""
        return list(range(candidates))

    def feature_encoder(self) -> Encoder:
        """Whose `features` these are: its own, or those of an encoder that it builds on, kept in that one's cache."""
        return self

    @abstractmethod
    def load(self, device: str) -> Any:
        """Load the checkpoint; what it returns is given back to the other methods as `loaded`."""

    @abstractmethod
    def pictures(self, loaded: Any) -> Pictures:
        """How the model wants its pictures."""

    @abstractmethod
    def features(self, loaded: Any, pixels: Any) -> Any:
        """What the frames alone give.

        Parameters
        ----------
        loaded
            From `load`.
        pixels : tensor, shape (batch, 3, height, width)
            Float32 on the CPU or the model's device, resized and normalised by `pictures`.

        Returns
        -------
        tensor, shape (batch, ...)
            On the CPU where `keeps_features`, and float32 of shape (batch, dimensions) where they are `vectors`; else
            anything `scores` can use.
        """


def unit_length(output: Any) -> Any:
    """Embeddings as float32 of length 1 on the CPU (transformers 5 wraps them in an output object).

    Examples
    --------
    >>> import torch
    >>> unit_length(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    import torch

    embedding = output if torch.is_tensor(output) else output.pooler_output
    return torch.nn.functional.normalize(embedding.float(), dim=-1).cpu()


def cosines(features: Any, texts: Any) -> Any:
    """Cosines of unit vectors: array of shape (batch, texts). Each text by itself, so no score depends on another's.

    Examples
    --------
    >>> import torch
    >>> cosines(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), [torch.tensor([0.0, 1.0])])
    array([[0.],
           [1.]], dtype=float32)
    """
    import torch

    return torch.stack([features @ text for text in texts], dim=1).numpy()
