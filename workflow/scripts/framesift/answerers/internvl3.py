"""InternVL3 (Zhu et al. 2025) and InternVL3.5 in their transformers form: the checkpoints OpenGVLab/InternVL3*-hf."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from framesift.answerers import Given, LocalAnswerer, Model, given
from framesift.answerers._network import Watched
from framesift.lmms_task import Frames
from framesift.models import loading, local_checkpoint


class Internvl3(LocalAnswerer):
    """lmms-eval's chat model `internvl_hf`, given its frames as one video of K pictures.

    Each frame is one square of 448 x 448 pixels, its aspect ratio lost, and 256 tokens; frames are never cut into
    tiles, as single images would be. The prompt numbers them ("Frame1: ", "Frame2: "), so the model knows their order,
    not their times.
    """

    kind: Literal["internvl3"] = "internvl3"

    def load(self, device: str) -> Model:
        with loading(self, "an InternVL3 or InternVL3.5 checkpoint in the format of transformers"):
            return _model_class()(local_checkpoint(self), self.dtype, self.attn_implementation, device)


@cache
def _model_class() -> Any:
    """InternVLHf with what the contract asks for (made here, since importing lmms-eval takes seconds)."""
    from lmms_eval.models.chat.internvl_hf import InternVLHf
    from transformers import InternVLForConditionalGeneration

    class WatchedInternVLHf(Watched, InternVLHf):
        def __init__(self, folder: str, dtype: str, attention: str, device: str) -> None:
            InternVLHf.__init__(
                self,
                pretrained=folder,
                device=device,
                device_map=device,  # InternVLHf's default, "auto", goes where it likes
                attn_implementation=attention,
                num_frames=None,  # with its default, 32, and with a rate, it resamples the video
                fps=None,
            )
            if dtype != "bfloat16":  # InternVLHf loads in bfloat16, whatever it is told
                self._model: Any = None  # frees the memory of the first one
                self._model = InternVLForConditionalGeneration.from_pretrained(
                    folder, dtype=dtype, attn_implementation=attention, device_map=device
                ).eval()
            self.processor: Any = _VideoProcessor(self.processor)
            self.watch(self._model)

        def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
            pixels = inputs["pixel_values"]  # (frames, channels, height, width)
            return given(frames, pixels, pixels.shape[0])

    return WatchedInternVLHf


class _VideoProcessor:
    """The processor of an InternVLHf; pictures and frames end in one tensor, so the difference is made here."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, images: Any = None, videos: Any = None, **inputs: Any) -> Any:
        if images or not videos or len(videos) != 1 or not isinstance(videos[0], Frames):
            raise TypeError("the model must be given one video, made of the selected frames, and nothing else")
        return self._processor(images=None, videos=videos, **{**inputs, "do_sample_frames": False})
