"""Qwen3-VL (Bai et al., arXiv 2511.21631): the checkpoints Qwen/Qwen3-VL-*-Instruct."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, Literal

from pydantic import Field

from framesift.answering.answerers import Given, LoadedAnswerer
from framesift.answering.answerers._network import Watched, in_own_precision
from framesift.answering.answerers._qwen import OneVideo, QwenVL, check_type, given_video
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint


class Qwen3_VL(QwenVL):
    """lmms-eval's chat model `qwen3_vl`, given its frames as one video (a token for 32 x 32 pixels x 2 frames).

    Before every two frames the prompt says their time, the mean of both, in tenths of a second; the last of an odd
    number is shown twice. qwen-vl-utils limits a picture to 786,432 pixels (768 tokens), and all of them together to
    115,200 tokens, shared evenly.
    """

    title = "Qwen3-VL"
    cites = ("bai2025qwen3vl",)
    version = 1

    kind: Literal["qwen3_vl"] = "qwen3_vl"
    wrapper: Literal["released", "transformers"] = Field(
        default="released",
        description="Tokens around a video: with `released` each two frames have a pair of them, as the model was"
        " published (transformers 4.57); `transformers` does what the installed release does (from 5.10 on, there is"
        " another pair around all).",
    )

    def load(self, device: str) -> LoadedAnswerer:
        with loading(self, "a Qwen3-VL checkpoint in the format of transformers"):
            check_type(folder := local_checkpoint(self), "qwen3_vl", "qwen3_vl_moe")
            model = _model_class()(
                pretrained=folder,
                device=device,
                device_map=device,
                attn_implementation=self.attn_implementation,
                batch_size=1,
                min_pixels=self.min_pixels,
                max_pixels=self.max_pixels,
            )
            # lmms-eval tells mixtures of experts by their path ("A3B")
            check_type(folder, type(model.model.config).model_type)
            in_own_precision(model, self, device)
        model.released = self.wrapper == "released"
        model.watch(model.model)
        return model


@cache
def _model_class() -> Any:
    """Qwen3_VL with what the contract asks for (made here, since importing lmms-eval takes seconds)."""
    from lmms_eval.models.chat.qwen3_vl import Qwen3_VL

    class WatchedQwen3_VL(Watched, Qwen3_VL):
        released = True

        def __init__(self, **options: Any) -> None:
            Qwen3_VL.__init__(self, **options)
            self.processor: Any = OneVideo(self.processor, lambda: self._asked)

        def generate_until(self, requests: list[Any]) -> Any:
            return super().generate_until([_with_own_messages(request) for request in requests])

        def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
            return given_video(frames, inputs)

        def _build_video_kwargs(self) -> dict[str, Any]:
            return {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}  # and no number of frames to sample

        def _apply_chat_template(self, *arguments: Any, **options: Any) -> list[str]:
            texts = super()._apply_chat_template(*arguments, **options)
            if self.released:
                processor = self.processor
                video = processor.video_token
                inside = f"{processor.vision_start_token}{video}{processor.vision_end_token}"
                texts = [text.replace(inside, video) for text in texts]
            return texts

    return WatchedQwen3_VL


def _with_own_messages(request: Any) -> Any:
    """A request with a list of messages of its own, to which Qwen3_VL adds its system prompt."""
    context, messages, *rest = request.args
    request = copy.copy(request)
    request.arguments = (context, lambda document: list(messages(document)), *rest)
    return request
