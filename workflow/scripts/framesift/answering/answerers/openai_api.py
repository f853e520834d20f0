"""Any video LLM behind a server of chat completions: GPT, Gemini and others, or one served by vLLM or SGLang."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from framesift.answering.answerers import Answerer, AnswerRequest, Given, LoadedAnswerer, Reply
from framesift.answering.lmms.task import Frames
from framesift.remote.chat_api import ChatApi, ChatClient

if TYPE_CHECKING:
    from PIL.Image import Image

VIDEO = "data:video/jpeg;base64,"
TOO_MANY = (
    "vLLM takes 32 frames of a video unless it is started with"
    """ --media-io-kwargs '{"video": {"num_frames": -1}}'; other servers know images only (frames_as)"""
)


class OpenaiApi(ChatApi, Answerer):
    """A model that is asked over the network, with the frames as pictures in the request.

    Servers differ in what they make of pictures (size, order of text and pictures), and tell neither their weights
    nor their versions: what identifies the weights is a name and `served` or the address.

    With `frames_as` = ``video``, frames go as one video in the form that vLLM knows (a ``video_url`` of pictures joined
    by commas; vllm/multimodal/media/video.py), with a frame rate and frame indices that tell their seconds. Versions of
    vLLM that cut a video off at a limit (from April 2026; 32 frames unless started otherwise) are told the number of
    frames, and so take them all or refuse.
    """

    title = "a model asked through a chat interface"
    version = 1
    libraries: ClassVar[tuple[str, ...]] = ("lmms-eval", "pillow")

    kind: Literal["openai_api"] = "openai_api"
    frames_as: Literal["images", "video"] = Field(
        default="images", description="`images`: one a frame; `video`: one video of exactly these frames (vLLM only)."
    )
    image_format: Literal["jpeg", "png"] = Field(
        default="jpeg", description="How frames are encoded; `png` loses nothing."
    )
    jpeg_quality: int = Field(default=95, ge=1, le=100, description="Quality of `jpeg` pictures.")
    max_side: int | None = Field(
        default=None,
        ge=16,
        description="Longest side of a picture in pixels, larger ones are scaled down; none sends all.",
    )
    timestamps: bool = Field(default=False, description='A text such as "Frame at 12.5 s:" before each image.')
    detail: Literal["auto", "low", "high"] | None = Field(
        default=None, description="OpenAI's setting of how closely images are looked at; none leaves it out."
    )

    @model_validator(mode="after")
    def _of_images(self) -> OpenaiApi:
        if self.frames_as == "video" and (self.timestamps or self.detail):
            raise ValueError("timestamps and detail belong to frames_as: images")
        return self

    @property
    def concurrency(self) -> int:
        return self.parallel

    def weights(self) -> str:
        return self.identity()

    def load(self, device: str) -> LoadedAnswerer:
        return _ApiModel(self, ChatClient(self))


class _ApiModel(LoadedAnswerer):
    """Holds no state of a question, so threads may share it."""

    def __init__(self, answerer: OpenaiApi, client: ChatClient) -> None:
        self.answerer = answerer
        self.client = client

    def answer(self, asked: AnswerRequest) -> Reply:
        frames = asked.frames
        pictures = [self._encoded(image) for image in frames]
        messages = [
            {**message, "content": [sent for part in message["content"] for sent in self._sent(part, pictures)]}
            for message in asked.messages or ()
        ]
        given = _given(frames, messages)
        video = self.answerer.frames_as == "video"
        completion = self.client.complete(
            messages,
            asked.generation.get("max_new_tokens"),
            {"media_io_kwargs": {"video": _timing(frames)}} if video else None,
            TOO_MANY if video else None,
        )
        return Reply(completion.text, given, completion.usage)

    def _sent(self, part: Mapping[str, Any], pictures: list[str]) -> Iterator[dict[str, Any]]:
        """What one part of a message of lmms-eval becomes."""
        frames = part.get("url")
        if part["type"] == "text":
            yield {"type": "text", "text": part["text"]}
        elif not isinstance(frames, Frames):
            raise TypeError(f"a message may hold text and the selected frames, not {part['type']!r}")
        elif self.answerer.frames_as == "video":
            yield {"type": "video_url", "video_url": {"url": VIDEO + ",".join(pictures)}}
        else:
            detail = {"detail": self.answerer.detail} if self.answerer.detail else {}
            for seconds, picture in zip(frames.times, pictures, strict=True):
                if self.answerer.timestamps:
                    yield {"type": "text", "text": f"Frame at {seconds:.1f} s:"}
                url = f"data:image/{self.answerer.image_format};base64,{picture}"
                yield {"type": "image_url", "image_url": {"url": url, **detail}}

    def _encoded(self, image: Image) -> str:
        """A picture in base64."""
        from PIL.Image import Resampling

        answerer = self.answerer
        scale = min(1.0, answerer.max_side / max(image.size)) if answerer.max_side else 1.0
        if scale < 1:
            width, height = (max(1, round(side * scale)) for side in image.size)
            image = image.resize((width, height), Resampling.LANCZOS)
        with io.BytesIO() as file:
            image.save(
                file,
                answerer.image_format,
                **({"quality": answerer.jpeg_quality} if answerer.image_format == "jpeg" else {}),
            )
            return base64.b64encode(file.getvalue()).decode()


def _given(frames: Frames, messages: list[dict[str, Any]]) -> Given:
    """What is sent, read from the messages themselves; the digest is of the encoded pictures."""
    pictures: list[str] = []
    for message in messages:
        for part in message["content"]:
            if part["type"] == "video_url":
                pictures += filter(None, part["video_url"]["url"].removeprefix(VIDEO).split(","))
            elif part["type"] == "image_url":
                pictures.append(part["image_url"]["url"].partition(",")[2])
    if not pictures or not len(pictures) == len(frames.frames) == len(frames.times):
        raise RuntimeError(f"{len(frames.frames)} frames became {len(pictures)} pictures in the request")
    digest = hashlib.sha256(",".join(pictures).encode()).hexdigest()[:16]
    return Given(list(frames.frames), list(frames.times), digest)


def _timing(frames: Frames) -> dict[str, Any]:
    """What vLLM is told of the video.

    Models are told index / fps as the seconds of a frame, so the indices are made of the seconds: they are the frames'
    own in a video of constant rate. `num_frames` lifts the server's limit where it can be lifted; where it cannot,
    vLLM finds more indices than frames and says so.
    """
    indices = [round(seconds * frames.fps) for seconds in frames.times]
    total = max(frames.n_frames, len(indices), *(index + 1 for index in indices))
    return {
        "num_frames": len(indices),
        "fps": frames.fps,
        "frames_indices": indices,
        "total_num_frames": total,
        "duration": total / frames.fps,
        "do_sample_frames": False,
    }
