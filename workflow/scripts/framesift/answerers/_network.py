"""Watching networks of transformers: what goes into `generate`, what goes wrong in it, and what to do about memory."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from framesift.answerers import Asked, Given, Model, Reply
from framesift.lmms_task import Frames

log = logging.getLogger("framesift")

#: What is tried in turn when a GPU's memory does not suffice. None changes an answer.
FALLBACKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("freeing what is cached", {}),
    ("keeping keys and values of the layers in main memory", {"cache_implementation": "offloaded"}),
)


class Watched(Model):
    """To be inherited before a model class of lmms-eval: it answers one question, and tells what its network got.

    A subclass calls `watch` once its network is loaded, and says in `given` what the inputs of the network show.
    """

    def watch(self, network: Any) -> None:
        """Look at every call of ``network.generate`` from now on."""
        network.generate = self._watched(network.generate)
        self._asked: Asked | None = None
        self._given: list[Given] = []
        self._failure: BaseException | None = None

    @abstractmethod
    def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
        """What the network gets (`framesift.answerers.given`), from the keyword arguments of its `generate`."""

    def answer(self, asked: Asked) -> Reply:
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
        return Reply(result if isinstance(result, str) else result.text, self._given[0])

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
