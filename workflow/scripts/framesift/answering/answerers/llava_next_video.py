"""LLaVA-NeXT-Video (Zhang et al. 2024) in its transformers form: llava-hf/LLaVA-NeXT-Video-7B-hf and its kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from framesift.answering.answerers import AnswerRequest, Given, LoadedAnswerer, LocalAnswerer, given
from framesift.answering.answerers._transformers import TransformersModel
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint
from framesift.core.errors import InputError


class LlavaNextVideo(LocalAnswerer):
    """transformers' LlavaNextVideoForConditionalGeneration, given its frames as one video of K pictures.

    Each frame is the square in its middle (336 x 336 pixels in the 7B checkpoint; the sides of a wide video are cut
    off) and 144 tokens. The prompt is the checkpoint's chat template. The model knows the order of its frames, not
    their times.
    """

    title = "LLaVA-NeXT-Video"
    cites = ("zhang2024llavanextvideo",)
    version = 1

    kind: Literal["llava_next_video"] = "llava_next_video"

    def load(self, device: str) -> LoadedAnswerer:
        from transformers import LlavaNextVideoForConditionalGeneration

        folder = local_checkpoint(self)
        with loading(self, "a LLaVA-NeXT-Video checkpoint in the format of transformers"):
            processor = _processor(folder)
            if processor.chat_template is None:
                raise InputError(
                    "the checkpoint has no chat template, and so no prompt",
                    field="model",
                    value=self.model,
                    hint="older commits of the hub's repositories lack it; take a newer one",
                )
            network = LlavaNextVideoForConditionalGeneration.from_pretrained(
                folder, dtype=self.dtype, attn_implementation=self.attn_implementation, device_map=device
            ).eval()
        if processor.patch_size is None:  # left to the network in the processors of older commits
            processor.patch_size = network.config.vision_config.patch_size
        return _LlavaNextVideo(network, processor)


def _processor(folder: str) -> Any:
    """The processor of a checkpoint, put together here.

    Where a folder has no settings for videos of their own, transformers 5.23 derives the name of the video processor
    from that of the image processor, gets the name of this processor, and calls itself without end.
    """
    from transformers import (
        AutoTokenizer,
        LlavaNextImageProcessor,
        LlavaNextVideoProcessor,
        LlavaNextVideoVideoProcessor,
    )

    parts = [
        LlavaNextVideoVideoProcessor.from_pretrained(folder),
        LlavaNextImageProcessor.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    ]
    settings, _ = LlavaNextVideoProcessor.get_processor_dict(folder)
    return LlavaNextVideoProcessor.from_args_and_dict(parts, settings)


class _LlavaNextVideo(TransformersModel):
    def __init__(self, network: Any, processor: Any) -> None:
        super().__init__(network, processor.tokenizer)
        self.processor = processor

    def inputs(self, asked: AnswerRequest) -> dict[str, Any]:
        assert asked.messages is not None  # chat models are asked in messages
        messages = [
            {
                **message,
                "content": [{"type": "video"} if part["type"] == "video" else part for part in message["content"]],
            }
            for message in asked.messages
        ]
        prompt = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        begin = self.tokenizer.bos_token
        inputs = self.processor(
            text=prompt,
            videos=[asked.frames],
            do_sample_frames=False,
            add_special_tokens=not (begin and prompt.startswith(begin)),
            return_tensors="pt",
        )
        return dict(inputs.to(self.network.device, self.network.dtype))

    def given(self, frames: Frames, inputs: Mapping[str, Any]) -> Given:
        return given(frames, inputs["pixel_values_videos"])
