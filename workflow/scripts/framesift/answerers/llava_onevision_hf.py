"""LLaVA-OneVision (Li et al., TMLR 2025) in its transformers form: the checkpoints llava-hf/llava-onevision-*-hf."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from framesift.answerers import Answerer, Given
from framesift.errors import InputError
from framesift.lmms_task import Frames
from framesift.models import is_folder

if TYPE_CHECKING:
    from collections.abc import Callable


class LlavaOnevisionHf(Answerer):
    """lmms-eval's chat model `llava_hf`, given its frames as one video of K pictures (K x 196 + 1 tokens at 384 px).

    The model knows the order of its frames, not their times.
    """

    kind: Literal["llava_onevision_hf"] = "llava_onevision_hf"
    chat: ClassVar[bool] = True
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        default="sdpa", description="Implementation of attention in transformers."
    )

    def load(self, device: str) -> Any:
        folder = _checkpoint(self.model, self.revision)
        try:
            return _model_class()(
                pretrained=folder,
                device=device,
                device_map=device,  # LlavaHf's default, "", is refused by transformers 5
                dtype=self.dtype,
                attn_implementation=self.attn_implementation,
                batch_size=1,
            )
        except (OSError, ValueError, KeyError) as error:  # KeyError: a model type that LlavaHf does not know
            raise InputError(
                f"cannot be loaded: {type(error).__name__}: {str(error).splitlines()[0]}",
                field="model",
                value=self.model,
                expected="a llava-onevision checkpoint in the format of transformers (llava-hf/llava-onevision-*-hf)",
            ) from error


def _checkpoint(model: str, revision: str | None) -> str:
    """The folder of a checkpoint.

    LlavaHf reads the configuration of a hub repository at its newest commit whatever revision it is given, so the
    pinned commit is fetched first, once, and passed as a folder.
    """
    if is_folder(model):
        return model
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(
            model, revision=revision, allow_patterns=["*.json", "*.jinja", "*.model", "*.safetensors", "*.txt"]
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be fetched: {str(error).splitlines()[0]}",
            field="model",
            value=f"{model}@{revision}",
            hint="check the network, HF_HUB_OFFLINE and HF_TOKEN",
        ) from error


@cache
def _model_class() -> Any:
    """LlavaHf with what the contract asks for (made here, since importing lmms-eval takes seconds)."""
    from lmms_eval.models.chat.llava_hf import LlavaHf
    from loguru import logger

    class WatchedLlavaHf(LlavaHf):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.given: list[Given] = []
            self._failure: Exception | None = None
            self._image_processor: Any = _VideoProcessor(self._image_processor)
            self._model.generate = self._watched(self._model.generate)

        def generate_until(self, requests: list[Any]) -> list[Any]:
            errors: list[str] = []
            self._failure = None
            handler = logger.add(errors.append, level="ERROR", format="{message}")
            try:
                results = super().generate_until(requests)  # logs an exception of the model and answers ""
            finally:
                logger.remove(handler)
            if self._failure or errors:
                raise RuntimeError(f"the model failed: {self._failure or errors[0].strip()}") from self._failure
            return results

        def _watched(self, generate: Callable[..., Any]) -> Callable[..., Any]:
            def watched(**inputs: Any) -> Any:
                try:
                    self.given.append(_given(self._image_processor.frames, inputs))
                    return generate(**inputs)
                except Exception as error:
                    self._failure = error
                    raise

            return watched

    return WatchedLlavaHf


class _VideoProcessor:
    """The processor of a LlavaHf: passes no empty list of images on, and keeps the frames of the last call."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.frames: Frames | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, images: Any = None, videos: Any = None, **inputs: Any) -> Any:
        if images or not videos or len(videos) != 1 or not isinstance(videos[0], Frames):
            raise TypeError("the model must be given one video, made of the selected frames, and nothing else")
        self.frames = videos[0]
        return self._processor(images=None, videos=videos, **inputs)  # transformers 5 fails on images=[]


def _given(frames: Frames | None, inputs: dict[str, Any]) -> Given:
    """What the network gets, from the frames that were processed and the tensors that came of them."""
    pixels = inputs.get("pixel_values_videos")
    shape = None if pixels is None else tuple(pixels.shape[:2])
    if frames is None or shape != (1, len(frames)) or inputs.get("pixel_values") is not None:
        raise RuntimeError(f"{len(frames or [])} frames became a tensor of shape {shape} (videos, frames, ...)")
    return Given(list(frames.frames), list(frames.times))
