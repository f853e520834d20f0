"""Scores in the layout of AKS: `scores.json` and `frames.json`, one list per question in the order of the labels.

The layout has no ids, so a file is meaningful only with the label file that it was made from. Reading and writing use
the ids of that file and compare lengths, since a shifted list would give plausible but wrong selections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.scoring.score_table import QuestionScores
from framesift.storage.untrusted import parse_json, read_text

#: Largest integer up to which floats are exact.
LARGEST_NUMBER = 1 << 53


def to_lists(rows: Mapping[str, QuestionScores], questions: Sequence[Question]) -> tuple[list, list]:
    """Scores and frames, one list per question in the order of `questions`; empty for a question without scores.

    Raises
    ------
    InputError
        If a question is missing from the scores.

    Examples
    --------
    >>> question = Question(question_id="q", video_id="v", question="Which one?", options=("red", "blue"), answer="A")
    >>> to_lists({"q": QuestionScores("q", "v", None, frames=[0, 30], scores=[0.25, 0.5])}, [question])
    ([[0.25, 0.5]], [[0, 30]])
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
        Written by feature_extract.py of AKS.
    questions : sequence of Question
        Every question of the label file that the scores were made from, in its order.

    Raises
    ------
    InputError
        If a file has another layout or number of questions, or lists differ in length.
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
    """The lists of a file, one per question."""
    try:
        content = parse_json(read_text(path), lenient=True)  # `_number` reports a NaN with its place
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", file=path) from None
    if not isinstance(content, list) or not all(isinstance(item, list) for item in content):
        raise InputError("is not in AKS's layout", file=path, expected="a list of lists, one a question")
    return content


def lists_of(path: str | Path, questions: Sequence[Question], made: str) -> list[list]:
    """Like `read_lists`, for a file that must have one list for each of the questions."""
    lists = read_lists(path)
    if len(lists) != len(questions):
        raise InputError(
            "has another number of questions than the labels",
            file=path,
            value=len(lists),
            expected=str(len(questions)),
            hint=f"lists are matched by position: give the complete label file that {made} made from",
        )
    return lists


def _number(value: Any, path: str | Path, place: str) -> float:
    if not is_number(value):
        raise InputError("is not a finite number", file=path, field=place, value="NaN" if value is None else value)
    return float(value)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number of at most `LARGEST_NUMBER`.

    Examples
    --------
    >>> is_number(0.5), is_number(True), is_number(float("nan"))
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _frame(value: Any, path: str | Path, place: str) -> int:
    """A frame index; the released files of VideoMME write 30.0."""
    number = _number(value, path, place)
    if number < 0 or number != int(number):
        raise InputError("is not a frame index", file=path, field=place, value=value)
    return int(number)
