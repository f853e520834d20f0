"""Evaluation: ask an answerer every question of a chunk, with its frames, through lmms-eval's own task."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

from framesift.answering.answer_file import Answer
from framesift.answering.asker import Asker
from framesift.answering.lmms.startup import lmms_eval_environment
from framesift.answering.lmms.task import ID_COLUMN
from framesift.answering.lmms.tasks import SUBTITLE_COLUMN, render_task
from framesift.answering.protocols import Presentation
from framesift.core.errors import InputError, VideoError
from framesift.data.benchmarks import Dataset, LmmsTask
from framesift.data.questions import Question, read_labels
from framesift.data.subtitles import block_of, offset_of
from framesift.selection.select_frames import Selected
from framesift.video.index import VideoIndex, index_video
from framesift.video.prefetch import FrameRequest
from framesift.video.table import Video

Item = TypeVar("Item")

#: Seeds of lmms-eval's random, numpy and torch generators. Decoding is greedy, so nothing should depend on them.
SEEDS = {"random_seed": 0, "numpy_random_seed": 1234, "torch_random_seed": 1234, "fewshot_random_seed": 1234}


@dataclass(frozen=True)
class PromptSettings:
    """How questions are asked.

    Attributes
    ----------
    prompt : dict or None
        Settings of the task's text (``pre_prompt``, ``post_prompt``, ...); None for the dataset's defaults.
    subtitles : str
        ``none``, ``all``, or ``frames``: the lines spoken at the selected frames.
    folder : path or None
        Folder of the subtitle files.
    """

    prompt: Mapping[str, str] | None = None
    subtitles: Literal["none", "all", "frames"] = "none"
    folder: Path | None = None

    def document(
        self, dataset: Dataset, record: Mapping[str, Any], question: Question, times: Sequence[float]
    ) -> dict[str, Any]:
        """The document of a question for the task: the task's own fields, the question's id, and the subtitles."""
        document = {**dataset.document(record, question), ID_COLUMN: question.question_id}
        if self.subtitles != "none" and self.folder and question.subtitles:
            limited_to = times if self.subtitles == "frames" else None
            document[SUBTITLE_COLUMN] = block_of(
                self.folder / question.subtitles, limited_to, offset=offset_of(record), seconds=question.seconds
            )
        return document


def chunk_of(items: Sequence[Item], chunk: int, chunks: int) -> Sequence[Item]:
    """Part `chunk` (from 1) of `chunks`: consecutive items, sizes that differ by at most one, each item in one part.

    Questions of a video are next to each other in label files, so one job reads most videos.

    Raises
    ------
    InputError
        If there is no such chunk.

    Examples
    --------
    >>> [chunk_of("abcde", chunk, 2) for chunk in (1, 2)]
    ['ab', 'cde']
    """
    if not 1 <= chunk <= chunks:
        raise InputError("there is no such chunk", field="--chunk", value=chunk, expected=f"1 to {chunks}")
    return items[len(items) * (chunk - 1) // chunks : len(items) * chunk // chunks]


def frame_requests(
    questions: Sequence[Question],
    selection: Mapping[str, Selected],
    videos: Mapping[str, Video],
    presentation: Presentation,
) -> tuple[dict[str, FrameRequest], dict[str, str]]:
    """The frames to decode for each question.

    Returns
    -------
    requests : dict
        `FrameRequest` by question id.
    excluded : dict
        For the other questions, the reason, by question id.

    Raises
    ------
    InputError
        If selection, labels and video table do not belong together.
    """
    index_of = cache(index_video)
    requests, excluded = {}, {}
    for question in questions:
        place = f"question {question.question_id}"
        choice = selection.get(question.question_id)
        video = videos.get(question.video_id)
        if choice is None or video is None or choice.video_id != question.video_id:
            raise InputError(
                "is not in the selection, or not with the video it has in the labels",
                field=place,
                value=None if choice is None else choice.video_id,
                expected=question.video_id,
                hint="make the selection again from these labels and this video table",
            )
        if choice.error is not None or video.error is not None:
            excluded[question.question_id] = choice.error or f"video: {video.error}"
            continue
        if not choice.frames or any(frame > later for frame, later in pairwise(choice.frames)):
            raise InputError("has no frames in time order", field=place, value=choice.frames)
        frames = presentation.frames(choice.frames, video.n_frames, video.fps, question.question_id)
        try:
            stamps, times = _stamps_and_times(frames, video, index_of)
        except VideoError as error:
            raise InputError(f"selection and video table disagree ({error})", field=place) from None
        requests[question.question_id] = FrameRequest(
            path=video.path,
            digest=video.digest,
            fps=video.fps,
            n_frames=video.n_frames,
            frames=frames,
            times=presentation.times(times),
            stamps=stamps,
            keyframes=video.keyframes,
            blank=presentation.control == "blank",
            video_id=video.video_id,
        )
    return requests, excluded


def _stamps_and_times(
    frames: Sequence[int], video: Video, index_of: Callable[[str], VideoIndex]
) -> tuple[list[int], list[float]]:
    """Time stamps and seconds of frames. The file itself is read only for frames that are not candidates."""
    known = dict(zip(video.frames, zip(video.stamps, video.times, strict=True), strict=True))
    if unknown := set(frames) - known.keys():
        if not 0 <= min(unknown) <= max(unknown) < video.n_frames:
            raise VideoError(f"{video.video_id} has frames 0 to {video.n_frames - 1}, not {min(unknown)}")
        index = index_of(video.path)
        known |= {frame: (index.pts[frame], round(index.seconds(frame), 6)) for frame in unknown}
    return [known[frame][0] for frame in frames], [known[frame][1] for frame in frames]


def evaluate(
    dataset: Dataset,
    settings: PromptSettings,
    records: Sequence[Mapping[str, Any]],
    questions: Sequence[Question],
    asker: Asker,
    requests: Mapping[str, FrameRequest],
    excluded: Mapping[str, str],
) -> dict[str, Answer]:
    """Ask every question that is not excluded.

    Parameters
    ----------
    dataset : Dataset
        Names the task of lmms-eval that the questions belong to.
    settings : PromptSettings
    records : sequence of dict
        The original label record of each question.
    questions : sequence of Question
    asker : Asker
    requests, excluded : dict
        From `frame_requests`.

    Returns
    -------
    dict
        By question id, in the order of `questions`.
    """
    documents = [
        settings.document(dataset, record, question, requests[question.question_id].times)
        for record, question in zip(records, questions, strict=True)
        if question.question_id not in excluded
    ]
    answers = {
        question.question_id: Answer(video_id=question.video_id, error=excluded[question.question_id])
        for question in questions
        if question.question_id in excluded
    }
    if documents:
        run_task(dataset.lmms_task, settings, documents, asker, asker.as_lmms(requests, answers))
    return {question.question_id: answers[question.question_id] for question in questions}


def run_task(
    task: LmmsTask, settings: PromptSettings, documents: Sequence[Mapping[str, Any]], asker: Asker, model: Any
) -> None:
    """Ask a model the questions of documents through a derived task of lmms-eval."""
    with tempfile.TemporaryDirectory(prefix="framesift-") as folder, lmms_eval_environment(folder):
        from lmms_eval.evaluator import simple_evaluate
        from lmms_eval.tasks import TaskManager
        from loguru import logger

        logger.remove()
        logger.add(sys.stderr, level="WARNING", format="{time:HH:mm:ss} {name}: {message}")
        name = render_task(task, documents, Path(folder), chat=asker.answerer.chat, prompt=settings.prompt)
        tokens = asker.answerer.max_new_tokens
        simple_evaluate(
            model=model,
            tasks=[name],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            gen_kwargs=f"max_new_tokens={tokens}" if tokens else None,
            batch_size=1,
            log_samples=False,
            bootstrap_iters=0,
            process_docs_parallel=1,
            **SEEDS,
        )


def read_chunk(path: str | Path, chunk: int, chunks: int) -> tuple[Sequence[dict[str, Any]], Sequence[Question]]:
    """Original records and normalised questions of one chunk of a label file from convert_labels.py."""
    records, questions = read_labels(path)
    return chunk_of(records, chunk, chunks), chunk_of(questions, chunk, chunks)
