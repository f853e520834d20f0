"""CLIP (Radford et al., ICML 2021): cosine of image and text embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from framesift.models import pretrained
from framesift.scorers import Scorer, unit_length

if TYPE_CHECKING:
    import numpy as np


class Clip(Scorer):
    """Cosine between the projected embeddings of frame and text, as in AKS (feature_extract.py, `clip`).

    Texts longer than the model's context (77 tokens) are cut at its end.
    """

    kind: Literal["clip"] = "clip"
    keeps_features: ClassVar[bool] = True

    def load(self, device: str) -> Any:
        import torch
        from transformers import AutoProcessor, CLIPModel

        model = pretrained(CLIPModel, self.model, self.revision, dtype=getattr(torch, self.dtype))
        return model.eval().to(device), pretrained(AutoProcessor, self.model, self.revision)

    def features(self, loaded: Any, images: list[np.ndarray]) -> Any:
        import torch

        model, processor = loaded
        pixels = processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            output = model.get_image_features(pixel_values=pixels.to(model.device, model.dtype))
        return unit_length(output)

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        import torch

        model, processor = loaded
        # One text at a time: padding to a common length would make a score depend on the other questions.
        rows = []
        for text in texts:
            tokens = processor.tokenizer(text, truncation=True, return_tensors="pt").to(model.device)
            with torch.inference_mode():
                rows.append(unit_length(model.get_text_features(**tokens)))
        return (features @ torch.cat(rows).T).numpy()
