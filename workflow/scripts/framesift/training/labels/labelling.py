"""Labels of the questions of some videos: who is asked what, and what becomes of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from framesift.core.errors import InputError
from framesift.data.questions import Question, Span
from framesift.scoring.mllm_selector.examples import Example
from framesift.scoring.mllm_selector.label_settings import LabelSettings, LocalModel, Peaks, ScorerStandIn, ServedModel
from framesift.scoring.mllm_selector.sampling import first_shown, slots
from framesift.scoring.score_table import QuestionScores
from framesift.scoring.scorers import asked
from framesift.training.labels import combine
from framesift.training.labels.caption_reader import NamedFrames, read_captions
from framesift.training.labels.frame_questions import FrameQuestions, Questions
from framesift.training.labels.open_labeller import labeller_of
from framesift.training.labels.records import Records
from framesift.video.table import Video

log = logging.getLogger("framesift")


@dataclass(frozen=True)
class Labels:
    """The labels of one question.

    Attributes
    ----------
    question : Question
    video : Video
    error : str or None
        Why there are none.
    positions : int array, shape (m,)
        The candidates that are labelled, ascending.
    importance : float array, shape (m,)
        In [0, 1].
    undecided : int
        Frames without a verdict, whose spatial label is interpolated.
    read : NamedFrames or None
        What an LLM said of the captions, where one was asked. Where it has a problem, the spatial label stands alone.
    """

    question: Question
    video: Video
    error: str | None = None
    positions: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    importance: np.ndarray = field(default_factory=lambda: np.empty(0))
    undecided: int = 0
    read: NamedFrames | None = None

    def example(self, settings: LabelSettings, spans: Iterable[Span] = ()) -> Example:
        """What the selector is trained on.

        Parameters
        ----------
        settings : LabelSettings
        spans : iterable of (float, float)
            Seconds in which the answer is seen, for validation.
        """
        shown = slots(len(self.video.frames), settings.n)
        return Example(
            question_id=self.question.question_id,
            video_id=self.question.video_id,
            text=asked(self.question, settings.text),
            frames=tuple(shown.tolist()),
            targets=tuple(combine.interpolated(self.importance, self.positions, shown).tolist()),
            mask=tuple(first_shown(shown).tolist()),
            times=tuple(self.video.times[i] for i in shown),
            spans=tuple(spans),
        )

    def scores(self) -> QuestionScores:
        """The labels as scores of all candidates, so that a selector can choose by them."""
        names = (self.question.question_id, self.question.video_id)
        if self.error:
            return QuestionScores(*names, self.error, [], [])
        candidates = np.arange(len(self.video.frames))
        found = combine.interpolated(self.importance, self.positions, candidates)
        return QuestionScores(*names, None, self.video.frames, found.tolist())


class Labelling:
    """Labels frames as `settings` say.

    Parameters
    ----------
    settings : LabelSettings
    cache : path
        Keeps each reply of a model.
    writer : str
        Name of this job in the cache; see `framesift.storage.journal.Journal`.
    device : str
        ``cpu`` or ``cuda``.
    workers : int
        Processes that decode frames.
    timeout : float
        Seconds that the frames which are looked at together may take to be decoded.
    scores : mapping
        Scores by question id, where a scorer stands in for a VLM.
    """

    def __init__(
        self,
        settings: LabelSettings,
        cache: Path,
        writer: str,
        device: str = "cpu",
        *,
        workers: int = 1,
        timeout: float = 600.0,
        scores: Mapping[str, QuestionScores] | None = None,
    ) -> None:
        self.settings, self.cache, self.writer, self.device = settings, cache, writer, device
        self.workers, self.timeout, self.scores = workers, timeout, scores or {}
        self.looking = FrameQuestions(settings, lambda video: self._records(settings.vlm, video))

    def label(self, videos: Sequence[Video], questions: Questions) -> list[Labels]:
        """Labels of all questions of the videos; those of a broken video have its error.

        Parameters
        ----------
        videos : sequence of Video
        questions : mapping
            By video id.

        Raises
        ------
        InputError
            Where a model cannot be loaded or asked; what it said before is kept.
        """
        errors = {video.video_id: video.error for video in videos if video.error}
        usable = [video for video in videos if video.video_id not in errors]
        looks = not isinstance(self.settings.vlm, ScorerStandIn)
        if looks and (self.settings.spatial or self.settings.captions):
            errors |= self._look(usable, questions)
        usable = [video for video in usable if video.video_id not in errors]
        read = self._read(usable, questions) if self.settings.captions else {}
        spatial = looks and self.settings.spatial
        labels = []
        for video in videos:
            asked_of = questions[video.video_id]
            if video.video_id in errors:
                labels += [Labels(question, video, error=errors[video.video_id]) for question in asked_of]
                continue
            with closing(self._records(self.settings.vlm, video)) if spatial else nullcontext() as seen:
                labels += [self._labels(question, video, seen, read.get(question.question_id)) for question in asked_of]
        return labels

    def _look(self, videos: Sequence[Video], questions: Questions) -> dict[str, str]:
        assert not isinstance(self.settings.vlm, ScorerStandIn)
        with closing(labeller_of(self.settings.vlm, self.device, sees=True)) as labeller:
            return self.looking.look(labeller, videos, questions, self.workers, self.timeout)

    def _read(self, videos: Sequence[Video], questions: Questions) -> dict[str, NamedFrames]:
        """What an LLM says of the captions, by question id. It is loaded after the VLM is let go."""
        settings = self.settings
        reader = settings.reader
        assert isinstance(reader, LocalModel | ServedModel)
        read: dict[str, NamedFrames] = {}
        took = Counter[str]()
        with closing(labeller_of(reader, self.device, sees=settings.llm is None)) as labeller:
            for video in videos:
                with closing(self._records(settings.vlm, video)) as seen, closing(self._records(reader, video)) as kept:
                    captions = self.looking.captions(seen, video)
                    found, more = read_captions(settings, labeller, kept, questions[video.video_id], captions)
                read |= found
                took += more
        if took:
            log.info("captions were read: %s", ", ".join(f"{name} {n}" for name, n in sorted(took.items())))
        return read

    def _labels(self, question: Question, video: Video, seen: Records | None, read: NamedFrames | None) -> Labels:
        settings = self.settings
        m = combine.labelled_positions(len(video.frames), settings.n, settings.n_label)
        spatial = temporal = None
        undecided = 0
        if settings.spatial:
            values = self._spatial(question, video, seen, m)
            if isinstance(values, str):
                return Labels(question, video, error=values)
            undecided = int((~np.isfinite(values)).sum())
            if undecided < len(values):
                spatial = combine.min_max(values)
                if isinstance(settings.vlm, ScorerStandIn):
                    spatial = spatial**settings.vlm.exponent
        if isinstance(settings.reader, Peaks) and settings.temporal and spatial is not None:
            temporal = combine.peaks(spatial, settings.reader)
        elif read and not read.named.problem:
            temporal = combine.named(read.named.frames, len(m))
        if spatial is None and temporal is None:
            error = "no frame has a verdict" if settings.spatial else "no reply to the captions could be used"
            return Labels(question, video, error=error, undecided=undecided, read=read)
        importance = combine.average(spatial, temporal, settings.weight)
        return Labels(question, video, None, m, importance, undecided, read)

    def _spatial(
        self, question: Question, video: Video, seen: Records | None, positions: np.ndarray
    ) -> np.ndarray | str:
        """What is to be scaled to spatial labels; or why there is nothing."""
        if seen is not None:
            return self.looking.spatial(seen, video, question)
        found = self.scores.get(question.question_id)
        if found is None or (found.error is None and found.frames != video.frames):
            raise InputError(
                "has no scores of the candidates of its video",
                field=f"question {question.question_id}",
                hint="score the same labels and videos, and give the files of all shards (--scores)",
            )
        return found.error or np.array(found.scores, dtype=np.float64)[positions]

    def _records(self, model: Any, video: Video) -> Records:
        return Records(self.cache, model, video.digest, self.settings.max_side, self.writer)


def summary(settings: LabelSettings, labels: Sequence[Labels]) -> dict[str, Any]:
    """What became of the questions: how many are labelled, and how often replies to the captions were of no use."""
    read = {one.question.question_id: one.read for one in labels if one.read}
    failures = {name: one.named.problem for name, one in sorted(read.items()) if one.named.problem}
    frames = sum(len(one.positions) for one in labels)
    return {
        "questions": len(labels),
        "left_out": {one.question.question_id: one.error for one in labels if one.error},
        "frames": frames,
        "undecided_frames": sum(one.undecided for one in labels),
        "spatial": _who(settings.vlm) if settings.spatial else None,
        "temporal": {
            "by": _who(settings.reader) if settings.temporal else None,
            "asked": len(read),
            "replies": sum(one.asked for one in read.values()),
            "failures": failures,
            "failure_rate": len(failures) / len(read) if read else None,
        },
    }


def _who(model: Any) -> dict[str, Any]:
    named = {"kind": model.kind}
    for name in ("model", "revision", "scorer"):
        if getattr(model, name, None):
            named[name] = getattr(model, name)
    return named
