"""SigLIP (Zhai et al., ICCV 2023) and SigLIP 2 (Tschannen et al., 2025): cosine of image and text embedding."""

from __future__ import annotations

from typing import Any, Literal

from framesift.encoders import unit_length
from framesift.models import pretrained
from framesift.pictures import Pictures
from framesift.scorers import TwoTowers


class Siglip(TwoTowers):
    """Cosine between the embeddings of frame and text; the model's sigmoid keeps their order.

    Texts are padded to the model's context (64 tokens), as in training, and cut at its end.
    """

    kind: Literal["siglip"] = "siglip"

    def load(self, device: str) -> Any:
        import torch
        from transformers import AutoModel, AutoProcessor

        model = pretrained(AutoModel, self.model, self.revision, dtype=getattr(torch, self.dtype))
        return model.eval().to(device), pretrained(AutoProcessor, self.model, self.revision)

    def pictures(self, loaded: Any) -> Pictures:
        return Pictures.of(loaded[1].image_processor)

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
