"""Evaluation: every question of a chunk, with its selected frames, through lmms-eval's own task and metric."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from framesift.answering import Asker, Wanted
from framesift.answers import Answer
from framesift.datasets import Dataset, LmmsTask
from framesift.errors import InputError, VideoError
from framesift.files import read_json
from framesift.lmms_startup import lmms_eval_environment, no_guessing, tasks_folder
from framesift.lmms_task import ID_COLUMN
from framesift.questions import Question, read_questions
from framesift.selection import Selected
from framesift.videos import Video

Item = TypeVar("Item")

#: Seeds of lmms-eval's random, numpy and torch generators. Decoding is greedy, so nothing should depend on them.
SEEDS = {"random_seed": 0, "numpy_random_seed": 1234, "torch_random_seed": 1234, "fewshot_random_seed": 1234}


def chunk_of(items: Sequence[Item], chunk: int, chunks: int) -> Sequence[Item]:
    """Part `chunk` (from 1) of `chunks` parts: consecutive items, sizes differ by one at most, each item in one part.

    Questions of a video stand together in label files, so most videos are read by one job.
    """
    if not 1 <= chunk <= chunks:
        raise InputError("there is no such chunk", field="--chunk", value=chunk, expected=f"1 to {chunks}")
    return items[len(items) * (chunk - 1) // chunks : len(items) * chunk // chunks]


def wanted_frames(
    questions: Sequence[Question], selection: Mapping[str, Selected], videos: Mapping[str, Video]
) -> tuple[dict[str, Wanted], dict[str, str]]:
    """What each question is to be shown.

    Returns
    -------
    wanted : dict
        `Wanted` by question id.
    excluded : dict
        For the other questions, the reason, by question id.

    Raises
    ------
    InputError
        Where selection, labels and video table do not belong together.
    """
    wanted, excluded = {}, {}
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
        try:
            stamps = video.stamps_of(choice.frames)
        except VideoError as error:
            raise InputError(f"selection and video table disagree ({error})", field=place) from None
        if not stamps or any(stamp >= later for stamp, later in pairwise(stamps)):
            raise InputError("has no frames in time order", field=place, value=choice.frames)
        wanted[question.question_id] = Wanted(
            path=video.path,
            digest=video.digest,
            fps=video.fps,
            n_frames=video.n_frames,
            frames=choice.frames,
            times=choice.times,
            stamps=stamps,
            keyframes=video.keyframes,
        )
    return wanted, excluded


def evaluate(
    dataset: Dataset,
    records: Sequence[Mapping[str, Any]],
    questions: Sequence[Question],
    asker: Asker,
    excluded: Mapping[str, str],
) -> dict[str, Answer]:
    """Ask every question that is not excluded, and have lmms-eval's task parse and judge the answers.

    Parameters
    ----------
    dataset : Dataset
        Says which task of lmms-eval the questions are.
    records : sequence of dict
        The original label record of each question.
    questions : sequence of Question
    asker : Asker
        Knows the frames of all questions that are not excluded.
    excluded : dict
        Reason by question id.

    Returns
    -------
    dict
        By question id, in the order of `questions`.
    """
    task = dataset.lmms_task
    if task is None:
        raise InputError(
            f"questions of {dataset.kind} cannot be asked through lmms-eval yet",
            hint="its answers are open, or its task does not say which option it understood",
        )
    documents = [
        {**dataset.document(record, question), ID_COLUMN: question.question_id}
        for record, question in zip(records, questions, strict=True)
        if question.question_id not in excluded
    ]
    judged = run_task(task, documents, asker) if documents else {}
    answers = {}
    for question in questions:
        question_id = question.question_id
        common = {"video_id": question.video_id, "answer": question.answer}
        error = excluded.get(question_id) or asker.responses[question_id].error
        if error is not None:
            answers[question_id] = Answer(**common, error=error)
            continue
        response = asker.responses[question_id]
        parsed = judged[question_id].get(task.prediction) or None
        answers[question_id] = Answer(
            **common,
            response=response.text,
            parsed=parsed,
            correct=parsed == question.answer,
            frames_given=list(response.frames),
            times_given=list(response.times),
            seconds=response.seconds,
        )
    return answers


def run_task(task: LmmsTask, documents: Sequence[Mapping[str, Any]], asker: Asker) -> dict[str, dict[str, Any]]:
    """Run one derived task of lmms-eval.

    Parameters
    ----------
    task : LmmsTask
        The built-in task it derives from.
    documents : sequence of dict
        Label records with `ID_COLUMN`; at least one.
    asker : Asker
        The model.

    Returns
    -------
    dict
        What the task's `process_results` says of each answer, by question id.
    """
    for column in task.columns:
        if missing := [document[ID_COLUMN] for document in documents if column not in document]:
            raise InputError(
                "is missing",
                field=f"labels: question {missing[0]}, column {column!r}",
                expected=f"the columns that lmms-eval's {task.yaml} reads: {', '.join(task.columns)}",
            )
    with tempfile.TemporaryDirectory(prefix="framesift-") as folder, lmms_eval_environment(folder), no_guessing():
        from lmms_eval.evaluator import simple_evaluate
        from lmms_eval.tasks import TaskManager
        from loguru import logger

        logger.remove()
        logger.add(sys.stderr, level="WARNING", format="{time:HH:mm:ss} {name}: {message}")
        name = render_task(task, documents, Path(folder), chat=asker.answerer.chat)
        tokens = asker.answerer.max_new_tokens
        results = simple_evaluate(
            model=asker.as_lmms(),
            tasks=[name],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            gen_kwargs=f"max_new_tokens={tokens}" if tokens else None,
            batch_size=1,
            log_samples=True,
            bootstrap_iters=0,
            process_docs_parallel=1,
            **SEEDS,
        )
    return {sample["doc"][ID_COLUMN]: sample[task.metric] for sample in results["samples"][name]}


def render_task(task: LmmsTask, documents: Sequence[Mapping[str, Any]], folder: Path, *, chat: bool) -> str:
    """Write the documents and the yaml of the derived task into a folder; the name of the task.

    Prompt, generation settings, parser and metric are the built-in task's. Its aggregation is left out: it would only
    see a chunk, and VideoMME's fails on categories of its own making.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Parquet, not JSON: the JSON reader of `datasets` turns texts that look like dates into dates.
    columns = list(dict.fromkeys(column for document in documents for column in document))
    rows = [{column: document.get(column) for column in columns} for document in documents]
    try:
        pq.write_table(pa.Table.from_pylist(rows), folder / "docs.parquet")
    except pa.ArrowException as error:
        raise InputError(f"a column holds values of different types ({error})", field="labels") from None
    name = f"framesift_{Path(task.yaml).stem}"
    settings = {
        "include": str(tasks_folder() / task.yaml),
        "task": name,
        "dataset_path": "parquet",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {task.split: str(folder / "docs.parquet")},
            "cache_dir": str(folder),
        },
        "test_split": task.split,
        "process_docs": None,
        "lmms_eval_specific_kwargs": {"default": dict(task.prompt)},
        "metric_list": [{"metric": task.metric, "aggregation": "bypass", "higher_is_better": True}],
        "metadata": {"version": 0.0},
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in settings.items()]  # JSON is YAML
    lines.append(f"doc_to_visual: !function framesift.lmms_task.{'frames_visual' if chat else 'frames_only'}")
    (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")
    return name


def read_chunk(path: str | Path, chunk: int, chunks: int) -> tuple[list[dict[str, Any]], list[Question]]:
    """Original records and normalised questions of one chunk of a label file of convert_labels.py."""
    questions = read_questions(path)
    return list(chunk_of(read_json(path), chunk, chunks)), list(chunk_of(questions, chunk, chunks))
