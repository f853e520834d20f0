"""Patches of frames, pooled to a small grid: what the M-LLM frame selector is shown (Hu et al., arXiv 2502.19680)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from framesift.scoring.encoders._transformers import OfTransformers
from framesift.scoring.mllm_selector.sampling import slots


class Patches(OfTransformers):
    """Features of `pool` x `pool` parts of each frame by a vision transformer, kept as float16.

    The tokens of the patches, a square grid, are averaged adaptively: 24 x 24 of SigLIP-large at 384 pixels become
    3 x 3 means of 8 x 8. Tokens that stand before the patches (class, registers) are left out.
    """

    title = "patches of frames, as the M-LLM selector sees them"
    cites = ("hu2025mllm",)
    version = 1
    architecture: ClassVar[str] = "AutoModel"
    processing: ClassVar[str] = "AutoImageProcessor"
    vectors: ClassVar[bool] = False

    kind: Literal["patches"] = "patches"
    pool: int = Field(default=3, ge=1, description="Rows and columns of the grid that the patches of a frame become.")
    layer: int = Field(
        default=-1,
        le=-1,
        description="Whose output: -1 the vision model's own, with its last norm; -2 the block before the last, and so"
        " on.",
    )
    frames: int | None = Field(
        default=128,
        ge=1,
        description="Frames it sees of a video, uniform over the candidates; none for all.",
    )

    def positions(self, candidates: int) -> list[int]:
        if self.frames is None or candidates <= self.frames:
            return list(range(candidates))
        return slots(candidates, self.frames).tolist()

    def seeing(self, model: Any) -> Any:
        return getattr(model, "vision_model", model)  # of a model of pictures and texts, the half that sees

    def features(self, loaded: Any, pixels: Any) -> Any:
        """Float16 on the CPU, shape (batch, pool * pool, width): rows of the grid one after the other."""
        import torch

        tower, _ = loaded
        parameter = next(tower.parameters())
        inner = self.layer if self.layer < -1 else False
        output = tower(pixel_values=pixels.to(parameter.device, parameter.dtype), output_hidden_states=inner)
        tokens = output.hidden_states[self.layer] if inner else output.last_hidden_state
        side = tower.config.image_size // tower.config.patch_size
        grid = tokens[:, -side * side :].float().transpose(1, 2).unflatten(2, (side, side))
        pooled = torch.nn.functional.adaptive_avg_pool2d(grid, self.pool).flatten(2)
        return pooled.transpose(1, 2).half().cpu().contiguous()
