"""Asking a network of transformers for which lmms-eval has no model class."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from framesift.answering.answerers import AnswerRequest, Given, LoadedAnswerer, Reply
from framesift.answering.answerers._long_video import Meter
from framesift.answering.answerers._network import sparing
from framesift.answering.lmms.task import Frames

#: Longest answer in tokens where the task says nothing, as in lmms-eval's classes.
MAX_NEW_TOKENS = 1024


class TransformersModel(LoadedAnswerer):
    """Inputs of a processor -> `generate` of a network -> text.

    Parameters
    ----------
    network : transformers.GenerationMixin
    tokenizer : transformers.PreTrainedTokenizerBase
        What tells answers from tokens.
    meter : Meter, optional
        What measures the network's calls.
    """

    def __init__(self, network: Any, tokenizer: Any, meter: Meter | None = None) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.meter = meter

    @abstractmethod
    def inputs(self, asked: AnswerRequest) -> dict[str, Any]:
        """Keyword arguments of the network's `generate`, among them `input_ids` of shape (1, tokens)."""

    @abstractmethod
    def given(self, frames: Frames, inputs: Mapping[str, Any]) -> Given:
        """What the network gets, from the keyword arguments of its `generate` (see `given`)."""

    def answer(self, asked: AnswerRequest) -> Reply:
        inputs = self.inputs(asked)
        given = self.given(asked.frames, inputs)
        generated = sparing(self.network.generate, **inputs, **generation_settings(asked.generation))
        new = generated[0, inputs["input_ids"].shape[1] :]
        text = self.tokenizer.decode(new, skip_special_tokens=True).strip()
        return Reply(text, given, cost=self.meter.cost if self.meter else {})


def generation_settings(task: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `generate`, from those of an lmms-eval task, read as lmms-eval's own classes read them.

    An answer is sampled where the task sets a temperature above 0, and greedy otherwise, whatever the checkpoint's own
    defaults are. Stop words (``until``) are ignored.
    """
    temperature = task.get("temperature") or 0
    settings: dict[str, Any] = {
        "max_new_tokens": task.get("max_new_tokens", MAX_NEW_TOKENS),
        "num_beams": task.get("num_beams", 1),
        "do_sample": temperature > 0,
    }
    if temperature > 0:
        settings |= {"temperature": temperature, "top_p": task.get("top_p")}
    return settings
