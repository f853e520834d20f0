"""BLIP image-text contrast (Li et al., ICML 2022): the embeddings that BLIP retrieves by before it matches."""

from __future__ import annotations

from typing import Any, Literal

from framesift.scoring.encoders import unit_length
from framesift.scoring.scorers import TwoTowers
from framesift.scoring.scorers._blip import Blip


class BlipItc(TwoTowers, Blip):
    """Cosine between the projected embeddings of frame and text: cheaper than matching, and another score than it."""

    title = "BLIP (image-text contrast)"
    cites = ("li2022blip",)
    version = 1

    kind: Literal["blip_itc"] = "blip_itc"

    def features(self, loaded: Any, pixels: Any) -> Any:
        return unit_length(loaded[0].vision_proj(self.image_tokens(loaded, pixels)[:, 0]))

    def text_features(self, loaded: Any, text: str) -> Any:
        model, _ = loaded
        hidden = model.text_encoder(**self.text_tokens(loaded, text)).last_hidden_state
        return unit_length(model.text_proj(hidden[:, 0]))
