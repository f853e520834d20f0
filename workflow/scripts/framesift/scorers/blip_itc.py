"""BLIP image-text contrast (Li et al., ICML 2022): the embeddings that BLIP retrieves by before it matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from framesift.encoders import cosines, unit_length
from framesift.scorers._blip import Blip

if TYPE_CHECKING:
    import numpy as np


class BlipItc(Blip):
    """Cosine between the projected embeddings of frame and text: cheaper than matching, and another score than it."""

    kind: Literal["blip_itc"] = "blip_itc"
    keeps_features: ClassVar[bool] = True

    def features(self, loaded: Any, pixels: Any) -> Any:
        return unit_length(loaded[0].vision_proj(self.image_tokens(loaded, pixels)[:, 0]))

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        import torch

        model, _ = loaded
        rows = []
        for text in texts:
            hidden = model.text_encoder(**self.text_tokens(loaded, text)).last_hidden_state
            rows.append(unit_length(model.text_proj(hidden[:, 0])))
        return cosines(features, torch.cat(rows))
