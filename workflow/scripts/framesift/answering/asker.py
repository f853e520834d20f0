"""Asking a video LLM: decode the frames, ask, check what the model was given, write the answer down.

lmms-eval sees one model, `Asker.as_lmms`. It answers a request from the journal where it can, and passes it to the
real model where it cannot; the checkpoint is loaded by the first such request.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framesift.answering.answerers import Answerer, AnswerRequest, LoadedAnswerer, LocalAnswerer
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import device_name
from framesift.core.code_digest import code_digest
from framesift.core.errors import InputError, VideoError
from framesift.core.spec import canonical_json, spec_id
from framesift.storage.journal import Journal
from framesift.video.prefetch import FrameRequest, decoded_ahead

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("framesift")


@dataclass(frozen=True)
class Response:
    """What came back for one question; `error` where its frames could not be decoded, and nothing was asked.

    `key` identifies the answer: it is the same for two questions that were asked the same with the same frames.
    """

    text: str = ""
    frames: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    pixels: str = ""
    key: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    device: str = ""
    error: str | None = None


@dataclass
class Timing:
    """Where the time of a job went, in seconds."""

    asked: int = 0
    total: float = 0.0  # of asking; loading the model left out
    loading: float = 0.0
    waiting: float = 0.0
    model: float = 0.0

    def __str__(self) -> str:
        if not self.asked or not self.total:
            return "no question was asked"
        rest = max(0.0, self.total - self.waiting - self.model)
        return (
            f"{self.asked} questions in {self.total:.1f} s: {self.model / self.total:.0%} in the model,"
            f" {self.waiting / self.total:.1%} waiting for frames,"
            f" {1000 * rest / self.asked:.0f} ms a question for everything else"
        )


def identity_of(answerer: Answerer) -> dict[str, Any]:
    """What all answers of an answerer depend on."""
    return {
        "answerer": answerer.spec(),
        "weights": answerer.weights(),
        "code": code_digest(__name__, answerer.module),
        "versions": {name: version(name) for name in answerer.libraries},
    }


def journal_folder(cache: Path, answerer: Answerer) -> Path:
    """Where the answers of an answerer are kept."""
    return cache / f"{answerer.kind}-{spec_id(identity_of(answerer))}"


class Asker:
    """An answerer with its journal.

    An answer in the journal is addressed by everything it depends on: answerer, weights, the code that asks, the
    versions of the libraries (these name the folder), the prompt really sent, the generation settings, the video and
    the frames (these are the record's key). Killed, retried, cut into other chunks, or asked for the very same frames
    by another selector, a job finds every finished answer again.

    Parameters
    ----------
    answerer : Answerer
    cache : path
        Folder of the journals.
    writer : str
        Name of this job's file in the journal.
    device : str
        ``cpu`` or ``cuda``.
    decoders : int
        Processes that decode frames ahead.

    Attributes
    ----------
    timing : Timing
        Of the questions really asked.
    """

    def __init__(self, answerer: Answerer, cache: Path, writer: str, device: str, decoders: int = 1) -> None:
        self.answerer = answerer
        self.device = device
        self.decoders = decoders
        self.identity = identity_of(answerer)
        self.journal = Journal(journal_folder(cache, answerer), writer)
        self.runs_on = device_name(device) if isinstance(answerer, LocalAnswerer) else "server"
        self.timing = Timing()
        self._lock = threading.Lock()

    @cached_property
    def loaded(self) -> LoadedAnswerer:
        start = time.monotonic()
        model = self.answerer.load(self.device)
        self.timing.loading = time.monotonic() - start
        log.info("%s loaded on %s in %.1f s", self.answerer.kind, self.device, self.timing.loading)
        return model

    def as_lmms(self, wanted: Mapping[str, FrameRequest], responses: dict[str, Response]) -> Any:
        """The model to give to lmms-eval.

        Parameters
        ----------
        wanted : dict
            What each question is to be shown, by its id.
        responses : dict
            Gets the `Response` of each question.
        """
        from lmms_eval.api.model import lmms

        asker = self

        class Asking(lmms):
            is_simple = not asker.answerer.chat

            def generate_until(self, requests: list[Any]) -> list[str]:
                put = [LmmsRequest(request, self.task_dict, asker.answerer.chat) for request in requests]
                responses.update(asker.ask(put, wanted))
                return [responses[one.frames.question_id].text for one in put]

            def loglikelihood(self, requests: list[Any]) -> Any:
                raise NotImplementedError("answers are generated, never ranked")

            def clean(self) -> None:
                pass  # the job ends with the evaluation; sweeping the memory of a large library takes a second

            def generate_until_multi_round(self, requests: list[Any]) -> Any:
                raise NotImplementedError("every question is asked once")

        return Asking()

    def ask(self, questions: Sequence[LmmsRequest], wanted: Mapping[str, FrameRequest]) -> dict[str, Response]:
        """Answer questions, each from the journal or by the model.

        Returns
        -------
        dict
            By question id. A response has an error where its frames cannot be decoded.
        """
        responses: dict[str, Response] = {}
        start, asked, loading = time.monotonic(), self.timing.asked, self.timing.loading
        with closing(decoded_ahead(self._unknown(questions, wanted, responses), self.decoders)) as decoded:
            if self.answerer.concurrency == 1:
                for question, pictures, waited in decoded:
                    self._finish(question, pictures, waited, responses)
            else:
                with ThreadPoolExecutor(self.answerer.concurrency) as threads:
                    list(threads.map(lambda _: self._take(decoded, responses), range(self.answerer.concurrency)))
        if self.timing.asked > asked:
            self.timing.total += time.monotonic() - start - (self.timing.loading - loading)
        return responses

    def _take(self, decoded: Generator[Any], responses: dict[str, Response]) -> None:
        """What one of several threads does: the next question, until there is none."""
        while True:
            with self._lock:
                item = next(decoded, None)
            if item is None:
                return
            try:
                question, pictures, waited = item
                self._finish(question, pictures, waited, responses)
            except BaseException:
                with self._lock:
                    decoded.close()  # the other threads finish what they have
                raise

    def _unknown(
        self, questions: Sequence[LmmsRequest], wanted: Mapping[str, FrameRequest], responses: dict[str, Response]
    ) -> Iterator[tuple[tuple[LmmsRequest, str, FrameRequest], FrameRequest]]:
        """The questions that the journal does not know; the others are answered."""
        for put in questions:
            question_id = put.frames.question_id
            shown = wanted[question_id]
            key = _key(put, shown)
            if record := self.journal.get(key):
                responses[question_id] = _response(record)
            else:
                yield (put, key, shown), shown

    def _finish(
        self,
        question: tuple[LmmsRequest, str, FrameRequest],
        pictures: list[np.ndarray] | VideoError,
        waited: float,
        responses: dict[str, Response],
    ) -> None:
        """Put one question to the model and keep the answer; unless another job has answered it meanwhile."""
        put, key, wanted = question
        question_id = put.frames.question_id
        if isinstance(pictures, VideoError):
            responses[question_id] = Response(error=f"video: {pictures}")
            return
        record = self.journal.get(key)
        if record is None:
            put.show(pictures, wanted, self.answerer)
            with self._lock:
                model = self.loaded
            start = time.monotonic()
            record = self._generate(model, put, wanted)
            seconds = time.monotonic() - start
            record |= {"seconds": round(seconds, 3), "device": self.runs_on}
            self.journal.add(key, record)
            put.forget()
            with self._lock:
                self.timing.asked += 1
                self.timing.model += seconds / self.answerer.concurrency
                self.timing.waiting += waited / self.answerer.concurrency
            log.info("%s: %r (%d frames)", question_id, record["response"], len(record["frames"]))
        responses[question_id] = _response({"key": key, **record})

    @staticmethod
    def _generate(model: LoadedAnswerer, put: LmmsRequest, wanted: FrameRequest) -> dict[str, Any]:
        """Ask the real model; the record for the journal."""
        question_id = put.frames.question_id
        try:
            reply = model.answer(put.asked())
        except Exception as error:
            if _out_of_memory(error):
                raise InputError(
                    f"the GPU's memory does not suffice for {len(wanted.frames)} frames, whatever was tried",
                    field=f"question {question_id}",
                    hint="a larger GPU, a smaller budget, fewer pixels a frame or 16 bits; answers so far are kept",
                ) from error
            raise
        given = reply.given
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
            "cost": reply.cost,
        }


class LmmsRequest:
    """A request of lmms-eval, in either form it has: for chat models and for simple ones."""

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

    def show(self, pictures: Sequence[np.ndarray], wanted: FrameRequest, answerer: Answerer) -> None:
        """Fill the request's frames with decoded pictures, as the answerer wants them."""
        from PIL import Image

        frames = self.frames
        frames[:] = [answerer.picture(Image.fromarray(picture)) for picture in pictures]
        frames.frames, frames.times = list(wanted.frames), list(wanted.times)
        frames.fps, frames.n_frames = wanted.fps, wanted.n_frames

    def forget(self) -> None:
        """Let go of the pictures: lmms-eval keeps every request until the end."""
        self.frames.clear()

    def asked(self) -> AnswerRequest:
        """What the model gets. What was made of the document once is handed over, so it gets these very frames."""
        request = copy.copy(self._request)
        generation = copy.deepcopy(self.generation)
        middle = (self._made, generation) if self._chat else (generation, self._made)
        request.arguments = (self.text, *middle, *self._request.args[3:])
        messages = self._media if self._chat else None
        return AnswerRequest(self.frames, self.text, messages, generation, request, self.documents)

    def _made(self, document: Any) -> Any:
        return self._media


def version(library: str) -> str:
    """The version of a library; with its commit where it was installed from one."""
    try:
        found = distribution(library)
    except PackageNotFoundError:
        raise InputError(
            f"{library} is not installed in this environment", hint="--use-conda, or see envs/ for what it needs"
        ) from None
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    commit = origin.get("vcs_info", {}).get("commit_id")
    return f"{found.version}@{commit}" if commit else found.version


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


def _key(put: LmmsRequest, wanted: FrameRequest) -> str:
    identity = [put.prompt, put.generation, wanted.digest, wanted.frames, *(["blank"] if wanted.blank else [])]
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def _response(record: Mapping[str, Any]) -> Response:
    return Response(
        text=record["response"],
        frames=tuple(record["frames"]),
        times=tuple(record["times"]),
        pixels=record["pixels"],
        key=record["key"],
        usage=record["usage"],
        cost=record["cost"],
        seconds=record["seconds"],
        device=record["device"],
    )


def _out_of_memory(error: BaseException | None) -> bool:
    import torch

    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False
