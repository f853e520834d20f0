"""SigLIP (Zhai et al., ICCV 2023) and SigLIP 2 (Tschannen et al., 2025): cosine of image and text embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from framesift.core.components import Work
from framesift.scoring.encoders import unit_length
from framesift.scoring.encoders._transformers import OfTransformers
from framesift.scoring.scorers import TwoTowers


class Siglip(TwoTowers, OfTransformers):
    """Cosine between the embeddings of frame and text; the model's sigmoid keeps their order.

    Texts are padded to the model's context (64 tokens), as in training, and cut at its end.
    """

    title = "SigLIP"
    cites = ("zhai2023siglip",)
    version = 1
    architecture: ClassVar[str] = "AutoModel"

    kind: Literal["siglip"] = "siglip"

    @classmethod
    def work(cls, spec: Mapping[str, Any]) -> Work:
        if "siglip2" in str(spec.get("model", "")).lower():
            return Work("SigLIP 2", (*cls.cites, "tschannen2025siglip2"))
        return super().work(spec)

    def features(self, loaded: Any, pixels: Any) -> Any:
        model, _ = loaded
        return unit_length(model.get_image_features(pixel_values=pixels.to(model.device, model.dtype)))

    def text_features(self, loaded: Any, text: str) -> Any:
        model, processor = loaded
        context = model.config.text_config.max_position_embeddings
        tokens = processor.tokenizer(
            text, padding="max_length", truncation=True, max_length=context, return_tensors="pt"
        )
        # no attention mask: the model was trained to see its padding
        return unit_length(model.get_text_features(input_ids=tokens["input_ids"].to(model.device)))
