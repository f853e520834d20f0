"""DINOv2 (Oquab et al., TMLR 2024): what a frame looks like, whatever is asked."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from framesift.scoring.encoders import unit_length
from framesift.scoring.encoders._transformers import OfTransformers


class Dino(OfTransformers):
    """Unit-length embedding by a DINOv2, or another vision transformer whose first token stands for the picture."""

    title = "DINOv2"
    cites = ("oquab2024dinov2",)
    version = 1
    architecture: ClassVar[str] = "AutoModel"
    processing: ClassVar[str] = "AutoImageProcessor"

    kind: Literal["dino"] = "dino"
    pooling: Literal["cls", "mean", "mean_all"] = Field(
        default="cls",
        description="What of the last layer is the embedding: `cls`, the class token; `mean`, the mean of the patches;"
        " `mean_all`, the mean of all tokens, as DIG takes it.",
    )

    def features(self, loaded: Any, pixels: Any) -> Any:
        model, _ = loaded
        tokens = model(pixel_values=pixels.to(model.device, model.dtype)).last_hidden_state
        if self.pooling == "cls":
            return unit_length(tokens[:, 0])
        # registers, where a model has them, stand between the class token and the patches
        first = 1 + getattr(model.config, "num_register_tokens", 0) if self.pooling == "mean" else 0
        return unit_length(tokens[:, first:].float().mean(dim=1))
