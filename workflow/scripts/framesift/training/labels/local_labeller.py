"""A labelling model of transformers that runs on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from framesift.checkpoints.component import loading, pretrained
from framesift.core.errors import InputError
from framesift.scoring.mllm_selector.label_prompts import LabelRequest
from framesift.scoring.mllm_selector.label_settings import LocalModel
from framesift.training.labels.labeller import FramesByIndex, Labeller, ModelReply
from framesift.training.labels.true_or_false import sum_over_forms, token_forms


class LocalLabeller(Labeller):
    """A chat model of transformers; see `framesift.training.labels.labelling.open_labeller`."""

    def __init__(self, model: LocalModel, device: str, *, sees_frames: bool) -> None:
        self.model, self.device, self.sees_frames = model, device, sees_frames
        self.batch_size = model.batch_size

    @cached_property
    def processor(self) -> Any:
        """The processor of a model that sees frames, else a tokenizer. It pads prompts on the left."""
        found = pretrained(AutoProcessor if self.sees_frames else AutoTokenizer, self.model.model, self.model.revision)
        tokenizer = getattr(found, "tokenizer", found)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if not found.chat_template:
            raise InputError(
                "has no chat template", field="labels: model", value=self.model.model, expected="a chat model"
            )
        return found

    @cached_property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)

    @cached_property
    def forms(self) -> list[tuple[int, int]]:
        return token_forms(self.tokenizer)

    @cached_property
    def network(self) -> Any:
        cls = AutoModelForImageTextToText if self.sees_frames else AutoModelForCausalLM
        kind = "a model that sees pictures and writes" if self.sees_frames else "a language model"
        with loading(self.model, kind):
            network = pretrained(
                cls,
                self.model.model,
                self.model.revision,
                dtype=getattr(torch, self.model.dtype),
                attn_implementation=self.model.attn_implementation,
            )
        # greedy, whatever the checkpoint's own defaults are
        network.generation_config.update(do_sample=False, temperature=None, top_p=None, top_k=None)
        return network.eval().to(self.device)

    def replies(self, requests: Sequence[LabelRequest], pictures: FramesByIndex) -> list[ModelReply]:
        def generate(part: Sequence[LabelRequest]) -> list[ModelReply]:
            limits = [request.max_tokens for request in part]
            inputs, generated = self._generate(part, pictures, max_new_tokens=max(limits))
            new = generated.sequences[:, inputs["input_ids"].shape[1] :]
            rows = [row[:limit] for row, limit in zip(new, limits, strict=True)]
            return [ModelReply(text.strip()) for text in self.tokenizer.batch_decode(rows, skip_special_tokens=True)]

        return _in_memory(generate, list(requests))

    def verdicts(self, requests: Sequence[LabelRequest], pictures: FramesByIndex) -> list[ModelReply]:
        tokens = [token for pair in self.forms for token in pair]

        def judge(part: Sequence[LabelRequest]) -> list[ModelReply]:
            _, generated = self._generate(part, pictures, max_new_tokens=1, output_logits=True)
            found = torch.log_softmax(generated.logits[0].float(), dim=-1)[:, tokens].tolist()
            sums = [sum_over_forms(dict(zip(tokens, row, strict=True)), self.forms) for row in found]
            return [ModelReply(log_true=one["true"], log_false=one["false"]) for one in sums]

        return _in_memory(judge, list(requests))

    def close(self) -> None:
        vars(self).pop("network", None)
        if self.device != "cpu":
            torch.cuda.empty_cache()

    def _generate(self, requests: Sequence[LabelRequest], pictures: FramesByIndex, **settings: Any) -> tuple[Any, Any]:
        inputs = self._inputs(requests, pictures).to(self.device)
        for name, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[name] = value.to(self.network.dtype)
        with torch.inference_mode():
            return inputs, self.network.generate(
                **inputs, **settings, return_dict_in_generate=True, pad_token_id=self.tokenizer.pad_token_id
            )

    def _inputs(self, requests: Sequence[LabelRequest], pictures: FramesByIndex) -> Any:
        from PIL import Image

        texts = [self._text(request) for request in requests]
        # the template contains all special tokens
        options = {"padding": True, "return_tensors": "pt", "add_special_tokens": False}
        images = [[Image.fromarray(pictures[one.frame])] for one in requests if one.frame is not None]
        if not self.sees_frames:
            return self.processor(texts, **options)
        return self.processor(text=texts, images=images or None, **options)

    def _text(self, request: LabelRequest) -> str:
        """A conversation in the model's template, with the start of the reply."""
        messages = []
        for place, (role, text) in enumerate(request.turns):
            picture = [{"type": "image"}] if place == 0 and request.frame is not None else []
            content = [*picture, {"type": "text", "text": text}] if self.sees_frames else text
            messages.append({"role": role, "content": content})
        prompt = self.processor.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **self.model.template
        )
        return prompt + (request.reply_start or "")


def _in_memory(
    call: Callable[[Sequence[LabelRequest]], list[ModelReply]], requests: list[LabelRequest]
) -> list[ModelReply]:
    """Replies to all requests. If the device runs out of memory, each half is sent by itself."""
    try:
        return call(requests)
    except torch.OutOfMemoryError as error:
        if len(requests) == 1:
            raise InputError(
                "one prompt needs more memory than the device has",
                field="labels",
                hint=f"use a larger device, a smaller max_side, or fewer n_label ({str(error).splitlines()[0]})",
            ) from None
    torch.cuda.empty_cache()
    middle = len(requests) // 2
    return _in_memory(call, requests[:middle]) + _in_memory(call, requests[middle:])
