"""CLIP (Radford et al., ICML 2021): cosine of image and text embedding."""

from __future__ import annotations

from typing import Any, Literal

from framesift.encoders import unit_length
from framesift.models import pretrained
from framesift.pictures import Pictures
from framesift.scorers import TwoTowers


class Clip(TwoTowers):
    """Cosine between the projected embeddings of frame and text, as in AKS (feature_extract.py, `clip`).

    Texts longer than the model's context are cut at its end: 77 tokens, or 248 for a checkpoint of long-text CLIP.
    """

    kind: Literal["clip"] = "clip"

    def load(self, device: str) -> Any:
        import torch
        from transformers import AutoProcessor, CLIPModel

        model = pretrained(CLIPModel, self.model, self.revision, dtype=getattr(torch, self.dtype))
        return model.eval().to(device), pretrained(AutoProcessor, self.model, self.revision)

    def pictures(self, loaded: Any) -> Pictures:
        return Pictures.of(loaded[1].image_processor)

    def features(self, loaded: Any, pixels: Any) -> Any:
        model, _ = loaded
        return unit_length(model.get_image_features(pixel_values=pixels.to(model.device, model.dtype)))

    def text_features(self, loaded: Any, text: str) -> Any:
        model, processor = loaded
        context = model.config.text_config.max_position_embeddings
        tokens = processor.tokenizer(text, truncation=True, max_length=context, return_tensors="pt")
        return unit_length(model.get_text_features(**tokens.to(model.device)))
