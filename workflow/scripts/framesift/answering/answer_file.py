"""Answers: what the answerer said to every question of a dataset, and what it was really shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from framesift.core.errors import InputError
from framesift.storage.checksums import read_checked, write_checked


class Answer(BaseModel):
    """The answer to one question.

    Attributes
    ----------
    video_id : str
    error : str or None
        Why the question was not asked; it is then excluded, and counted as such.
    response : str
        What the model wrote.
    frames_given : list of int
        Indices of the frames that the network got, in order, recorded at its call.
    times_given : list of float
        The seconds that go with them.
    pixels : str
        Digest of all pixels that the network got; empty where nothing is known of them.
    key : str
        What identifies the answer: two of one key are one, given twice.
    usage : dict
        What is counted for its costs, such as tokens.
    cost : dict
        What was measured of a network that ran here (`framesift.answering.answerers._long_video.Meter`).
    seconds : float
        Time the model took when this answer was made, decoding of the video left out.
    device : str
        What it ran on: ``cpu``, the name of a GPU, or ``server``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    video_id: str
    error: str | None = None
    response: str = ""
    frames_given: list[int] = []
    times_given: list[float] = []
    pixels: str = ""
    key: str = ""
    usage: dict[str, int] = {}
    cost: dict[str, float] = {}
    seconds: float = 0.0
    device: str = ""


def write_answers(path: str | Path, answers: Mapping[str, Answer], made_by: Mapping[str, Any]) -> None:
    """Write ``{"made_by": ..., "questions": {question_id: ...}}``."""
    questions = {question_id: answer.model_dump() for question_id, answer in answers.items()}
    write_checked(path, {"made_by": dict(made_by), "questions": questions})


def read_answers(path: str | Path) -> dict[str, Answer]:
    """Answers by question id, from a file of `write_answers`."""
    content = read_checked(path)
    try:
        return {question_id: Answer(**answer) for question_id, answer in content["questions"].items()}
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(f"is no file of answers ({type(error).__name__})", file=path) from None


def union_of_chunks(paths: Sequence[str]) -> dict[str, Answer]:
    """The answers of all chunks by question id.

    Raises
    ------
    InputError
        For a question that is in two chunks.
    """
    answers: dict[str, Answer] = {}
    for path in paths:
        chunk = read_answers(path)
        if twice := answers.keys() & chunk.keys():
            raise InputError(
                "is in two chunks",
                file=path,
                field="question_id",
                value=min(twice),
                expected="each question in one chunk",
                hint="are chunks of two different splits mixed?",
            )
        answers |= chunk
    return answers
