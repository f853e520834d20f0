"""Qwen2-VL (Wang et al., arXiv 2409.12191): the checkpoints Qwen/Qwen2-VL-*-Instruct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from framesift.answering.answerers import AnswerRequest, Given, LoadedAnswerer
from framesift.answering.answerers._long_video import LongVideo, Meter
from framesift.answering.answerers._qwen import LARGEST, MROPE, SMALLEST, MRope, QwenVL, check_type, given_video
from framesift.answering.answerers._transformers import TransformersModel
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint

#: lmms-eval's.
SYSTEM_PROMPT = "You are a helpful assistant."


class Qwen2VL(LongVideo, QwenVL):
    """Qwen2-VL of transformers, given its frames as one video (a token for 28 x 28 pixels x 2 frames).

    lmms-eval's class has no chat form and makes single pictures of a list of frames. Prompt, limits of pixels and
    settings of generation are those of that class where it reads a video. The model knows the order of its frames, not
    their times; the last of an odd number is shown twice. All pictures together have at most 115,200 tokens, shared
    evenly.
    """

    title = "Qwen2-VL"
    cites = ("wang2024qwen2vl",)
    version = 1

    kind: Literal["qwen2_vl"] = "qwen2_vl"
    min_pixels: int = Field(default=3136, ge=1, description=SMALLEST)
    max_pixels: int = Field(default=602112, ge=1, description=LARGEST)
    mrope: MRope = Field(default="paper", description=MROPE)

    def load(self, device: str) -> LoadedAnswerer:
        from transformers import AutoProcessor, Qwen2VLForConditionalGeneration

        with loading(self, "a Qwen2-VL checkpoint in the format of transformers"):
            check_type(folder := local_checkpoint(self), "qwen2_vl")
            network = Qwen2VLForConditionalGeneration.from_pretrained(
                folder, dtype=self.dtype, attn_implementation=self.attn_implementation, device_map=device
            ).eval()
            processor = AutoProcessor.from_pretrained(folder)
            if self.mrope == "paper":
                from framesift.answering.answerers._mrope import use_paper_positions

                use_paper_positions(network)
            meter = self.prepare(network)
        size = {"shortest_edge": self.min_pixels, "longest_edge": self.max_pixels}
        return _LoadedQwen2VL(network, processor, size, meter)


class _LoadedQwen2VL(TransformersModel):
    def __init__(self, network: Any, processor: Any, size: dict[str, int], meter: Meter) -> None:
        super().__init__(network, processor.tokenizer, meter)
        self.processor = processor
        self.size = size

    def inputs(self, asked: AnswerRequest) -> dict[str, Any]:
        if asked.messages is None:
            raise TypeError("a chat model must be given messages")
        messages = [{"role": "system", "content": [{"type": "text", "text": SYSTEM_PROMPT}]}, *asked.messages]
        text = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        made = self.processor(
            text=[text],
            videos=[list(asked.frames)],
            size=self.size,
            do_sample_frames=False,
            cap_pixels_per_frame=True,
            return_tensors="pt",
        )
        return dict(made.to(self.network.device))

    def given(self, frames: Frames, inputs: Mapping[str, Any]) -> Given:
        return given_video(frames, inputs)
