"""Asking a video LLM: decode the frames, ask, check what the model was given, and store the answer.

lmms-eval sees one model, `Asker.as_lmms`. It answers a request from the journal if it can, and else passes it to the
real model. The first such request loads the checkpoint.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from framesift.answering.answer_file import Answer
from framesift.answering.answerers import Answerer, AnswerRequest, LoadedAnswerer, LocalAnswerer, Reply
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import device_name
from framesift.core.errors import InputError, VideoError, about
from framesift.core.spec import spec_digest, spec_id
from framesift.core.versions import versions_of
from framesift.program.cli import log
from framesift.program.in_parallel import in_parallel
from framesift.storage.journal import Journal
from framesift.video.prefetch import FrameRequest, decoded_ahead


@dataclass
class Timing:
    """Where the time of a job went, in seconds.

    Attributes
    ----------
    asked : int
        Questions that the model answered; those found in the journal do not count.
    total : float
        From the first question to the last answer, without loading the model.
    loading, waiting, model : float
        Loading the model, waiting for decoded frames, and inside the model.

    Examples
    --------
    >>> print(Timing(asked=10, total=5.0, waiting=0.5, model=4.0))
    10 questions in 5.0 s: 80% in the model, 10.0% waiting for frames, 50 ms a question for everything else
    """

    asked: int = 0
    total: float = 0.0
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
    """Everything that all answers of an answerer depend on."""
    return {
        "answerer": answerer.spec(),
        "weights": answerer.weights(),
        "made_with": versions_of("decoding", "answering", answerer),
        "libraries": {name: version(name) for name in answerer.libraries},
    }


def journal_folder(cache: Path, answerer: Answerer) -> Path:
    """The folder of an answerer's journal."""
    return cache / f"{answerer.kind}-{spec_id(identity_of(answerer))}"


class Asker:
    """An answerer with its journal.

    The journal addresses an answer by everything it depends on: `identity_of` the answerer names the folder; the
    prompt as it is sent, the generation settings, the video and the frames make the key of the record. A killed or
    retried job, another split into chunks, or another selection with the same frames finds every finished answer again.

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
        Of the questions that the model answered.
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

    def as_lmms(self, frames: Mapping[str, FrameRequest], answers: dict[str, Answer]) -> Any:
        """The model to give to lmms-eval.

        Parameters
        ----------
        frames : dict
            The frames of each question, by its id.
        answers : dict
            Receives the answer to each question, by its id.
        """
        from lmms_eval.api.model import lmms

        asker = self

        class AskerAsLmms(lmms):
            is_simple = not asker.answerer.chat

            def generate_until(self, requests: list[Any]) -> list[str]:
                ours = [LmmsRequest(request, self.task_dict, asker.answerer.chat) for request in requests]
                answers.update(asker.ask(ours, frames))
                return [answers[request.frames.question_id].response for request in ours]

            def loglikelihood(self, requests: list[Any]) -> Any:
                raise NotImplementedError("answers are generated, never ranked")

            def clean(self) -> None:
                pass  # the job ends with the evaluation; sweeping the memory of a large library takes a second

            def generate_until_multi_round(self, requests: list[Any]) -> Any:
                raise NotImplementedError("every question is asked once")

        return AskerAsLmms()

    def ask(self, requests: Sequence[LmmsRequest], frames: Mapping[str, FrameRequest]) -> dict[str, Answer]:
        """Answer questions, each from the journal or by the model.

        Parameters
        ----------
        requests : sequence of LmmsRequest
        frames : dict
            The frames of each question, by its id.

        Returns
        -------
        dict
            By question id. An answer has an error if its frames cannot be decoded.
        """
        answers: dict[str, Answer] = {}
        start, asked, loading = time.monotonic(), self.timing.asked, self.timing.loading
        with closing(decoded_ahead(self._not_in_journal(requests, frames, answers), self.decoders)) as decoded:
            in_parallel(lambda item: self._answer(*item, answers), decoded, self.answerer.concurrency)
        if self.timing.asked > asked:
            self.timing.total += time.monotonic() - start - (self.timing.loading - loading)
        return answers

    def _not_in_journal(
        self, requests: Sequence[LmmsRequest], frames: Mapping[str, FrameRequest], answers: dict[str, Answer]
    ) -> Iterator[tuple[_Question, FrameRequest]]:
        """The questions that the journal does not know; it answers the others."""
        for request in requests:
            question_id = request.frames.question_id
            question = _Question(request, frames[question_id])
            if record := self.journal.get(question.key):
                answers[question_id] = Answer.from_journal(record, question.frames.video_id)
            else:
                yield question, question.frames

    def _answer(
        self,
        question: _Question,
        pictures: list[np.ndarray] | VideoError,
        waited: float,
        answers: dict[str, Answer],
    ) -> None:
        """Ask the model one question and store the answer, unless another job has answered it meanwhile."""
        request, frames = question.request, question.frames
        question_id = request.frames.question_id
        if isinstance(pictures, VideoError):
            answers[question_id] = Answer(video_id=frames.video_id, error=f"video: {pictures}")
            return
        if record := self.journal.get(question.key):
            answers[question_id] = Answer.from_journal(record, frames.video_id)
            return
        request.fill(pictures, frames, self.answerer)
        with self._lock:
            model = self.loaded
        start = time.monotonic()
        with about(f"question {question_id}"):
            reply = _checked_reply(model, request, frames)
        seconds = time.monotonic() - start
        answer = Answer(
            video_id=frames.video_id,
            response=reply.text,
            frames_given=reply.given.frames,
            times_given=reply.given.times,
            pixels=reply.given.pixels,
            key=question.key,
            usage=reply.usage,
            cost=reply.cost,
            seconds=round(seconds, 3),
            device=self.runs_on,
        )
        self.journal.add(question.key, answer.journal_record(question_id, frames.digest))
        answers[question_id] = answer
        request.drop_pictures()
        with self._lock:
            self.timing.asked += 1
            self.timing.model += seconds / self.answerer.concurrency
            self.timing.waiting += waited / self.answerer.concurrency
        log.info("%s: %.200r (%d frames)", question_id, answer.response, len(answer.frames_given))


class LmmsRequest:
    """A request of lmms-eval, in the form for chat models or the one for simple models.

    Parameters
    ----------
    request : lmms_eval.api.instance.Instance
    documents : dict
        The documents of all tasks, by task and split.
    chat : bool
        Whether the request is for a chat model.
    """

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
        """Everything that is sent beside the frames, as plain values; `<video>` marks their place."""
        if not self._chat:
            return self.text  # a chat model is sent its messages, not this text
        return [
            {**message, "content": ["<video>" if _is_media(part) else part for part in message["content"]]}
            for message in self._media
        ]

    def fill(self, pictures: Sequence[np.ndarray], frames: FrameRequest, answerer: Answerer) -> None:
        """Put decoded pictures into the request, in the form that the answerer expects."""
        from PIL import Image

        self.frames[:] = [answerer.picture(Image.fromarray(picture)) for picture in pictures]
        self.frames.frames, self.frames.times = list(frames.frames), list(frames.times)
        self.frames.fps, self.frames.n_frames = frames.fps, frames.n_frames

    def drop_pictures(self) -> None:
        """Free the pictures: lmms-eval keeps every request until the end."""
        self.frames.clear()

    def for_answerer(self) -> AnswerRequest:
        """The request as the answerer receives it.

        lmms-eval's model classes call a function that makes the media of a document. Here it returns the media made
        once, so the model receives these very frames.
        """
        request = copy.copy(self._request)
        generation = copy.deepcopy(self.generation)
        middle = (self._made_media, generation) if self._chat else (generation, self._made_media)
        request.arguments = (self.text, *middle, *self._request.args[3:])
        messages = self._media if self._chat else None
        return AnswerRequest(self.frames, self.text, messages, generation, request, self.documents)

    def _made_media(self, document: Any) -> Any:
        return self._media


@dataclass(frozen=True)
class _Question:
    """A request with the frames it asks about."""

    request: LmmsRequest
    frames: FrameRequest

    @cached_property
    def key(self) -> str:
        """Identifies the answer, together with `identity_of` the answerer."""
        request, frames = self.request, self.frames
        blank = ["blank"] if frames.blank else []
        return spec_digest([request.prompt, request.generation, frames.digest, frames.frames, *blank])


def _checked_reply(model: LoadedAnswerer, request: LmmsRequest, frames: FrameRequest) -> Reply:
    """The model's reply, if the model received exactly the frames that were requested."""
    question_id = request.frames.question_id
    try:
        reply = model.answer(request.for_answerer())
    except Exception as error:
        if _out_of_memory(error):
            raise InputError(
                f"the GPU does not have enough memory for {len(frames.frames)} frames; every fallback was tried",
                hint="use a larger GPU, a smaller budget, fewer pixels a frame or 16 bits; finished answers are kept",
            ) from error
        raise
    given = reply.given
    if given.frames != frames.frames or given.times != frames.times:
        raise RuntimeError(
            f"question {question_id}: the model was given {given.frames}, not the selected frames {frames.frames}"
        )
    return reply


def version(library: str) -> str:
    """The version of an installed library, with its commit if it was installed from one.

    Raises
    ------
    InputError
        If the library is not installed.

    Examples
    --------
    >>> version("no-such-library")
    Traceback (most recent call last):
    ...
    framesift.core.errors.InputError: no-such-library is not installed in this environment
      hint: --use-conda, or see envs/ for what it needs
    """
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


def _out_of_memory(error: BaseException | None) -> bool:
    import torch

    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False
