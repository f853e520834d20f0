"""Scoring videos: one decode pass a video serves all its questions and every scorer that still lacks it."""

from __future__ import annotations

import hashlib
import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from framesift.checkpoints.component import decoders_beside, pick_device
from framesift.core.components import build, kinds
from framesift.core.errors import InputError, VideoError
from framesift.core.spec import canonical_json
from framesift.data.questions import Question
from framesift.data.shards import questions_of_shard
from framesift.program.cli import add_compute_options, add_inputs, log
from framesift.scoring.cache import VideoCache
from framesift.scoring.encoders import Encoder
from framesift.scoring.score_table import QuestionScores
from framesift.scoring.scorers import Scorer
from framesift.video.decoders import check_decoder
from framesift.video.pictures import Pictures
from framesift.video.stream import Task, decode_all
from framesift.video.table import Video, read_videos

#: Seconds between two lines about progress.
EVERY = 15.0


class LoadedEncoder:
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
        self.given_up = False

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
        tensors, texts = self.cache.read(video), self.texts(questions)
        missing = [text for text in texts if _key(text) not in tensors]
        if self.encoder.keeps_features:
            if "features" not in tensors:
                return None
            if missing:  # a question was added: its text is enough
                tensors |= self._of_features(video, tensors["features"], missing)
                self.cache.write(video, tensors)
        elif missing:
            return None
        return {text: tensors[_key(text)] for text in texts}

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
        seen = np.concatenate(parts)
        wanted = len(self.encoder.positions(len(video.frames)))
        if len(seen) != wanted:
            raise VideoError(f"{len(seen)} of {wanted} candidate frames were decoded")
        if self.encoder.keeps_features:
            new = {"features": seen} | self._of_features(video, seen, texts)
        else:
            new = _by_text(texts, seen)
        self.cache.write(video, self.cache.read(video) | new)

    def _of_features(self, video: Video, features: np.ndarray, texts: list[str]) -> dict[str, np.ndarray]:
        import torch

        if not texts:
            return {}
        assert isinstance(self.encoder, Scorer)
        with torch.inference_mode():
            scores = self.encoder.scores(self.loaded, torch.from_numpy(features), texts)
        return _by_text(texts, _of_all(len(video.frames), self.encoder.positions(len(video.frames)), scores))


@dataclass(frozen=True)
class VideoScores:
    """What a model knows of a video: scores by text, or why there are none."""

    video: Video
    error: str | None
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)


class VideoScorer:
    """A model sees videos; while frames are decoded, other models that lack the video see them too.

    Parameters
    ----------
    models : sequence of LoadedEncoder
        The one whose results are wanted, then its companions.
    decoder : str
    workers : int
        Videos that are decoded at a time, each in a process of its own.
    timeout : float
        Seconds that the next frame of a video may take.
    """

    def __init__(self, models: Sequence[LoadedEncoder], *, decoder: str, workers: int, timeout: float) -> None:
        self.models = list(models)
        self.decoder, self.workers, self.timeout = decoder, workers, timeout

    def score(
        self, videos: Iterable[Video], questions: Mapping[str, Sequence[Question]]
    ) -> Iterator[list[QuestionScores]]:
        """Scores of all questions of each video; a video that cannot be decoded gives rows with the error."""
        scorer = self.models[0].encoder
        assert isinstance(scorer, Scorer)
        for seen in self.see(videos, questions):
            frames = seen.video.frames if seen.error is None else []
            yield [
                QuestionScores(
                    question.question_id,
                    seen.video.video_id,
                    seen.error,
                    frames,
                    seen.scores[scorer.query(question)].tolist() if seen.error is None else [],
                )
                for question in questions[seen.video.video_id]
            ]

    def see(self, videos: Iterable[Video], questions: Mapping[str, Sequence[Question]]) -> Iterator[VideoScores]:
        """Make sure that the cache holds what is wanted of each video; those it holds already come first.

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
                yield VideoScores(video, video.error)
            elif (known := self.models[0].known(video, asked)) is None:
                unseen.append(video)
            else:
                yield VideoScores(video, None, known)
        if not unseen:
            return
        self._load(unseen, questions)
        errors = {}
        videos_by_id = {video.video_id: video for video in unseen}
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
                whole = videos_by_id[video.video_id]
                watching[video.video_id] = [_Viewing(self.models[i], whole, task, questions) for i in task.forms]
            if pictures is not None:
                for viewing, picture in zip(watching[video.video_id], pictures, strict=True):
                    with self._companions_aside(viewing.model):
                        viewing.add(picture)
                progress.frame()
                continue
            try:
                for viewing in watching.pop(video.video_id):
                    with self._companions_aside(viewing.model):
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
                if reason is None:
                    raise InputError(
                        "what was just computed of a video has vanished",
                        file=self.models[0].cache.path(video),
                        hint="was the cache cleared, or does another run write it? Run again: what is there is kept",
                    )
                log.warning("video %s is left out: %s", video.video_id, reason)
                yield VideoScores(video, reason)
            else:
                yield VideoScores(video, None, known)

    def _load(self, unseen: Sequence[Video], questions: Mapping[str, Sequence[Question]]) -> None:
        """Load what there is work for."""
        needed = []
        for model in self.models:
            with self._companions_aside(model):
                if any(model.known(video, questions[video.video_id]) is None for video in unseen):
                    model.form  # noqa: B018 (loads)
                    needed.append(model)
        self.models = needed

    @contextmanager
    def _companions_aside(self, model: LoadedEncoder) -> Iterator[None]:
        """What a companion cannot do (its checkpoint, the memory it needs) stops its own job, not this one."""
        import torch

        try:
            yield
        except (InputError, torch.OutOfMemoryError) as error:
            if model is self.models[0]:
                raise
            model.given_up = True
            log.warning("a companion is left to its own job: %s", error)

    def _tasks(
        self, unseen: Iterable[Video], questions: Mapping[str, Sequence[Question]], progress: _Progress
    ) -> Iterator[Task]:
        """What is still to be seen of each video, found out late: another job may have seen it meanwhile."""
        for video in unseen:
            asked = questions[video.video_id]
            lacking = tuple(
                i for i, model in enumerate(self.models) if not model.given_up and model.known(video, asked) is None
            )
            if lacking:
                decoded = _thinned(video, [self.models[i].encoder for i in lacking])
                progress.n_frames -= len(video.frames) - len(decoded.frames)
                yield Task(decoded, lacking)
            else:
                progress.leave_out(video)


def _thinned(video: Video, encoders: Sequence[Encoder]) -> Video:
    """A video with those candidates alone that at least one of the encoders sees."""
    kept = sorted({i for encoder in encoders for i in encoder.positions(len(video.frames))})
    frames, stamps = ([column[i] for i in kept] for column in (video.frames, video.stamps))
    return replace(video, frames=frames, stamps=stamps, times=[video.times[i] for i in kept])


class _Viewing:
    """One video as one model sees it: frames are gathered into batches that are the same in every run."""

    def __init__(
        self, model: LoadedEncoder, video: Video, task: Task, questions: Mapping[str, Sequence[Question]]
    ) -> None:
        self.model, self.video = model, video
        self.texts = model.texts(questions[video.video_id])
        self.wanted = {video.frames[i] for i in model.encoder.positions(len(video.frames))}
        self.coming = iter(task.video.frames)
        frames = min(model.encoder.batch_size, len(self.wanted))
        self.batch = np.empty((frames, *model.form.shape), dtype=np.uint8)
        self.filled = 0
        self.parts: list[np.ndarray] = []

    def add(self, picture: np.ndarray) -> None:
        if next(self.coming) not in self.wanted or self.model.given_up:
            return
        self.batch[self.filled] = picture
        self.filled += 1
        if self.filled == len(self.batch):
            self._see()

    def finish(self) -> None:
        if self.model.given_up:
            return
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


def _key(text: str) -> str:
    """Name of a text's scores in a cache file."""
    return "scores/" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _by_text(texts: Sequence[str], scores: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a (candidates, texts) array by their key, each contiguous float32."""
    return {_key(text): np.ascontiguousarray(scores[:, i], dtype=np.float32) for i, text in enumerate(texts)}


def _of_all(candidates: int, positions: Sequence[int], scores: np.ndarray) -> np.ndarray:
    """Scores of all candidates from those of the seen ones, linear between neighbours; (positions, texts) in."""
    if len(positions) == candidates:
        return scores
    return np.stack([np.interp(np.arange(candidates), positions, column) for column in scores.T], axis=1)


def model_of(encoder: Encoder, grid: object, decoder: str, cache: Path, device: str) -> LoadedEncoder:
    """An encoder with its place in the cache."""
    return LoadedEncoder(encoder, VideoCache(encoder, grid, decoder, cache), device)


# What score_frames.py and embed_frames.py share


@dataclass(frozen=True)
class Shard:
    """A job: its videos in the order in which it sees them, their questions, and what sees them."""

    scoring: VideoScorer
    videos: list[Video]
    questions: dict[str, list[Question]]


def add_shard_options(options: ArgumentParser) -> None:
    add_inputs(options, "labels", "videos", "shards")
    options.add_argument("--shard", required=True, type=int, help="number of the shard, from 1")
    options.add_argument("--also", default=[], type=json.loads, metavar="JSON", help="specs of other scorers")
    options.add_argument("--batch-size", type=int, help="frames per batch (default: the model's)")
    options.add_argument(
        "--timeout",
        type=float,
        default=120,
        help="seconds to wait for the next frame of a video (default: %(default)s)",
    )
    options.add_argument("--cache", required=True, metavar="DIR", help="stores each finished video")
    add_compute_options(options)


def encoder_of(spec: dict[str, Any]) -> Encoder:
    """The encoder or scorer that a spec describes."""
    return build("scorers" if spec["kind"] in kinds("scorers") else "encoders", spec)


def shard_of(args: Namespace, encoder: Encoder) -> Shard:
    """The job that the options of a program describe."""
    device = pick_device(args.device)
    decoder = args.spec.get("decoder", "pyav")
    check_decoder(decoder)
    workers = decoders_beside(device, args.threads)
    if args.batch_size:
        encoder = encoder.model_copy(update={"batch_size": args.batch_size})
    cache, grid = Path(args.cache), args.spec["candidates"]
    models = [model_of(one, grid, decoder, cache, device) for one in (encoder, *map(encoder_of, args.also))]
    asked = questions_of_shard(args.labels, args.shards, args.shard)
    videos = read_videos(args.videos)
    # Jobs of one shard begin at different videos, so that those running side by side meet instead of doing the same.
    order = sorted(asked)
    mine, *others = (canonical_json(model.encoder.spec()) for model in models)
    start = sorted([mine, *others]).index(mine) * len(order) // len(models)
    scoring = VideoScorer(models, decoder=decoder, workers=workers, timeout=args.timeout)
    return Shard(scoring, [videos[video] for video in order[start:] + order[:start]], asked)
