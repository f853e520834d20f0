"""InternVL3 (Zhu et al. 2025) and InternVL3.5 in their transformers form: the checkpoints OpenGVLab/InternVL3*-hf."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from framesift.answering.answerers import Given, LoadedAnswerer, LocalAnswerer, given
from framesift.answering.answerers._network import VideoProcessor, Watched, in_own_precision
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint
from framesift.core.components import Work


class Internvl3(LocalAnswerer):
    """lmms-eval's chat model `internvl_hf`, given its frames as one video of K pictures.

    Each frame is one square of 448 x 448 pixels, its aspect ratio lost, and 256 tokens; frames are never cut into
    tiles, as single images would be. The prompt numbers them ("Frame1: ", "Frame2: "), so the model knows their order,
    not their times.
    """

    title = "InternVL3"
    cites = ("zhu2025internvl3",)
    version = 1

    kind: Literal["internvl3"] = "internvl3"

    @classmethod
    def work(cls, spec: Mapping[str, Any]) -> Work:
        if re.search(r"internvl3[._]5", str(spec.get("model", "")).lower()):
            return Work("InternVL3.5", ("wang2025internvl35",))
        return super().work(spec)

    def load(self, device: str) -> LoadedAnswerer:
        with loading(self, "an InternVL3 or InternVL3.5 checkpoint in the format of transformers"):
            return _model_class()(self, local_checkpoint(self), device)


@cache
def _model_class() -> Any:
    """InternVLHf with what the contract asks for (made here, since importing lmms-eval takes seconds)."""
    from lmms_eval.models.chat.internvl_hf import InternVLHf

    class WatchedInternVLHf(Watched, InternVLHf):
        def __init__(self, answerer: Internvl3, folder: str, device: str) -> None:
            InternVLHf.__init__(
                self,
                pretrained=folder,
                device=device,
                device_map=device,  # InternVLHf's default, "auto", goes where it likes
                attn_implementation=answerer.attn_implementation,
                num_frames=None,  # with its default, 32, and with a rate, it resamples the video
                fps=None,
            )
            in_own_precision(self, answerer, device)
            # pictures and frames end in one tensor, so the difference is made here
            self.processor: Any = VideoProcessor(self.processor, do_sample_frames=False)
            self.watch(self._model)

        def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
            return given(frames, inputs["pixel_values"])

    return WatchedInternVLHf
