"""Questions, in the form that every later stage uses for every benchmark."""

from __future__ import annotations

import re
import string
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from framesift.core.errors import InputError
from framesift.storage.files import read_json

#: Key of a record of ``results/labels/{dataset}.json`` that holds the `Question`; the other keys are the original's.
NORMALISED = "normalised"


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("a span must not end before it starts")
    return span


def _inside(name: str) -> str:
    """The name of a file within a folder. Others write the labels, so they must not name any other file."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\0" in name or any(len(part.encode()) > 255 for part in parts):
        raise ValueError("expected the name of a file within the folder")
    return name


Span = Annotated[tuple[FiniteFloat, FiniteFloat], AfterValidator(_ordered)]


def seconds_of(clock: str) -> float:
    """Seconds of a time written ``h:m:s`` or ``m:s``, the last field decimal or not.

    Raises
    ------
    ValueError
        For any other text.

    Examples
    --------
    >>> seconds_of("1:02:03.5"), seconds_of("2:05")
    (3723.5, 125.0)
    """
    if not re.fullmatch(r"\s*(\d+:)?\d+:\d+(\.\d+)?\s*", clock):
        raise ValueError(f"found {clock!r}, expected a time as h:m:s or m:s")
    return sum(float(field) * 60**power for power, field in enumerate(reversed(clock.split(":"))))


class Evidence(BaseModel):
    """Where the answer to one question can be seen.

    Attributes
    ----------
    kind : str
        ``one_moment``, ``two_moments``, ``more_moments``, ``whole_video``, or a kind of the dataset's own.
    spans : tuple of (float, float)
        First and last second of each moment; empty if the whole video is the evidence.
    frames : tuple of int
        Moments that are annotated as frames: indices at the video's own frame rate.

    Examples
    --------
    >>> Evidence.of_moments(spans=((3, 5), (8, 9))).kind
    'two_moments'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(min_length=1)
    spans: tuple[Span, ...] = ()
    frames: tuple[Annotated[int, Field(ge=0)], ...] = ()

    @classmethod
    def of_moments(
        cls, *, spans: tuple[Span, ...] = (), frames: tuple[int, ...] = (), moments: int | None = None
    ) -> Evidence:
        """Evidence whose kind is its number of moments; by default each span and each frame is one."""
        count = len(spans) + len(frames) if moments is None else moments
        kind = {1: "one_moment", 2: "two_moments"}.get(count, "more_moments")
        return cls(kind=kind, spans=spans, frames=frames)


class Question(BaseModel):
    """One question: with two or more options, or open if it has none.

    Examples
    --------
    >>> question = Question(question_id="q1", video_id="v1", question="Why?", options=("a", "b"), answer="B")
    >>> question.letters
    ('A', 'B')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    question_id: str = Field(min_length=1)
    video_id: str = Field(min_length=1, description="name of the video's file without its suffix")
    question: str = Field(min_length=1, description="text without options or instructions")
    options: tuple[str, ...] = Field(default=(), description="texts without their letters; none for an open question")
    answer: str | None = Field(
        description="letter of the right option, or the text of an open answer; none where the benchmark keeps it"
    )
    groups: dict[str, str] = Field(default={}, description="grouping -> group, e.g. duration -> short")
    seconds: FiniteFloat | None = Field(default=None, gt=0, description="length of the video as the labels state it")
    subtitles: Annotated[str, AfterValidator(_inside)] | None = Field(
        default=None, description="file of the subtitles, if the dataset has them"
    )
    evidence: Evidence | None = None

    @model_validator(mode="after")
    def _answer_is_an_option(self) -> Question:
        if len(self.options) == 1 or len(self.options) > 26:
            raise ValueError(f"field 'options': found {len(self.options)}, expected 2 to 26 options, or none")
        if self.options and self.answer is not None and self.answer not in self.letters:
            raise ValueError(
                f"field 'answer': found {self.answer!r}, expected one of the {len(self.options)} letters "
                f"{', '.join(self.letters)}"
            )
        return self

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of the options."""
        return tuple(string.ascii_uppercase[: len(self.options)])


def read_questions(path: str | Path) -> list[Question]:
    """The questions of a label file made by convert_labels.py, in its order; see `read_labels`."""
    return read_labels(path)[1]


def read_labels(path: str | Path) -> tuple[list[dict[str, Any]], list[Question]]:
    """The records of a label file made by convert_labels.py, and their questions, in its order.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another form.
    """
    records = read_json(path)
    if not isinstance(records, list):
        raise InputError("has no records", file=path, expected="the output of convert_labels.py")
    questions = []
    for number, record in enumerate(records, start=1):
        try:
            questions.append(Question.model_validate(record[NORMALISED]))
        except (KeyError, TypeError, ValidationError):
            raise InputError(
                "does not have a normalised question",
                file=path,
                field=f"record {number}",
                hint="use the output of convert_labels.py, not an original label file",
            ) from None
    return records, questions
