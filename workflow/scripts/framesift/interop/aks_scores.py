"""Scores in the layout of AKS: `scores.json` and `frames.json`, a list a question, in the order of the labels.

The layout has no ids, so a file means something only beside the label file it was made from. Both ways go through the
ids of that file; lengths are compared, since a shifted list would give plausible, wrong selections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.scoring.score_table import QuestionScores
from framesift.storage.untrusted import parse_json, read_text

#: Whole numbers up to here are the same as floats.
LARGEST_NUMBER = 1 << 53


def to_lists(rows: Mapping[str, QuestionScores], questions: Sequence[Question]) -> tuple[list, list]:
    """Scores and frames, one list a question in the order of `questions`; empty for a question without scores.

    Raises
    ------
    InputError
        For a question that the scores lack.
    """
    if missing := [question.question_id for question in questions if question.question_id not in rows]:
        raise InputError(f"{len(missing)} questions have no scores", field="question_id", value=missing[0])
    ordered = [rows[question.question_id] for question in questions]
    return [row.scores for row in ordered], [row.frames for row in ordered]


def from_lists(
    scores_file: str | Path, frames_file: str | Path, questions: Sequence[Question]
) -> dict[str, QuestionScores]:
    """Scores by question id.

    Parameters
    ----------
    scores_file, frames_file : path
        As AKS's feature_extract.py writes them.
    questions : sequence of Question
        Every question of the label file that they were made from, in its order.

    Raises
    ------
    InputError
        For files of another form, of another number of questions, or whose lists differ in length.
    """
    scores, frames = (lists_of(file, questions, "the scores were") for file in (scores_file, frames_file))
    rows = {}
    for position, (question, values, indices) in enumerate(zip(questions, scores, frames, strict=True)):
        place = f"entry {position} (question {question.question_id})"
        if len(values) != len(indices):
            raise InputError(f"has {len(values)} scores and {len(indices)} frames", file=scores_file, field=place)
        rows[question.question_id] = QuestionScores(
            question_id=question.question_id,
            video_id=question.video_id,
            error=None if values else "there are no scores",
            frames=[_frame(index, frames_file, place) for index in indices],
            scores=[_number(value, scores_file, place) for value in values],
        )
    return rows


def read_lists(path: str | Path) -> list[list]:
    """A list a question, as it stands in the file."""
    try:
        content = parse_json(read_text(path), lenient=True)  # a NaN is told of with its place, by `_number`
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", file=path) from None
    if not isinstance(content, list) or not all(isinstance(item, list) for item in content):
        raise InputError("is not in AKS's layout", file=path, expected="a list of lists, one a question")
    return content


def lists_of(path: str | Path, questions: Sequence[Question], made: str) -> list[list]:
    """`read_lists`, and a list for each of the questions."""
    lists = read_lists(path)
    if len(lists) != len(questions):
        raise InputError(
            "has another number of questions than the labels",
            file=path,
            value=len(lists),
            expected=str(len(questions)),
            hint=f"lists are matched by position: give the very label file {made} made from, whole",
        )
    return lists


def _number(value: Any, path: str | Path, place: str) -> float:
    if not is_number(value):
        raise InputError("is no finite number", file=path, field=place, value="NaN" if value is None else value)
    return float(value)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no larger than any frame, time or score."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _frame(value: Any, path: str | Path, place: str) -> int:
    """A frame number; in the released files of VideoMME they are written as 30.0."""
    number = _number(value, path, place)
    if number < 0 or number != int(number):
        raise InputError("is no frame number", file=path, field=place, value=value)
    return int(number)
