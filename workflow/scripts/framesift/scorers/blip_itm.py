"""BLIP image-text matching (Li et al., ICML 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from framesift.models import pretrained
from framesift.scorers import Scorer

if TYPE_CHECKING:
    import numpy as np


class BlipItm(Scorer):
    """Probability that text and frame match (ITM head), as in AKS (feature_extract.py, `blip`), through transformers.

    The image tokens of a batch are computed once and every question of the video is matched against them; they are
    too large to keep. The release cuts texts at 35 tokens.
    """

    kind: Literal["blip_itm"] = "blip_itm"
    max_tokens: int = Field(default=35, ge=3, description="Longest text in tokens; the rest is cut.")

    def load(self, device: str) -> Any:
        import torch
        from transformers import AutoProcessor, BlipForImageTextRetrieval

        model = pretrained(BlipForImageTextRetrieval, self.model, self.revision, dtype=getattr(torch, self.dtype))
        return model.eval().to(device), pretrained(AutoProcessor, self.model, self.revision)

    def features(self, loaded: Any, images: list[np.ndarray]) -> Any:
        import torch

        model, processor = loaded
        pixels = processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            return model.vision_model(pixel_values=pixels.to(model.device, model.dtype)).last_hidden_state

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        import torch

        model, processor = loaded
        seen = torch.ones(features.shape[:2], dtype=torch.long, device=features.device)
        columns = []
        for text in texts:
            tokens = processor.tokenizer(text, truncation=True, max_length=self.max_tokens, return_tensors="pt")
            tokens = tokens.to(model.device)
            batch = features.shape[0]
            with torch.inference_mode():
                hidden = model.text_encoder(
                    input_ids=tokens["input_ids"].expand(batch, -1),
                    attention_mask=tokens["attention_mask"].expand(batch, -1),
                    encoder_hidden_states=features,
                    encoder_attention_mask=seen,
                ).last_hidden_state
                columns.append(torch.softmax(model.itm_head(hidden[:, 0]).float(), dim=1)[:, 1])
        return torch.stack(columns, dim=1).cpu().numpy()
