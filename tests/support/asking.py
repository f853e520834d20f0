"""Asking an answerer one question about barcoded frames, without a video, a task or a journal."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

import barcode
from framesift.answering.answerers import Answerer, AnswerRequest
from framesift.answering.lmms.task import Frames


def frames_of(indices: Sequence[int], fps: float = 10.0, n_frames: int = 300, size=(160, 120)) -> Frames:
    """Pictures that carry their indices (see `barcode`), of a video of a constant rate."""
    frames = Frames("question")
    frames[:] = [Image.fromarray(barcode.image_of(index, size)) for index in indices]
    frames.frames, frames.times = list(indices), [index / fps for index in indices]
    frames.fps, frames.n_frames = fps, n_frames
    return frames


def asked(
    answerer: Answerer, frames: Frames, text: str = "What is seen?\nA. this\nB. that", tokens: int = 4
) -> AnswerRequest:
    """The question as `framesift.answering.asker` puts it."""
    from lmms_eval.api.instance import Instance

    messages = [{"role": "user", "content": [{"type": "video", "url": frames}, {"type": "text", "text": text}]}]
    generation = {"max_new_tokens": tokens, "temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False}
    media = messages if answerer.chat else [frames]
    middle = (lambda _: media, generation) if answerer.chat else (generation, lambda _: media)
    request = Instance(
        request_type="generate_until",
        arguments=(text, *middle, 0, "task", "test"),
        idx=0,
        metadata={"task": "task", "doc_id": 0, "repeats": 1},
    )
    documents = {"task": {"test": [{"framesift_id": "question"}]}}
    return AnswerRequest(frames, text, messages if answerer.chat else None, dict(generation), request, documents)


def spy(monkeypatch) -> list[dict]:
    """What every network of transformers is given from now on: the keyword arguments of each `generate`."""
    from transformers.generation.utils import GenerationMixin

    seen, generate = [], GenerationMixin.generate

    def watched(self, *arguments, **inputs):
        seen.append(inputs)
        return generate(self, *arguments, **inputs)

    monkeypatch.setattr(GenerationMixin, "generate", watched)
    return seen
