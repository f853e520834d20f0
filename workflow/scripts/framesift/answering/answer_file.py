"""The record of an answer, and the file that holds those of a chunk: what the model replied, and what it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from framesift.core.errors import InputError
from framesift.storage.files import read_models, write_models

#: Fields of an answer that a record of the journal has under another name.
_IN_JOURNAL = {"frames_given": "frames", "times_given": "times"}


class Answer(BaseModel):
    """The answer to one question.

    Attributes
    ----------
    video_id : str
    error : str or None
        Why the question was not asked. It is then excluded, and counted as such.
    response : str
        What the model wrote.
    frames_given : list of int
        Indices of the frames that the network received, in order, recorded when it was called.
    times_given : list of float
        Seconds of these frames.
    pixels : str
        Digest of all pixels that the network received; empty if unknown.
    key : str
        Identifies the answer: two questions with the same key share one answer.
    usage : dict
        Counts that decide what it costs, such as tokens.
    cost : dict
        Measurements of a network that ran here (`framesift.answering.answerers._long_video.Meter`).
    seconds : float
        Time the model took when this answer was made, without decoding the video.
    device : str
        Where it ran: ``cpu``, the name of a GPU, or ``server``.

    Examples
    --------
    >>> answer = Answer(video_id="v1", response="B", frames_given=[0, 30], times_given=[0.0, 1.0], key="k1")
    >>> record = answer.journal_record("q1", video="sha256 of the video")
    >>> record["frames"], record["response"]
    ([0, 30], 'B')
    >>> Answer.from_journal(record | {"key": "k1"}, "v1") == answer
    True
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

    def journal_record(self, question_id: str, video: str) -> dict[str, Any]:
        """The answer as the journal stores it under `key`, for any video file with the same content.

        Parameters
        ----------
        question_id : str
            For readers of the journal; another question may find the same record.
        video : str
            SHA-256 of the video.
        """
        fields = self.model_dump(exclude={"video_id", "error", "key"})
        return {
            "question_id": question_id,
            "video": video,
            **{_IN_JOURNAL.get(name, name): value for name, value in fields.items()},
        }

    @classmethod
    def from_journal(cls, record: Mapping[str, Any], video_id: str) -> Answer:
        """The answer in a record of the journal."""
        names = cls.model_fields.keys() - {"video_id", "error"}
        return cls(video_id=video_id, **{name: record[_IN_JOURNAL.get(name, name)] for name in names})


def write_answers(path: str | Path, answers: Mapping[str, Answer], made_by: Mapping[str, Any]) -> None:
    """Write ``{"made_by": ..., "questions": {question_id: ...}}``."""
    write_models(path, "questions", answers, made_by)


def read_answers(path: str | Path) -> dict[str, Answer]:
    """Answers by question id, from a file of `write_answers`."""
    return read_models(path, "questions", Answer, "not a file of answers")


def union_of_chunks(paths: Sequence[str]) -> dict[str, Answer]:
    """The answers of all chunks by question id.

    Raises
    ------
    InputError
        If a question is in two chunks.
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
