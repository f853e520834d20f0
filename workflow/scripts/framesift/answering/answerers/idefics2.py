"""Idefics2 (Laurençon et al., NeurIPS 2024): the checkpoint HuggingFaceM4/idefics2-8b."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar, Literal

from framesift.answering.answerers import AnswerRequest, Given, LoadedAnswerer, LocalAnswerer, Reply, given
from framesift.answering.answerers._network import Watched
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint


class Idefics2(LocalAnswerer):
    """lmms-eval's simple model `idefics2`, given its frames as a sequence of K images.

    Idefics2 has no video input: images in time order before the question are what lmms-eval makes of a video too. Each
    is 64 tokens at its own aspect ratio, its sides between 378 and 980 pixels, and is not split into four.
    """

    title = "Idefics2"
    cites = ("laurencon2024idefics2",)
    version = 1

    kind: Literal["idefics2"] = "idefics2"
    chat: ClassVar[bool] = False

    def load(self, device: str) -> LoadedAnswerer:
        with loading(self, "an Idefics2 checkpoint"):
            return _model_class()(
                pretrained=local_checkpoint(self),
                device=device,
                device_map=device,  # the default, "", is refused by transformers 5
                dtype=self.dtype,
                attn_implementation=self.attn_implementation,
                do_image_splitting=False,
            )


@cache
def _model_class() -> Any:
    """lmms-eval's Idefics2 with what the contract asks for (made here, since importing lmms-eval takes seconds)."""
    from lmms_eval.models.simple.idefics2 import Idefics2 as LmmsIdefics2

    class WatchedIdefics2(Watched, LmmsIdefics2):
        def __init__(self, **options: Any) -> None:
            LmmsIdefics2.__init__(self, **options)
            self.watch(self._model)

        def answer(self, asked: AnswerRequest) -> Reply:
            # The class takes each visual of a request for one picture: it must be handed the pictures, not their video.
            request = copy.copy(asked.request)
            text, generation, _, *document = request.args
            request.arguments = (text, generation, lambda _: list(asked.frames), *document)
            return super().answer(replace(asked, request=request))

        def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
            return given(frames, inputs["pixel_values"])

    return WatchedIdefics2
