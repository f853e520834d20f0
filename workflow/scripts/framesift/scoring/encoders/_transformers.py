"""What encoders that run through transformers share: checkpoint, processor and pictures."""

from __future__ import annotations

from typing import Any, ClassVar

from framesift.checkpoints.component import pretrained
from framesift.scoring.encoders import Encoder
from framesift.video.pictures import Pictures


class OfTransformers(Encoder):
    """A model of transformers with its processor; `loaded` is the pair of them."""

    #: Names of the classes of the model and of its processor.
    architecture: ClassVar[str]
    processing: ClassVar[str] = "AutoProcessor"

    def load(self, device: str) -> Any:
        import torch
        import transformers

        model_class, processor_class = (getattr(transformers, name) for name in (self.architecture, self.processing))
        model = pretrained(model_class, self.model, self.revision, dtype=getattr(torch, self.dtype))
        return self.seeing(model).eval().to(device), pretrained(processor_class, self.model, self.revision)

    def seeing(self, model: Any) -> Any:
        """The part of the model that is used: all, unless it says otherwise."""
        return model

    def pictures(self, loaded: Any) -> Pictures:
        return Pictures.of(getattr(loaded[1], "image_processor", loaded[1]))
