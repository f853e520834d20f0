"""BLIP image-text contrast (Li et al., ICML 2022): the embeddings that BLIP retrieves by before it matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from framesift.scorers import unit_length
from framesift.scorers._blip import Blip

if TYPE_CHECKING:
    import numpy as np


class BlipItc(Blip):
    """Cosine between the projected embeddings of frame and text: cheaper than matching, and another score than it."""

    kind: Literal["blip_itc"] = "blip_itc"
    keeps_features: ClassVar[bool] = True

    def features(self, loaded: Any, images: list[np.ndarray]) -> Any:
        import torch

        model, _ = loaded
        with torch.inference_mode():
            return unit_length(model.vision_proj(self.image_tokens(loaded, images)[:, 0]))

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        import torch

        model, _ = loaded
        rows = []
        for text in texts:
            with torch.inference_mode():
                hidden = model.text_encoder(**self.text_tokens(loaded, text)).last_hidden_state
                rows.append(unit_length(model.text_proj(hidden[:, 0])))
        return (features @ torch.cat(rows).T).numpy()
