"""A labelling model that runs here, through transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from framesift.checkpoints.component import loading, pretrained
from framesift.core.errors import InputError
from framesift.scoring.mllm_selector.label_prompts import Ask
from framesift.scoring.mllm_selector.label_settings import LocalModel
from framesift.training.labels.labeller import FramesByIndex, Labeller, ModelReply
from framesift.training.labels.verdicts import of_forms, token_forms


class Local(Labeller):
    """A chat model of transformers; see `framesift.training.labels.open_labeller.labeller_of`."""

    def __init__(self, model: LocalModel, device: str, *, sees: bool) -> None:
        self.model, self.device, self.sees = model, device, sees
        self.batch_size = model.batch_size

    @cached_property
    def processor(self) -> Any:
        """What makes inputs: a processor for a model that sees, else a tokenizer; prompts of a batch end together."""
        made = pretrained(AutoProcessor if self.sees else AutoTokenizer, self.model.model, self.model.revision)
        tokenizer = getattr(made, "tokenizer", made)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if not made.chat_template:
            raise InputError(
                "has no chat template", field="labels: model", value=self.model.model, expected="a model for chats"
            )
        return made

    @cached_property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)

    @cached_property
    def forms(self) -> list[tuple[int, int]]:
        return token_forms(self.tokenizer)

    @cached_property
    def network(self) -> Any:
        cls = AutoModelForImageTextToText if self.sees else AutoModelForCausalLM
        kind = "a model that sees pictures and writes" if self.sees else "a language model"
        with loading(self.model, kind):
            made = pretrained(
                cls,
                self.model.model,
                self.model.revision,
                dtype=getattr(torch, self.model.dtype),
                attn_implementation=self.model.attn_implementation,
            )
        # nothing is sampled, whatever the checkpoint's own defaults are
        made.generation_config.update(do_sample=False, temperature=None, top_p=None, top_k=None)
        return made.eval().to(self.device)

    def replies(self, asks: Sequence[Ask], pictures: FramesByIndex) -> list[ModelReply]:
        def said(part: Sequence[Ask]) -> list[ModelReply]:
            limits = [ask.max_tokens for ask in part]
            inputs, generated = self._generate(part, pictures, max_new_tokens=max(limits))
            new = generated.sequences[:, inputs["input_ids"].shape[1] :]
            rows = [row[:limit] for row, limit in zip(new, limits, strict=True)]
            return [ModelReply(text.strip()) for text in self.tokenizer.batch_decode(rows, skip_special_tokens=True)]

        return _in_memory(said, list(asks))

    def verdicts(self, asks: Sequence[Ask], pictures: FramesByIndex) -> list[ModelReply]:
        tokens = [token for pair in self.forms for token in pair]

        def said(part: Sequence[Ask]) -> list[ModelReply]:
            _, generated = self._generate(part, pictures, max_new_tokens=1, output_logits=True)
            found = torch.log_softmax(generated.logits[0].float(), dim=-1)[:, tokens].tolist()
            sums = [of_forms(dict(zip(tokens, row, strict=True)), self.forms) for row in found]
            return [ModelReply(log_true=one["true"], log_false=one["false"]) for one in sums]

        return _in_memory(said, list(asks))

    def close(self) -> None:
        vars(self).pop("network", None)
        if self.device != "cpu":
            torch.cuda.empty_cache()

    def _generate(self, asks: Sequence[Ask], pictures: FramesByIndex, **settings: Any) -> tuple[Any, Any]:
        inputs = self._inputs(asks, pictures).to(self.device)
        for name, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[name] = value.to(self.network.dtype)
        with torch.inference_mode():
            return inputs, self.network.generate(
                **inputs, **settings, return_dict_in_generate=True, pad_token_id=self.tokenizer.pad_token_id
            )

    def _inputs(self, asks: Sequence[Ask], pictures: FramesByIndex) -> Any:
        from PIL import Image

        texts = [self._text(ask) for ask in asks]
        # special tokens are all in the template
        options = {"padding": True, "return_tensors": "pt", "add_special_tokens": False}
        shown = [[Image.fromarray(pictures[ask.frame])] for ask in asks if ask.frame is not None]
        if not self.sees:
            return self.processor(texts, **options)
        return self.processor(text=texts, images=shown or None, **options)

    def _text(self, ask: Ask) -> str:
        """A conversation in the model's template, with what is begun of the reply."""
        messages = []
        for place, (role, text) in enumerate(ask.turns):
            picture = [{"type": "image"}] if place == 0 and ask.frame is not None else []
            content = [*picture, {"type": "text", "text": text}] if self.sees else text
            messages.append({"role": role, "content": content})
        made = self.processor.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **self.model.template
        )
        return made + (ask.begun or "")


def _in_memory(said: Callable[[Sequence[Ask]], list[ModelReply]], asks: list[Ask]) -> list[ModelReply]:
    """What is said to all; in halves where the device has too little memory for them at a time."""
    try:
        return said(asks)
    except torch.OutOfMemoryError as error:
        if len(asks) == 1:
            raise InputError(
                "one prompt needs more memory than the device has",
                field="labels",
                hint=f"a larger device, a smaller max_side, or fewer n_label ({str(error).splitlines()[0]})",
            ) from None
    torch.cuda.empty_cache()
    middle = len(asks) // 2
    return _in_memory(said, asks[:middle]) + _in_memory(said, asks[middle:])
