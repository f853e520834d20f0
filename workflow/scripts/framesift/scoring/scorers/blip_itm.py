"""BLIP image-text matching (Li et al., ICML 2022)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from framesift.scoring.scorers._blip import Blip, encoder_token


class BlipItm(Blip):
    """Probability that text and frame match (ITM head), as in AKS (feature_extract.py, `blip`), through transformers.

    The image tokens of a batch are computed once and every question of the video is matched against them; they are
    too large to keep.
    """

    title = "BLIP (image-text matching)"
    cites = ("li2022blip",)
    version = 1

    kind: Literal["blip_itm"] = "blip_itm"
    first_token: Literal["enc", "cls"] = Field(
        default="enc",
        description="Token that begins a text: `enc`, as LAVIS trained it, or `cls`, as transformers' own forward has.",
    )

    def features(self, loaded: Any, pixels: Any) -> Any:
        return self.image_tokens(loaded, pixels)

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        import torch
        from transformers import DynamicCache, EncoderDecoderCache

        model, _ = loaded
        columns = []
        # What the texts attend to in the pictures is projected for the first text, and serves the others too.
        seen = EncoderDecoderCache(DynamicCache(), DynamicCache())
        for text in texts:
            tokens = self.text_tokens(loaded, text)
            if self.first_token == "enc":
                tokens["input_ids"][:, 0] = encoder_token(loaded)
            batch = features.shape[0]
            seen.self_attention_cache = DynamicCache()
            hidden = model.text_encoder(
                input_ids=tokens["input_ids"].expand(batch, -1),
                attention_mask=tokens["attention_mask"].expand(batch, -1),
                encoder_hidden_states=features,
                past_key_values=seen,
            ).last_hidden_state
            columns.append(torch.softmax(model.itm_head(hidden[:, 0]).float(), dim=1)[:, 1])
        return torch.stack(columns, dim=1).cpu().numpy()
