"""Watching networks of transformers: what goes into `generate`, what goes wrong in it, and what to do about memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from framesift.answering.answerers import AnswerRequest, Given, LoadedAnswerer, LocalAnswerer, Reply
from framesift.answering.answerers._long_video import Meter
from framesift.answering.lmms.task import Frames
from framesift.program.cli import log

#: What is tried in turn when a GPU's memory does not suffice. None changes an answer.
FALLBACKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("freeing what is cached", {}),
    ("keeping keys and values of the layers in main memory", {"cache_implementation": "offloaded"}),
)


class Watched(LoadedAnswerer):
    """To be inherited before a model class of lmms-eval: it answers one question, and tells what its network got.

    A subclass calls `watch` once its network is loaded, and says in `given` what the inputs of the network show.
    """

    def watch(self, network: Any, meter: Meter | None = None) -> None:
        """Look at every call of ``network.generate`` from now on; `meter` measures it."""
        network.generate = self._watched(network.generate)
        self._asked: AnswerRequest | None = None
        self._given: list[Given] = []
        self._failure: BaseException | None = None
        self._meter = meter

    @abstractmethod
    def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
        """What the network gets, from the keyword arguments of its `generate` (see `given`)."""

    def answer(self, asked: AnswerRequest) -> Reply:
        from loguru import logger

        errors: list[str] = []
        self._asked, self._given, self._failure = asked, [], None
        self.task_dict = asked.documents
        handler = logger.add(errors.append, level="ERROR", format="{message}")
        try:
            [result] = self.generate_until([asked.request])  # type: ignore[attr-defined]
        finally:
            logger.remove(handler)
        # Many model classes log an exception and answer with an empty text.
        if self._failure or errors:
            raise RuntimeError(f"the model failed: {self._failure or errors[0].strip()}") from self._failure
        if len(self._given) != 1:
            raise RuntimeError(f"the network was called {len(self._given)} times for one question")
        cost = self._meter.cost if self._meter else {}
        return Reply(result if isinstance(result, str) else result.text, self._given[0], cost=cost)

    def _watched(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **inputs: Any) -> Any:
            try:
                assert self._asked is not None
                self._given.append(self.given(self._asked.frames, inputs))
                return sparing(generate, *arguments, **inputs)
            except Exception as error:
                self._failure = error
                raise

        return watched


def sparing(generate: Callable[..., Any], *arguments: Any, **inputs: Any) -> Any:
    """Call `generate`; where a GPU's memory does not suffice, try each of `FALLBACKS`.

    Raises
    ------
    torch.OutOfMemoryError
        When none of them helps.
    """
    import torch

    for name, changes in FALLBACKS:
        try:
            return generate(*arguments, **inputs)
        except torch.OutOfMemoryError:
            log.warning("out of GPU memory; once more, %s", name)
        # outside `except`, whose traceback would keep the tensors of the failed call
        torch.cuda.empty_cache()
        inputs |= changes
    return generate(*arguments, **inputs)


def in_own_precision(model: Any, answerer: LocalAnswerer, device: str) -> None:
    """Load the network of a model of lmms-eval again where it is to have another precision than bfloat16.

    Several of lmms-eval's classes load in bfloat16 and nothing else; converting what is loaded would keep its
    rounding.
    """
    if answerer.dtype != "bfloat16":
        network, folder = type(model._model), model._model.name_or_path
        model._model = None  # two would not fit
        model._model = network.from_pretrained(
            folder, dtype=answerer.dtype, attn_implementation=answerer.attn_implementation, device_map=device
        ).eval()


class VideoProcessor:
    """A processor that takes one video, made of the selected frames, and nothing else.

    transformers 5 fails on the empty list of images that classes of lmms-eval pass with a video.

    Parameters
    ----------
    processor : transformers.ProcessorMixin
    settings : dict
        Arguments of each call that replace those of the caller.
    """

    def __init__(self, processor: Any, **settings: Any) -> None:
        self._processor = processor
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, images: Any = None, videos: Any = None, **inputs: Any) -> Any:
        if images or not videos or len(videos) != 1 or not isinstance(videos[0], Frames):
            raise TypeError("the model must be given one video, made of the selected frames, and nothing else")
        return self._processor(images=None, videos=videos, **(inputs | self._settings))
