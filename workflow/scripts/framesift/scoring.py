"""Scoring videos: one decode pass a video serves all its questions and every scorer that still lacks it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framesift.cli import log
from framesift.decoding import Task, decode_all
from framesift.encoders import Encoder
from framesift.errors import InputError, VideoError
from framesift.pictures import Pictures
from framesift.questions import Question
from framesift.scorers import Scorer
from framesift.scores import QuestionScores
from framesift.video_cache import VideoCache
from framesift.videos import Video

if TYPE_CHECKING:
    import numpy as np

#: Seconds between two lines about progress.
EVERY = 15.0


class Model:
    """An encoder or scorer at work: with its cache, on a device, its checkpoint loaded when it is first needed.

    Parameters
    ----------
    encoder : Encoder
    cache : VideoCache
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, encoder: Encoder, cache: VideoCache, device: str) -> None:
        self.encoder, self.cache, self.device = encoder, cache, device
        self.batch_size = encoder.batch_size  # smaller once memory was too small for it
        self.seconds = 0.0

    @cached_property
    def loaded(self) -> Any:
        return self.encoder.load(self.device)

    @cached_property
    def form(self) -> Pictures:
        return self.encoder.pictures(self.loaded)

    def texts(self, questions: Iterable[Question]) -> list[str]:
        """What the questions ask this model, each text once."""
        if not isinstance(self.encoder, Scorer):
            return []
        return sorted({self.encoder.query(question) for question in questions})

    def known(self, video: Video, questions: Iterable[Question]) -> dict[str, np.ndarray] | None:
        """Scores by text, from the cache; None where the frames must be seen for them."""
        tensors = self.cache.read(video)
        missing = [text for text in self.texts(questions) if _key(text) not in tensors]
        if self.encoder.keeps_features:
            if "features" not in tensors:
                return None
            if missing:  # a question was added: its text is enough
                tensors |= self._of_features(tensors["features"], missing)
                self.cache.write(video, tensors)
        elif missing:
            return None
        return {text: tensors[_key(text)] for text in self.texts(questions)}

    def see(self, images: np.ndarray, texts: list[str]) -> list[np.ndarray]:
        """Features of a batch of pictures where they are kept, else their scores; in parts, each (frames, ...).

        Where the device has too little memory, the batch is halved, and stays so.
        """
        import torch

        parts = []
        start = 0
        while start < len(images):
            batch = images[start : start + self.batch_size]
            try:
                parts.append(self._see(batch, texts))
            except torch.OutOfMemoryError as error:
                if self.batch_size == 1:
                    raise InputError(
                        "one frame needs more memory than the device has",
                        field="scorers: model",
                        value=self.encoder.model,
                        hint=f"use dtype: bfloat16, or a larger device ({str(error).splitlines()[0]})",
                    ) from None
                self.batch_size = (min(self.batch_size, len(batch)) + 1) // 2
                log.warning("memory is too small; %d frames a batch from here on", self.batch_size)
            else:
                start += len(batch)
                continue
            torch.cuda.empty_cache()
        return parts

    def _see(self, images: np.ndarray, texts: list[str]) -> np.ndarray:
        import torch

        start = time.monotonic()
        with torch.inference_mode():
            features = self.encoder.features(self.loaded, self.form.normalised(images, self.device))
            if self.encoder.keeps_features:
                seen = features.numpy()
            else:
                assert isinstance(self.encoder, Scorer)
                seen = self.encoder.scores(self.loaded, features, texts)
        self.seconds += time.monotonic() - start
        return seen

    def finish(self, video: Video, texts: list[str], parts: list[np.ndarray]) -> None:
        """Keep what was seen of a video."""
        import numpy as np

        seen = np.concatenate(parts)
        if len(seen) != len(video.frames):
            raise VideoError(f"{len(seen)} of {len(video.frames)} candidate frames were decoded")
        if self.encoder.keeps_features:
            new = {"features": seen} | self._of_features(seen, texts)
        else:
            new = _by_text(texts, seen)
        self.cache.write(video, self.cache.read(video) | new)

    def _of_features(self, features: np.ndarray, texts: list[str]) -> dict[str, np.ndarray]:
        import torch

        if not texts:
            return {}
        assert isinstance(self.encoder, Scorer)
        with torch.inference_mode():
            return _by_text(texts, self.encoder.scores(self.loaded, torch.from_numpy(features), texts))


class Scoring:
    """Scores of videos by one scorer; while frames are decoded, other scorers that lack the video see them too.

    Parameters
    ----------
    models : sequence of Model
        The scorer, then its companions.
    decoder : str
    workers : int
        Videos that are decoded at a time, each in a process of its own.
    timeout : float
        Seconds that the next frame of a video may take.
    """

    def __init__(self, models: Sequence[Model], *, decoder: str, workers: int, timeout: float) -> None:
        self.models = list(models)
        self.decoder, self.workers, self.timeout = decoder, workers, timeout

    def score(
        self, videos: Iterable[Video], questions: Mapping[str, Sequence[Question]]
    ) -> Iterator[list[QuestionScores]]:
        """Scores of all questions of each video, in the order in which videos are finished.

        A video that cannot be decoded gives rows with the error.

        Parameters
        ----------
        videos : iterable of Video
        questions : mapping
            Questions by video id.
        """
        unseen = []
        for video in videos:
            asked = questions[video.video_id]
            if video.error is not None:
                yield _failed(video, asked, video.error)
            elif (known := self.models[0].known(video, asked)) is None:
                unseen.append(video)
            else:
                yield self._rows(video, asked, known)
        if not unseen:
            return
        self._load(unseen, questions)
        errors = {}
        progress = _Progress(unseen)
        tasks = self._tasks(unseen, questions, progress)
        watching: dict[str, list[_Viewing]] = {}
        for task, pictures in decode_all(
            tasks, [model.form for model in self.models], self.workers, self.timeout, self.decoder
        ):
            video = task.video
            if isinstance(pictures, VideoError):
                errors[video.video_id] = str(pictures)
                watching.pop(video.video_id, None)
                continue
            if video.video_id not in watching:
                errors.pop(video.video_id, None)
                watching[video.video_id] = [_Viewing(self.models[i], task, questions) for i in task.forms]
            if pictures is not None:
                for viewing, picture in zip(watching[video.video_id], pictures, strict=True):
                    viewing.add(picture)
                progress.frame()
                continue
            try:
                for viewing in watching.pop(video.video_id):
                    viewing.finish()
            except VideoError as error:
                errors[video.video_id] = str(error)
            progress.video()
        progress.end(sum(model.seconds for model in self.models))
        for video in unseen:
            asked = questions[video.video_id]
            reason = errors.get(video.video_id)
            known = None if reason else self.models[0].known(video, asked)
            if known is None:
                reason = reason or "its scores vanished from the cache"
                log.warning("video %s is left out: %s", video.video_id, reason)
                yield _failed(video, asked, reason)
            else:
                yield self._rows(video, asked, known)

    def _load(self, unseen: Sequence[Video], questions: Mapping[str, Sequence[Question]]) -> None:
        """Load what there is work for. A companion that cannot be loaded stops its own job, not this one."""
        needed = [self.models[0]]
        needed[0].form  # noqa: B018 (loads)
        for model in self.models[1:]:
            try:
                if any(model.known(video, questions[video.video_id]) is None for video in unseen):
                    model.form  # noqa: B018 (loads)
                    needed.append(model)
            except InputError as error:
                log.warning("a companion is left to its own job: %s", error)
        self.models = needed

    def _tasks(
        self, unseen: Iterable[Video], questions: Mapping[str, Sequence[Question]], progress: _Progress
    ) -> Iterator[Task]:
        """What is still to be seen of each video, found out late: another job may have seen it meanwhile."""
        for video in unseen:
            asked = questions[video.video_id]
            lacking = tuple(i for i, model in enumerate(self.models) if model.known(video, asked) is None)
            if lacking:
                yield Task(video, lacking)
            else:
                progress.leave_out(video)

    def _rows(self, video: Video, asked: Sequence[Question], known: Mapping[str, np.ndarray]) -> list[QuestionScores]:
        scorer = self.models[0].encoder
        assert isinstance(scorer, Scorer)
        return [
            QuestionScores(
                question.question_id, video.video_id, None, video.frames, known[scorer.query(question)].tolist()
            )
            for question in asked
        ]


class _Viewing:
    """One video as one model sees it: frames are gathered into batches that are the same in every run."""

    def __init__(self, model: Model, task: Task, questions: Mapping[str, Sequence[Question]]) -> None:
        import numpy as np

        self.model, self.video = model, task.video
        self.texts = model.texts(questions[task.video.video_id])
        frames = min(model.encoder.batch_size, len(task.video.frames))
        self.batch = np.empty((frames, *model.form.shape), dtype=np.uint8)
        self.filled = 0
        self.parts: list[np.ndarray] = []

    def add(self, picture: np.ndarray) -> None:
        self.batch[self.filled] = picture
        self.filled += 1
        if self.filled == len(self.batch):
            self._see()

    def finish(self) -> None:
        self._see()
        self.model.finish(self.video, self.texts, self.parts)

    def _see(self) -> None:
        if self.filled:
            self.parts += self.model.see(self.batch[: self.filled], self.texts)
            self.filled = 0


class _Progress:
    """A line every now and then: what is done, how fast, and how long it will still take."""

    def __init__(self, videos: Sequence[Video]) -> None:
        self.n_videos, self.n_frames = len(videos), sum(len(video.frames) for video in videos)
        self.videos = self.frames = 0
        self._start = self._shown = time.monotonic()

    def frame(self) -> None:
        self.frames += 1
        if time.monotonic() - self._shown > EVERY:
            self._line()

    def video(self) -> None:
        self.videos += 1

    def leave_out(self, video: Video) -> None:
        self.n_videos -= 1
        self.n_frames -= len(video.frames)

    def end(self, model_seconds: float) -> None:
        self._line()
        share = model_seconds / max(time.monotonic() - self._start, 1e-9)
        log.info("the model worked for %.0f %% of the time, and waited for frames for the rest", 100 * share)

    def _line(self) -> None:
        self._shown = time.monotonic()
        speed = self.frames / max(self._shown - self._start, 1e-9)
        left = (self.n_frames - self.frames) / speed / 60 if speed else 0.0
        counts = (self.videos, self.n_videos, self.frames, self.n_frames)
        log.info("%d of %d videos, %d of %d frames, %.1f frames/s, %.1f min left", *counts, speed, left)


def _failed(video: Video, asked: Iterable[Question], error: str) -> list[QuestionScores]:
    return [QuestionScores(question.question_id, video.video_id, error, [], []) for question in asked]


def _key(text: str) -> str:
    """Name of a text's scores in a cache file."""
    return "scores/" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _by_text(texts: Sequence[str], scores: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a (candidates, texts) array by their key, each contiguous float32."""
    import numpy as np

    return {_key(text): np.ascontiguousarray(scores[:, i], dtype=np.float32) for i, text in enumerate(texts)}


def model_of(encoder: Encoder, grid: object, decoder: str, cache: Path, device: str) -> Model:
    """An encoder with its place in the cache."""
    return Model(encoder, VideoCache(encoder, grid, decoder, cache), device)
