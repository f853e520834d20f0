"""Qwen2.5-VL (Bai et al., arXiv 2502.13923): the checkpoints Qwen/Qwen2.5-VL-*-Instruct."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import Field

from framesift.answering.answerers import Given, LoadedAnswerer
from framesift.answering.answerers._long_video import LongVideo
from framesift.answering.answerers._network import Watched, in_own_precision
from framesift.answering.answerers._qwen import (
    MROPE,
    MRope,
    OneVideo,
    QwenVL,
    check_type,
    given_video,
)
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint


class Qwen2_5_VL(LongVideo, QwenVL):
    """lmms-eval's chat model `qwen2_5_vl`, given its frames as one video (a token for 28 x 28 pixels x 2 frames).

    The model knows the mean spacing of its frames in seconds, one number, and not the single times; the last of an odd
    number is shown twice. qwen-vl-utils limits a picture to 602,112 pixels (768 tokens), and all of them together to
    115,200 tokens, shared evenly.
    """

    title = "Qwen2.5-VL"
    cites = ("bai2025qwen25vl",)
    version = 1

    kind: Literal["qwen2_5_vl"] = "qwen2_5_vl"
    mrope: MRope = Field(default="paper", description=MROPE)

    def load(self, device: str) -> LoadedAnswerer:
        with loading(self, "a Qwen2.5-VL checkpoint in the format of transformers"):
            check_type(folder := local_checkpoint(self), "qwen2_5_vl")
            model = _model_class()(
                pretrained=folder,
                device=device,
                device_map=device,
                attn_implementation=self.attn_implementation,
                batch_size=1,
                min_pixels=self.min_pixels,
                max_pixels=self.max_pixels,
                fps=1.0,  # concerns files only; without it the list of frames is probed as if it were a file
            )
            in_own_precision(model, self, device)
            if self.mrope == "paper":
                from framesift.answering.answerers._mrope import use_paper_positions

                use_paper_positions(model.model)
            model.watch(model.model, self.prepare(model.model))
        return model


@cache
def _model_class() -> Any:
    """Qwen2_5_VL with what the contract asks for (made here, since importing lmms-eval takes seconds)."""
    from lmms_eval.models.chat.qwen2_5_vl import Qwen2_5_VL

    class WatchedQwen2_5_VL(Watched, Qwen2_5_VL):
        def __init__(self, **options: Any) -> None:
            Qwen2_5_VL.__init__(self, **options)
            self.processor: Any = OneVideo(self.processor, lambda: self._asked)

        def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
            return given_video(frames, inputs)

    return WatchedQwen2_5_VL
