"""LLaVA-OneVision (Li et al., TMLR 2025) in its transformers form: the checkpoints llava-hf/llava-onevision-*-hf."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from framesift.answering.answerers import Given, LoadedAnswerer, given
from framesift.answering.answerers._long_video import LongVideo
from framesift.answering.answerers._network import VideoProcessor, Watched
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint


class LlavaOnevisionHf(LongVideo):
    """lmms-eval's chat model `llava_hf`, given its frames as one video of K pictures (K x 196 + 1 tokens at 384 px).

    The model knows the order of its frames, not their times.
    """

    title = "LLaVA-OneVision (transformers form)"
    cites = ("li2025llavaonevision",)
    version = 1

    kind: Literal["llava_onevision_hf"] = "llava_onevision_hf"

    def load(self, device: str) -> LoadedAnswerer:
        with loading(self, "a llava-onevision checkpoint in the format of transformers"):
            model = _model_class()(
                pretrained=local_checkpoint(self),
                device=device,
                device_map=device,  # LlavaHf's default, "", is refused by transformers 5
                dtype=self.dtype,
                attn_implementation=self.attn_implementation,
                batch_size=1,
            )
            model.watch(model.model, self.prepare(model.model))
        return model


@cache
def _model_class() -> Any:
    """LlavaHf with what the contract asks for (made here, since importing lmms-eval takes seconds)."""
    from lmms_eval.models.chat.llava_hf import LlavaHf

    class WatchedLlavaHf(Watched, LlavaHf):
        def __init__(self, **options: Any) -> None:
            LlavaHf.__init__(self, **options)
            self._image_processor: Any = VideoProcessor(self._image_processor)

        def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
            if inputs.get("pixel_values") is not None:
                raise RuntimeError("the network was given single pictures")
            return given(frames, inputs["pixel_values_videos"])

    return WatchedLlavaHf
