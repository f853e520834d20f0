"""A labelling model behind a server of chat completions."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from framesift.core.errors import InputError
from framesift.remote.chat_api import ChatClient, Completion
from framesift.scoring.mllm_selector.label_prompts import VERDICT_TURN, LabelRequest
from framesift.scoring.mllm_selector.label_settings import ServedModel
from framesift.training.labels.labeller import FramesByIndex, Labeller, ModelReply
from framesift.training.labels.true_or_false import FORMS, sum_over_forms

#: Likely tokens that a server lists: the maximum of OpenAI, and of vLLM by default.
LISTED = 20
QUALITY = 95


class ServedLabeller(Labeller):
    """A model behind a server; see `framesift.training.labels.labelling.open_labeller`."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.parallel = model.parallel

    @cached_property
    def client(self) -> ChatClient:
        return ChatClient(self.model)

    def replies(self, requests: Sequence[LabelRequest], pictures: FramesByIndex) -> list[ModelReply]:
        return [self._reply(request, pictures) for request in requests]

    def verdicts(self, requests: Sequence[LabelRequest], pictures: FramesByIndex) -> list[ModelReply]:
        return [self._verdict(request, pictures) for request in requests]

    def close(self) -> None:
        if client := vars(self).pop("client", None):
            client.__exit__()

    def _reply(self, request: LabelRequest, pictures: FramesByIndex) -> ModelReply:
        completion = self.client.complete(self._messages(request, pictures), request.max_tokens)
        return ModelReply(completion.text.strip(), usage=completion.usage)

    def _verdict(self, request: LabelRequest, pictures: FramesByIndex) -> ModelReply:
        messages = [*self._messages(request, pictures), {"role": "assistant", "content": request.reply_start}]
        fields: dict[str, Any] = {"logprobs": True, "top_logprobs": LISTED}
        if self.model.continues:
            fields |= {"continue_final_message": True, "add_generation_prompt": False}
        else:
            messages.append({"role": "user", "content": VERDICT_TURN})
        hint = "set continues: false for a server that cannot continue a reply" if self.model.continues else None
        completion = self.client.complete(messages, request.max_tokens, fields, hint)
        sums = sum_over_forms(self._listed(completion), FORMS)
        return ModelReply(log_true=sums["true"], log_false=sums["false"], usage=completion.usage)

    def _listed(self, completion: Completion) -> dict[str, float]:
        """Log-probabilities of likely first tokens; empty if a content filter replaced the reply."""
        if completion.first_token is None and not completion.usage.get("filtered"):
            raise InputError(
                "returns no log-probabilities of tokens, which verdicts about frames need",
                field="labels: vlm: base_url",
                value=self.model.base_url,
                expected="a server that supports logprobs and top_logprobs for this model",
                hint="use vLLM or SGLang, or run the model here with kind: transformers",
            )
        listed = completion.first_token or {}
        return {token: value for token, value in listed.items() if math.isfinite(value)}

    def _messages(self, request: LabelRequest, pictures: FramesByIndex) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in request.turns]
        if request.frame is not None:
            image = {"type": "image_url", "image_url": {"url": self._url(pictures[request.frame])}}
            messages[0]["content"] = [image, {"type": "text", "text": messages[0]["content"]}]
        return messages

    def _url(self, picture: np.ndarray) -> str:
        from PIL import Image

        kind = self.model.image_format
        with io.BytesIO() as file:
            Image.fromarray(picture).save(file, kind, **({"quality": QUALITY} if kind == "jpeg" else {}))
            return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
