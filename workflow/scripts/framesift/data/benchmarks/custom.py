"""A dataset of one's own: a CSV, JSON, JSONL or parquet file whose columns the configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from framesift.core.spec import spec_id
from framesift.data.benchmarks import VIDEO_SUFFIXES, Dataset, letter_of, optional
from framesift.data.benchmarks.videomme import LETTER, SELECT, VideoMME
from framesift.data.questions import Evidence, Question
from framesift.storage.untrusted import parse_json


class Columns(BaseModel):
    """Which column holds what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str = Field(default="question", description="Text of the question.")
    options: tuple[str, ...] = Field(
        default=("options",),
        description="One column with all options (a list, or in a CSV a JSON list or texts between `|`), or a column"
        " for each option; empty ones are left out.",
    )
    answer: str = Field(default="answer", description="The right option, as `answer_form` says.")
    video: str = Field(default="video", description="File of the video within `videos`, with or without its suffix.")
    question_id: str | None = Field(
        default=None, description="A unique name; none to make one from the video and the question."
    )
    groups: tuple[str, ...] = Field(default=(), description="Columns to group results by.")
    evidence: str | None = Field(
        default=None, description="Spans that hold the answer: `[[start, end], ...]` in seconds (JSON)."
    )


class Custom(Dataset):
    """Any labels with one question a row. Its questions are asked and judged as those of VideoMME are."""

    title = "a data set of our own"
    version = 1
    lmms_task = VideoMME.lmms_task
    example: ClassVar = {"question": "What?", "options": ["a", "b", "c"], "answer": "A", "video": "v.mp4"}
    asked: ClassVar = {
        "default": f"{SELECT}What?\nA. a\nB. b\nC. c\n\n{LETTER}",
        "gpt4v": f"{SELECT}What?\nA. a\nB. b\nC. c\nAnswer the question with A, B, C, or D.",
        "llava_vid": f"{SELECT}What?\nA. a\nB. b\nC. c\nThe best answer is:",
        "qwen3_vl": "Question: What?\nOptions:\nA. a\nB. b\nC. c\nAnswer with the option letter only.",
    }

    kind: Literal["custom"] = "custom"
    columns: Columns = Field(default=Columns(), description="Which column holds what.")
    answer_form: Literal["letter", "text", "number_from_0", "number_from_1"] = Field(
        default="letter", description="How the answer names the right option."
    )

    def question(self, record: dict[str, Any]) -> Question:
        columns = self.columns
        options = self._options(record)
        text, video = str(record[columns.question]).strip(), str(record[columns.video]).strip()
        path = Path(video)
        spans = _listed(optional(record, columns.evidence), columns.evidence) if columns.evidence else ()
        return Question(
            question_id=str(record[columns.question_id]) if columns.question_id else spec_id([video, text, options]),
            video_id=(path.with_suffix("") if path.suffix.lower() in VIDEO_SUFFIXES else path).as_posix(),
            question=text,
            options=options,
            answer=self._letter(record[columns.answer], options),
            groups={name: str(record[name]) for name in columns.groups},
            evidence=Evidence.of_moments(spans=tuple(tuple(span) for span in spans)) if spans else None,
        )

    def document(self, record: Mapping[str, Any], question: Question) -> dict[str, Any]:
        return {
            "question_id": question.question_id,
            "videoID": question.video_id,
            "question": question.question,
            "options": [f"{letter}. {text}" for letter, text in zip(question.letters, question.options, strict=True)],
            "answer": question.answer,
            **dict.fromkeys(("duration", "domain", "sub_category", "task_type"), "custom"),
        }

    def _options(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        names = self.columns.options
        if len(names) > 1:
            return tuple(text for name in names if (text := str(_text(optional(record, name))).strip()))
        return tuple(str(option).strip() for option in _listed(record[names[0]], names[0]))

    def _letter(self, answer: Any, options: tuple[str, ...]) -> str:
        column, answer = self.columns.answer, str(answer).strip()
        if self.answer_form == "letter":
            return answer.rstrip(".)").lstrip("(").upper()
        if self.answer_form == "text":
            if options.count(answer) != 1:
                raise ValueError(f"field {column!r}: found {answer!r}, expected exactly one option of this text")
            return letter_of(options.index(answer), options, column)
        if not answer.lstrip("-").isdecimal():
            raise ValueError(f"field {column!r}: found {answer!r}, expected a whole number")
        return letter_of(int(answer) - (self.answer_form == "number_from_1"), options, column)


def _text(value: Any) -> Any:
    return "" if value is None else value


def _listed(value: Any, column: str) -> list[Any]:
    """A list, as such or as text."""
    if not isinstance(value, str):
        return list(value or ())
    if value.lstrip().startswith("["):
        try:
            return list(parse_json(value))
        except ValueError as error:
            raise ValueError(f"field {column!r}: found {value!r}, expected a JSON list ({error})") from None
    return value.split("|") if value.strip() else []
