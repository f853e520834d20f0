"""CLIP (Radford et al., ICML 2021): cosine of image and text embedding."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from framesift.scoring.encoders import unit_length
from framesift.scoring.encoders._transformers import OfTransformers
from framesift.scoring.scorers import TwoTowers


class Clip(TwoTowers, OfTransformers):
    """Cosine between the projected embeddings of frame and text, as in AKS (feature_extract.py, `clip`).

    Texts longer than the model's context are cut at its end: 77 tokens, or 248 for a checkpoint of long-text CLIP.
    """

    title = "CLIP"
    cites = ("radford2021clip",)
    version = 1
    architecture: ClassVar[str] = "CLIPModel"

    kind: Literal["clip"] = "clip"

    def features(self, loaded: Any, pixels: Any) -> Any:
        model, _ = loaded
        return unit_length(model.get_image_features(pixel_values=pixels.to(model.device, model.dtype)))

    def text_features(self, loaded: Any, text: str) -> Any:
        model, processor = loaded
        context = model.config.text_config.max_position_embeddings
        tokens = processor.tokenizer(text, truncation=True, max_length=context, return_tensors="pt")
        return unit_length(model.get_text_features(**tokens.to(model.device)))
