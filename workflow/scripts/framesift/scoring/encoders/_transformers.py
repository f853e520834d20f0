"""What encoders that run through transformers share: checkpoint, processor and pictures."""

from __future__ import annotations

from typing import Any, ClassVar

from framesift.checkpoints.component import pretrained
from framesift.scoring.encoders import Encoder
from framesift.video.pictures import Pictures


class OfTransformers(Encoder):
    """A model of transformers with its processor; `loaded` is the pair of them."""

    #: Name of the model's class.
    architecture: ClassVar[str]

    def load(self, device: str) -> Any:
        import torch
        import transformers

        cls = getattr(transformers, self.architecture)
        model = pretrained(cls, self.model, self.revision, dtype=getattr(torch, self.dtype))
        return model.eval().to(device), pretrained(transformers.AutoProcessor, self.model, self.revision)

    def pictures(self, loaded: Any) -> Pictures:
        return Pictures.of(loaded[1].image_processor)
