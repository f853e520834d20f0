"""LLaVA-OneVision (Li et al., TMLR 2025) by its authors' own code: the checkpoints lmms-lab/llava-onevision-*-ov."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
from pydantic import Field

from framesift.answering.answerers._llava import ARCHITECTURE, LlavaAnswerer, WatchedLlava


class LlavaOnevision(LlavaAnswerer):
    """lmms-eval's simple model `llava_onevision`, given its frames as one video of K pictures (K x 196 + 1 tokens).

    The model knows the order of its frames, not their times. `llava_onevision_hf` runs the same model in its
    transformers form.

    The defaults are those of the authors' model card. lmms-eval prepares pictures for this model in half precision
    only, so there is no other dtype. AKS's release differs in its conv_template, vicuna_v1, which was lmms-eval's
    default then.
    """

    title = "LLaVA-OneVision"
    cites = ("li2025llavaonevision",)
    version = 1

    kind: Literal["llava_onevision"] = "llava_onevision"
    dtype: Literal["float16"] = Field(default="float16", description="Precision of the model.")
    mm_spatial_pool_mode: Literal["bilinear", "average", "max"] = Field(
        default="bilinear", description="How 2 x 2 patches of a picture become one token."
    )

    def _made(self, folder: str, device: str) -> Any:
        return _model_class()(
            pretrained=folder,
            model_name=ARCHITECTURE,
            device=device,
            device_map="auto",
            attn_implementation=self.attn_implementation,
            conv_template=self.conv_template,
            mm_spatial_pool_mode=self.mm_spatial_pool_mode,
        )


@cache
def _model_class() -> Any:
    """Llava_OneVision of lmms-eval with what the contract asks for."""
    from lmms_eval.models.simple.llava_onevision import Llava_OneVision

    class WatchedLlavaOnevision(WatchedLlava, Llava_OneVision):
        def __init__(self, **options: Any) -> None:
            Llava_OneVision.__init__(self, **options)
            self.ready()

        def load_video(self, path: Any, most: int) -> np.ndarray:
            return self.shown(path)[1]

    return WatchedLlavaOnevision
