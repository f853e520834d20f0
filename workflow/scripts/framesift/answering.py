"""Asking a video LLM: decode the selected frames, ask, check what the model was given, write the answer down.

lmms-eval sees one model, `Asker.as_lmms`. It answers a request from the journal where it can, and passes it to the
real model where it cannot; the checkpoint is loaded by the first such request.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from framesift.answerers import Answerer, Asked, Model
from framesift.code import code_digest
from framesift.errors import VideoError
from framesift.journal import Journal
from framesift.lmms_task import Frames
from framesift.spec import canonical_json, spec_id
from framesift.video.reader import read_frames

log = logging.getLogger("framesift")


@dataclass(frozen=True)
class Wanted:
    """The frames that one question is to be shown, and how to decode them (see `framesift.videos.Video`)."""

    path: str
    digest: str
    fps: float
    n_frames: int
    frames: list[int]
    times: list[float]
    stamps: list[int]
    keyframes: list[int]


@dataclass(frozen=True)
class Response:
    """What came back for one question; `error` where its frames could not be decoded, and nothing was asked."""

    text: str = ""
    frames: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    seconds: float = 0.0
    error: str | None = None


class Asker:
    """An answerer with its journal.

    An answer in the journal is addressed by everything it depends on: answerer, weights, the code that asks, the
    versions of the libraries (these name the folder), the prompt really sent, the generation settings, the video and
    the frames (these are the record's key). Killed, retried, cut into other chunks, or asked for the very same frames
    by another selector, a job finds every finished answer again.

    Parameters
    ----------
    answerer : Answerer
    wanted : dict
        `Wanted` by question id.
    cache : path
        Folder of the journals.
    writer : str
        Name of this job's file in the journal.
    device : str
        ``cpu`` or ``cuda``.

    Attributes
    ----------
    responses : dict
        `Response` by question id, of the questions asked so far.
    """

    def __init__(self, answerer: Answerer, wanted: Mapping[str, Wanted], cache: Path, writer: str, device: str) -> None:
        self.answerer = answerer
        self.wanted = wanted
        self.device = device
        self.identity = {
            "answerer": answerer.spec(),
            "weights": answerer.weights(),
            "code": code_digest(__name__, answerer.module),
            "versions": {name: version(name) for name in ("lmms-eval", "torch", "transformers")},
        }
        self.journal = Journal(cache / f"{answerer.kind}-{spec_id(self.identity)}", writer)
        self.responses: dict[str, Response] = {}
        self.made = 0

    @cached_property
    def loaded(self) -> Model:
        start = time.monotonic()
        model = self.answerer.load(self.device)
        log.info("%s loaded on %s in %.1f s", self.answerer.kind, self.device, time.monotonic() - start)
        return model

    def as_lmms(self) -> Any:
        """The model to give to lmms-eval."""
        from lmms_eval.api.model import lmms

        asker = self

        class Asking(lmms):
            is_simple = not asker.answerer.chat

            def generate_until(self, requests: list[Any]) -> list[str]:
                return [asker.ask(request, self.task_dict) for request in requests]

            def loglikelihood(self, requests: list[Any]) -> Any:
                raise NotImplementedError("answers are generated, never ranked")

            def clean(self) -> None:
                pass  # the job ends with the evaluation; sweeping the memory of a large library takes a second

            def generate_until_multi_round(self, requests: list[Any]) -> Any:
                raise NotImplementedError("every question is asked once")

        return Asking()

    def ask(self, request: Any, documents: Mapping[str, Any]) -> str:
        """Answer one request of lmms-eval.

        Parameters
        ----------
        request : lmms_eval.api.instance.Instance
        documents : dict
            Documents by task, split and number (an lmms model's `task_dict`).

        Returns
        -------
        str
            The response; empty where the frames cannot be decoded (`responses` then holds the error).
        """
        arguments = _Arguments(request, documents, self.answerer.chat)
        frames = arguments.frames
        wanted = self.wanted[frames.question_id]
        key = _key(arguments, wanted)
        record = self.journal.get(key)
        if record is None:
            try:
                _decode(frames, wanted)
            except VideoError as error:
                self.responses[frames.question_id] = Response(error=f"video: {error}")
                return ""
            record = self._generate(arguments, wanted)
            self.journal.add(key, record)
            self.made += 1
            log.info("%s: %r (%d frames)", frames.question_id, record["response"], len(record["frames"]))
        self.responses[frames.question_id] = response = Response(
            record["response"], tuple(record["frames"]), tuple(record["times"]), record["seconds"]
        )
        return response.text

    def _generate(self, arguments: _Arguments, wanted: Wanted) -> dict[str, Any]:
        """Ask the real model; the record for the journal."""
        model = self.loaded
        start = time.monotonic()
        reply = model.answer(arguments.asked())
        seconds = time.monotonic() - start
        question_id, given = arguments.frames.question_id, reply.given
        if given.frames != wanted.frames or given.times != wanted.times:
            raise RuntimeError(
                f"question {question_id}: the model was given {given.frames}, not the selected frames {wanted.frames}"
            )
        return {
            "question_id": question_id,
            "video": wanted.digest,
            "frames": given.frames,
            "times": given.times,
            "pixels": given.pixels,
            "response": reply.text,
            "usage": reply.usage,
            "seconds": round(seconds, 3),
        }


class _Arguments:
    """The arguments of a request, in either form lmms-eval has: for chat models and for simple ones."""

    def __init__(self, request: Any, documents: Mapping[str, Any], chat: bool) -> None:
        self.documents = documents
        self._request = request
        self._chat = chat
        if chat:
            self.text, make, generation, number, task, split = request.args
        else:
            self.text, generation, make, number, task, split = request.args
        self.generation = copy.deepcopy(generation)  # models write into it
        self._media = make(documents[task][split][number])
        found = list(_frames_in(self._media))
        if len(found) != 1:
            raise RuntimeError(f"a request must hold the frames of one question, not of {len(found)}")
        self.frames = found[0]

    @property
    def prompt(self) -> Any:
        """All that is sent beside the frames, as plain values: `<video>` marks their place."""
        if not self._chat:
            return self.text  # a chat model is sent its messages, not this text
        return [
            {**message, "content": ["<video>" if _is_media(part) else part for part in message["content"]]}
            for message in self._media
        ]

    def asked(self) -> Asked:
        """What the model gets. What was made of the document once is handed over, so it gets these very frames."""
        request = copy.copy(self._request)
        generation = copy.deepcopy(self.generation)
        middle = (self._made, generation) if self._chat else (generation, self._made)
        request.arguments = (self.text, *middle, *self._request.args[3:])
        messages = self._media if self._chat else None
        return Asked(self.frames, self.text, messages, generation, request, self.documents)

    def _made(self, document: Any) -> Any:
        return self._media


def _is_media(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("url"), Frames)


def _frames_in(value: Any) -> Iterator[Frames]:
    """All `Frames` in messages or in a list of media."""
    if isinstance(value, Frames):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _frames_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _frames_in(item)


def _key(arguments: _Arguments, wanted: Wanted) -> str:
    identity = [arguments.prompt, arguments.generation, wanted.digest, wanted.frames]
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def _decode(frames: Frames, wanted: Wanted) -> None:
    """Fill `frames` with the images of the video.

    Raises
    ------
    VideoError
        When a frame cannot be decoded.
    """
    from PIL import Image

    images = [Image.fromarray(image) for _, image in read_frames(wanted.path, wanted.stamps, wanted.keyframes)]
    if len(images) != len(wanted.frames):
        raise VideoError(f"{len(images)} of {len(wanted.frames)} frames were decoded")
    frames[:] = images
    frames.frames, frames.times = list(wanted.frames), list(wanted.times)
    frames.fps, frames.n_frames = wanted.fps, wanted.n_frames
