"""DINOv2 (Oquab et al., TMLR 2024): what a frame looks like, whatever is asked."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from framesift.checkpoints.component import pretrained
from framesift.scoring.encoders import Encoder, unit_length
from framesift.video.pictures import Pictures


class Dino(Encoder):
    """Unit-length embedding by a DINOv2, or another vision transformer whose first token stands for the picture."""

    title = "DINOv2"
    cites = ("oquab2024dinov2",)
    version = 1

    kind: Literal["dino"] = "dino"
    pooling: Literal["cls", "mean", "mean_all"] = Field(
        default="cls",
        description="What of the last layer is the embedding: `cls`, the class token; `mean`, the mean of the patches;"
        " `mean_all`, the mean of all tokens, as DIG takes it.",
    )

    def load(self, device: str) -> Any:
        import torch
        from transformers import AutoImageProcessor, AutoModel

        model = pretrained(AutoModel, self.model, self.revision, dtype=getattr(torch, self.dtype))
        return model.eval().to(device), pretrained(AutoImageProcessor, self.model, self.revision)

    def pictures(self, loaded: Any) -> Pictures:
        return Pictures.of(loaded[1])

    def features(self, loaded: Any, pixels: Any) -> Any:
        model, _ = loaded
        tokens = model(pixel_values=pixels.to(model.device, model.dtype)).last_hidden_state
        if self.pooling == "cls":
            return unit_length(tokens[:, 0])
        # registers, where a model has them, stand between the class token and the patches
        first = 1 + getattr(model.config, "num_register_tokens", 0) if self.pooling == "mean" else 0
        return unit_length(tokens[:, first:].float().mean(dim=1))
