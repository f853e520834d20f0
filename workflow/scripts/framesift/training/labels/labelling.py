"""Labels of the questions of some videos: which model to ask what, and labels from the replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from framesift.core.errors import InputError, about
from framesift.data.questions import Question, Span
from framesift.program.cli import log
from framesift.scoring.mllm_selector.examples import Example
from framesift.scoring.mllm_selector.label_settings import LabelSettings, LocalModel, Peaks, ScorerStandIn, ServedModel
from framesift.scoring.mllm_selector.sampling import first_shown, slots
from framesift.scoring.score_table import QuestionScores
from framesift.scoring.scorers import asked
from framesift.training.labels import combine
from framesift.training.labels.caption_reader import FrameChoice, read_captions
from framesift.training.labels.frame_questions import FrameQuestions, Questions
from framesift.training.labels.labeller import Labeller
from framesift.training.labels.reply_cache import ReplyCache
from framesift.video.table import Video


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
        The labelled candidates, ascending.
    importance : float array, shape (m,)
        In [0, 1].
    undecided : int
        Frames without a verdict, whose spatial label is interpolated.
    choice : FrameChoice or None
        The frames that an LLM chose by the captions, if it was asked. If the choice has a problem, the spatial label
        stands alone.
    """

    question: Question
    video: Video
    error: str | None = None
    positions: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    importance: np.ndarray = field(default_factory=lambda: np.empty(0))
    undecided: int = 0
    choice: FrameChoice | None = None

    def example(self, settings: LabelSettings, spans: Iterable[Span] = ()) -> Example:
        """The training example of the question.

        Parameters
        ----------
        settings : LabelSettings
        spans : iterable of (float, float)
            Seconds in which the answer is visible, for validation.
        """
        frames = slots(len(self.video.frames), settings.n)
        return Example(
            question_id=self.question.question_id,
            video_id=self.question.video_id,
            text=asked(self.question, settings.text),
            frames=tuple(frames.tolist()),
            targets=tuple(combine.interpolated(self.importance, self.positions, frames).tolist()),
            mask=tuple(first_shown(frames).tolist()),
            times=tuple(self.video.times[i] for i in frames),
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
        Folder of the replies of models.
    writer : str
        Name of this job in the cache; see `framesift.storage.journal.Journal`.
    device : str
        ``cpu`` or ``cuda``.
    workers : int
        Processes that decode frames.
    timeout : float
        Seconds that decoding the frames of one batch may take.
    scores : mapping
        Scores by question id, if a scorer stands in for a VLM.
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
        self.frame_questions = FrameQuestions(settings, lambda video: self._reply_cache(settings.vlm, video))

    def label(self, videos: Sequence[Video], questions: Questions) -> list[Labels]:
        """Labels of all questions of the videos. The labels of a broken video have its error.

        Parameters
        ----------
        videos : sequence of Video
        questions : mapping
            By video id.

        Raises
        ------
        InputError
            If a model cannot be loaded or asked. Earlier replies are kept.
        """
        errors = {video.video_id: video.error for video in videos if video.error}
        usable = [video for video in videos if video.video_id not in errors]
        has_vlm = not isinstance(self.settings.vlm, ScorerStandIn)
        if has_vlm and (self.settings.spatial or self.settings.captions):
            errors |= self._inspect_frames(usable, questions)
        usable = [video for video in usable if video.video_id not in errors]
        choices = self._read_captions(usable, questions) if self.settings.captions else {}
        spatial = has_vlm and self.settings.spatial
        labels = []
        for video in videos:
            if error := errors.get(video.video_id):
                labels += [Labels(question, video, error=error) for question in questions[video.video_id]]
                continue
            with closing(self._reply_cache(self.settings.vlm, video)) if spatial else nullcontext() as cache:
                labels += [
                    self._labels(question, video, cache, choices.get(question.question_id))
                    for question in questions[video.video_id]
                ]
        return labels

    def _inspect_frames(self, videos: Sequence[Video], questions: Questions) -> dict[str, str]:
        assert not isinstance(self.settings.vlm, ScorerStandIn)
        with closing(open_labeller(self.settings.vlm, self.device, sees_frames=True)) as labeller:
            return self.frame_questions.inspect(labeller, videos, questions, self.workers, self.timeout)

    def _read_captions(self, videos: Sequence[Video], questions: Questions) -> dict[str, FrameChoice]:
        """The frames that an LLM chooses by the captions, by question id. It is loaded after the VLM is freed."""
        settings = self.settings
        reader = settings.reader
        assert isinstance(reader, LocalModel | ServedModel)
        choices: dict[str, FrameChoice] = {}
        counts = Counter[str]()
        with closing(open_labeller(reader, self.device, sees_frames=settings.llm is None)) as labeller:
            for video in videos:
                with closing(self._reply_cache(settings.vlm, video)) as frames:
                    captions = self.frame_questions.captions(frames, video)
                with closing(self._reply_cache(reader, video)) as cache, about(f"video {video.video_id}"):
                    found, more = read_captions(settings, labeller, cache, questions[video.video_id], captions)
                choices |= found
                counts += more
        if counts:
            log.info("captions were read: %s", ", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
        return choices

    def _labels(self, question: Question, video: Video, cache: ReplyCache | None, choice: FrameChoice | None) -> Labels:
        settings = self.settings
        m = combine.labelled_positions(len(video.frames), settings.n, settings.n_label)
        spatial = temporal = None
        undecided = 0
        if settings.spatial:
            values = self._spatial(question, video, cache, m)
            if isinstance(values, str):
                return Labels(question, video, error=values)
            undecided = int((~np.isfinite(values)).sum())
            if undecided < len(values):
                spatial = combine.min_max(values)
                if isinstance(settings.vlm, ScorerStandIn):
                    spatial = spatial**settings.vlm.exponent
        if isinstance(settings.reader, Peaks) and settings.temporal and spatial is not None:
            temporal = combine.peaks(spatial, settings.reader)
        elif choice and not choice.problem:
            temporal = combine.marked(choice.frames, len(m))
        if spatial is None and temporal is None:
            error = "no frame has a verdict" if settings.spatial else "no reply to the captions could be used"
            return Labels(question, video, error=error, undecided=undecided, choice=choice)
        importance = combine.average(spatial, temporal, settings.weight)
        return Labels(question, video, None, m, importance, undecided, choice)

    def _spatial(
        self, question: Question, video: Video, cache: ReplyCache | None, positions: np.ndarray
    ) -> np.ndarray | str:
        """The values to scale to spatial labels, or why there are none."""
        if cache is not None:
            return self.frame_questions.spatial(cache, video, question)
        found = self.scores.get(question.question_id)
        if found is None or (found.error is None and found.frames != video.frames):
            raise InputError(
                "has no scores of the candidates of its video",
                field=f"question {question.question_id}",
                hint="score the same labels and videos, and give the files of all shards (--scores)",
            )
        return found.error or np.array(found.scores, dtype=np.float64)[positions]

    def _reply_cache(self, model: Any, video: Video) -> ReplyCache:
        return ReplyCache(self.cache, model, video.digest, self.settings.max_side, self.writer)


def open_labeller(model: LocalModel | ServedModel, device: str, *, sees_frames: bool) -> Labeller:
    """The labeller that is configured. It loads its model with the first request.

    Parameters
    ----------
    model : LocalModel or ServedModel
    device : str
        ``cpu`` or ``cuda``.
    sees_frames : bool
        Whether requests come with frames.
    """
    if isinstance(model, ServedModel):
        from framesift.training.labels.served_labeller import ServedLabeller

        return ServedLabeller(model)
    from framesift.training.labels.local_labeller import LocalLabeller

    return LocalLabeller(model, device, sees_frames=sees_frames)


def summary(settings: LabelSettings, labels: Sequence[Labels]) -> dict[str, Any]:
    """Counts of labelled questions and frames, and of replies to captions that could not be used."""
    choices = {one.question.question_id: one.choice for one in labels if one.choice}
    failures = {name: choice.problem for name, choice in sorted(choices.items()) if choice.problem}
    frames = sum(len(one.positions) for one in labels)
    return {
        "questions": len(labels),
        "left_out": {one.question.question_id: one.error for one in labels if one.error},
        "frames": frames,
        "undecided_frames": sum(one.undecided for one in labels),
        "spatial": _name_of(settings.vlm) if settings.spatial else None,
        "temporal": {
            "by": _name_of(settings.reader) if settings.temporal else None,
            "asked": len(choices),
            "replies": sum(choice.attempts for choice in choices.values()),
            "failures": failures,
            "failure_rate": len(failures) / len(choices) if choices else None,
        },
    }


def _name_of(model: Any) -> dict[str, Any]:
    named = {"kind": model.kind}
    for name in ("model", "revision", "scorer"):
        if getattr(model, name, None):
            named[name] = getattr(model, name)
    return named
