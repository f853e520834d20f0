"""Datasets: how a benchmark's labels are read and what its videos are called.

A dataset turns each original label record into a `Question`. The originals are kept beside it, field by field.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from framesift.components import Component
from framesift.spec import not_in_spec

VIDEO_SUFFIXES = (".mp4", ".MP4", ".mkv", ".webm", ".avi", ".mov")


class Question(BaseModel):
    """One multiple-choice question in the form every later stage uses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question_id: str = Field(min_length=1)
    video_id: str = Field(min_length=1)
    question: str
    options: tuple[str, ...] = Field(description="texts without their letters")
    answer: str = Field(pattern="^[A-Z]$", description="letter of the right option")
    groups: dict[str, str] = Field(default={}, description="grouping -> group, e.g. duration -> short")


class LmmsTask(BaseModel):
    """The built-in task of lmms-eval that a dataset's questions are asked with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    yaml: str = Field(description="file of the task, relative to lmms_eval/tasks")
    split: str = Field(description="name of its split")
    metric: str = Field(description="key of its metric")
    prediction: str = Field(description="key, within a sample's metric, of the letter that was parsed ('' for none)")
    prompt: dict[str, str] = Field(description="lmms_eval_specific_kwargs, the same for every model")
    columns: tuple[str, ...] = Field(description="fields of a record that the task reads")


class Dataset(Component):
    """Contract of a dataset: where its files lie, `lmms_task`, and `question`."""

    #: How lmms-eval asks and judges its questions.
    lmms_task: ClassVar[LmmsTask]

    data_dir: Path = Field(description="Folder that holds the dataset.", json_schema_extra=not_in_spec(given_file=True))
    labels: Path = Field(
        description="Label file, relative to `data_dir`.", json_schema_extra=not_in_spec(given_file=True)
    )
    videos: Path = Field(
        description="Folder of the videos, relative to `data_dir`.", json_schema_extra=not_in_spec(given_file=True)
    )
    evidence: Path | None = Field(
        default=None,
        description="JSON of annotated evidence spans by question id, relative to `data_dir`, if there is one.",
        json_schema_extra=not_in_spec(given_file=True),
    )
    shards: int = Field(
        default=1, ge=1, description="Jobs that score its videos, side by side.", json_schema_extra=not_in_spec()
    )
    chunks: int = Field(
        default=1, ge=1, description="Jobs that answer its questions, side by side.", json_schema_extra=not_in_spec()
    )
    question_ids: tuple[str, ...] | None = Field(default=None, description="Use only these questions.")
    video_ids: tuple[str, ...] | None = Field(default=None, description="Use only the questions of these videos.")
    limit: int | None = Field(default=None, ge=1, description="Use only the first so many questions.")

    @abstractmethod
    def question(self, record: dict[str, Any]) -> Question:
        """The normalised form of one original record.

        Raises
        ------
        KeyError
            For a field that the record lacks.
        ValueError
            For a field that cannot be understood.
        """

    @property
    def labels_file(self) -> Path:
        return self.data_dir / self.labels

    @property
    def evidence_file(self) -> Path | None:
        return self.data_dir / self.evidence if self.evidence else None

    @property
    def video_dir(self) -> Path:
        return self.data_dir / self.videos

    def find_video(self, video_id: str) -> Path | None:
        """The file of a video, whatever its suffix; None where there is none."""
        for suffix in VIDEO_SUFFIXES:
            path = self.video_dir / f"{video_id}{suffix}"
            if path.is_file():
                return path
        return None
