"""LLaVA-Video (Zhang et al., TMLR 2025) by its authors' own code: the checkpoints lmms-lab/LLaVA-Video-*-Qwen2."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.answering.answerers._llava import ARCHITECTURE, LlavaAnswerer, WatchedLlava
from framesift.answering.protocols import UniformArm


class LlavaVid(LlavaAnswerer):
    """lmms-eval's simple model `llava_vid`, given its frames as one video of K pictures.

    The defaults are what the authors publish (LLaVA-NeXT, docs/LLaVA_Video_1003.md): bfloat16 and the time instruction
    of their example, average pooling of their evaluation. A picture of 384 px is 13 x 14 tokens with average pooling
    and 14 x 15 with bilinear. The time instruction tells the length of the video and the true seconds of each frame; it
    says that the frames are "uniformly sampled", whatever they are.

    AKS's release instead has conv_template chatml_direct, no time instruction, dtype float16, and leaves pooling and
    newlines to the checkpoint (mm_spatial_pool_mode and mm_newline_position null; lmms-eval's overwrite=False).
    """

    title = "LLaVA-Video"
    cites = ("zhang2025llavavideo",)
    version = 1
    released_uniform: ClassVar[UniformArm] = "one_per_second"

    kind: Literal["llava_vid"] = "llava_vid"
    dtype: Literal["bfloat16", "float16"] = Field(default="bfloat16", description="Precision of the model.")
    add_time_instruction: bool = Field(
        default=True, description="Tell the model how long the video is, and the seconds of every frame."
    )
    mm_spatial_pool_mode: Literal["average", "max", "bilinear"] | None = Field(
        default="average",
        description="How 2 x 2 patches of a picture become one token; null for what the checkpoint says.",
    )
    mm_newline_position: Literal["grid", "frame", "one_token", "no_token"] | None = Field(
        default="grid",
        description="Where newline tokens stand: after each row of a picture (grid), after each picture, after the"
        " video, nowhere; null for what the checkpoint says.",
    )

    def _made(self, folder: str, device: str) -> Any:
        model = _model_class()(
            pretrained=folder,
            torch_dtype=self.dtype,
            device=device,
            device_map="auto",
            attn_implementation=self.attn_implementation,
            conv_template=self.conv_template,
            add_time_instruction=self.add_time_instruction,
            overwrite=False,  # it would look for the names of language models in the path
        )
        # read at every question, as lmms-eval's overwrite would have set them
        for name in ("mm_spatial_pool_mode", "mm_newline_position"):
            if getattr(self, name) is not None:
                setattr(model.model.config, name, getattr(self, name))
        return model


@cache
def _model_class() -> Any:
    """LlavaVid of lmms-eval with what the contract asks for."""
    from lmms_eval.models.simple.llava_vid import LlavaVid as LmmsLlavaVid

    class WatchedLlavaVid(WatchedLlava, LmmsLlavaVid):
        def __init__(self, **options: Any) -> None:
            LmmsLlavaVid.__init__(self, **options)
            self.ready()

        @property
        def model_name(self) -> str:
            return ARCHITECTURE

        @model_name.setter
        def model_name(self, name: str) -> None:
            pass  # LlavaVid takes the folder's name, of which a commit of the hub has none

        def load_video(self, path: Any, *sampling: Any, **options: Any) -> tuple[np.ndarray, str, float]:
            frames, pictures = self.shown(path)
            times = ",".join(f"{time:.2f}s" for time in frames.times)
            return pictures, times, frames.n_frames / frames.fps

    return WatchedLlavaVid
