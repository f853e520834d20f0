"""Datasets: where a benchmark comes from, how its labels are read, and what its videos are called.

A dataset turns each original label record into a `Question`. The originals are kept beside it, field by field.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from framesift.core.components import Component, build
from framesift.core.errors import VideoError
from framesift.core.spec import not_in_spec
from framesift.data.questions import Question
from framesift.video.faults import unreadable

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")

Commit = Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]

# The fields that every benchmark fills with its own defaults.


def folder(path: str) -> Any:
    return _given(Path(path), "Folder that holds the dataset.")


def label_file(path: str) -> Any:
    return _given(Path(path), "Label file (.parquet, .json, .jsonl or .csv), relative to `data_dir`.")


def video_folder(path: str) -> Any:
    return _given(Path(path), "Folder of the videos, relative to `data_dir`.")


def hub_repo(name: str | None) -> Any:
    return _given(name, "Dataset repository on the Hugging Face hub; files that are missing come from there.")


def commit(revision: str | None) -> Any:
    return _given(revision, "Commit of the repository; none for the newest at the first download.")


def _given(default: Any, text: str) -> Any:
    return Field(default=default, description=text, json_schema_extra=not_in_spec(given_file=True))


class LmmsTask(BaseModel):
    """The built-in task of lmms-eval that a dataset's questions are asked with, and what its metric says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    yaml: str = Field(description="file of the task, relative to lmms_eval/tasks")
    prompt: dict[str, str] = Field(description="the usual lmms_eval_specific_kwargs, the same for every model")
    variants: dict[str, dict[str, str]] = Field(default={}, description="other lmms_eval_specific_kwargs by name")
    columns: tuple[str, ...] = Field(description="fields of a document that the task reads")
    optional: tuple[str, ...] = Field(default=(), description="fields that it reads where they are")
    metric: str = Field(description="key of its metric")
    prediction: str | None = Field(
        default=None, description="key, within a sample's metric, of the option that was understood; none if untold"
    )
    target: str | None = Field(
        default=None, description="key, within a sample's metric, of the right option; none if the metric is a verdict"
    )
    maximum: float = Field(default=1.0, description="the metric's value when every answer is right")
    all_of: dict[str, tuple[str, ...]] = Field(
        default={}, description="field -> values that must all occur; the metric counts an absent one as 0"
    )
    open: bool = Field(default=False, description="whether answers are free text")
    offline: bool = Field(default=True, description="whether the metric needs no service on the network")


class Dataset(Component):
    """Contract of a dataset: defaults for where its files are, and `question`; the rest where it differs.

    Paths are relative to `data_dir`, and the same in the hub repository, so that a folder that already holds some of
    the files needs only the others.
    """

    #: How lmms-eval asks and judges its questions.
    lmms_task: ClassVar[LmmsTask]
    #: A record of its label file.
    example: ClassVar[Mapping[str, Any]]
    #: What a model is asked about that record, word for word, under each of the prompts.
    asked: ClassVar[Mapping[str, str]]
    #: Files of the hub repository that are, or hold, the videos: patterns of single videos, of .zip or .tar archives,
    #: or of the parts that one archive was cut into (their names end in .aa, .ab ... or .001, .002 ...).
    video_files: ClassVar[tuple[str, ...]] = ()
    #: The same for subtitles.
    subtitle_files: ClassVar[tuple[str, ...]] = ()
    #: Suffixes of its subtitle files.
    subtitle_suffixes: ClassVar[tuple[str, ...]] = (".srt",)
    #: Seconds by which a frame may miss annotated evidence and still show it.
    evidence_tolerance: ClassVar[float] = 0.0

    data_dir: Path = _given(..., "Folder that holds the dataset.")
    labels: Path = _given(..., "Label file (.parquet, .json, .jsonl or .csv), relative to `data_dir`.")
    videos: Path = video_folder("videos")
    subtitles: Path | None = _given(None, "Folder of the subtitles, relative to `data_dir`; none to leave them out.")
    evidence: Path | None = _given(
        None, "Annotated evidence by question id (JSON, or a CSV of KFS-Bench), relative to `data_dir`."
    )
    repo: str | None = hub_repo(None)
    revision: Commit | None = commit(None)
    download: bool = _given(True, "Whether missing files may be downloaded; where not, `data_dir` is used as it is.")
    keep_archives: bool = Field(
        default=False,
        description="Keep downloaded archives after their files were taken out.",
        json_schema_extra=not_in_spec(),
    )
    length_tolerance: float | None = Field(
        default=0.1,
        ge=0,
        description="Share by which a video's length may differ from what the labels say (three seconds always may);"
        " none: not checked.",
        json_schema_extra=not_in_spec(given_file=True),
    )
    max_excluded: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of the videos that may be unusable; with more the run stops (one is always allowed).",
        json_schema_extra=not_in_spec(),
    )
    shards: int = Field(
        default=1,
        ge=1,
        description="Jobs that score its videos, side by side. Counts for what is not done yet.",
        json_schema_extra=not_in_spec(),
    )
    chunks: int = Field(
        default=1,
        ge=1,
        description="Jobs that answer its questions, side by side. Counts for what is not done yet.",
        json_schema_extra=not_in_spec(),
    )
    question_ids: tuple[str, ...] | None = Field(default=None, description="Use only these questions.")
    video_ids: tuple[str, ...] | None = Field(default=None, description="Use only the questions of these videos.")
    groups: dict[str, tuple[str, ...]] | None = Field(
        default=None, description="Use only questions of these groups, e.g. `{duration: [short, medium]}`."
    )
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

    def document(self, record: Mapping[str, Any], question: Question) -> dict[str, Any]:
        """What lmms-eval's task reads: the original record, unless its form differs from the task's."""
        return dict(record)

    def references(self, record: Mapping[str, Any], question: Question) -> tuple[str, ...]:
        """All texts that are right answers to an open question, for a judge."""
        return (question.answer,) if question.answer is not None else ()

    def task_spec(self) -> dict[str, Any]:
        """What decides how its questions are asked and judged."""
        return {"kind": self.kind}

    @property
    def prompts(self) -> dict[str, dict[str, str]]:
        """The texts that may stand around a question, by name (lmms_eval_specific_kwargs)."""
        return {"default": self.lmms_task.prompt, **self.lmms_task.variants}

    def file_name(self, video_id: str) -> str:
        """Name of a video's file without its suffix."""
        return video_id

    @property
    def labels_file(self) -> Path:
        return self.data_dir / self.labels

    @property
    def evidence_file(self) -> Path | None:
        return self.data_dir / self.evidence if self.evidence else None

    @property
    def video_dir(self) -> Path:
        return self.data_dir / self.videos

    @property
    def subtitle_dir(self) -> Path | None:
        return self.data_dir / self.subtitles if self.subtitles else None

    @property
    def downloads(self) -> bool:
        """Whether missing files come from the hub."""
        return self.download and self.repo is not None


class GivenRecord(dict[str, Any]):
    """A label record whose fields must have values: ``record[name]`` rejects null, ``optional`` returns it.

    Examples
    --------
    >>> record = GivenRecord(question="Why?", answer=None)
    >>> record["question"], optional(record, "answer")
    ('Why?', None)
    >>> record["answer"]
    Traceback (most recent call last):
    ValueError: field 'answer': found null, expected a value
    """

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if value is None:
            raise ValueError(f"field {name!r}: found null, expected a value")
        if isinstance(value, list) and None in value:
            raise ValueError(f"field {name!r}: found null at position {value.index(None)}, expected values")
        return value


def optional(record: Mapping[str, Any], name: str) -> Any:
    """A field that may be null; KeyError if the record does not have it."""
    if name not in record:
        raise KeyError(name)
    return record.get(name)


def reader_of(spec: dict[str, Any]) -> Dataset:
    """A dataset that only reads records: its spec, without the places of files."""
    return build("datasets", {"data_dir": ".", "labels": ".", **spec})


class VideoFolder:
    """The video files in and below a folder, found by name: benchmarks differ in how they nest them.

    Parameters
    ----------
    folder : path
        Need not exist.

    Raises
    ------
    MachineError
        If it is there, but cannot be listed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, list[Path]] = {}
        for parent, folders, names in os.walk(folder, onerror=self._not_listed):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(parent, name)
                if path.suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                    self.files.setdefault(path.stem, []).append(path)

    def _not_listed(self, error: OSError) -> None:
        """A folder that cannot be read is not an empty one."""
        if not (isinstance(error, FileNotFoundError) and error.filename == str(self.folder)):
            raise unreadable(error.filename, error)

    def named(self, name: str) -> list[Path]:
        """The files of a name: a path in the folder or the end of one, suffix or not. Usually one, or none."""
        wanted = Path(name)
        stem = wanted.stem if wanted.suffix.lower() in VIDEO_SUFFIXES else wanted.name
        parents = wanted.parent.parts
        found = [
            path for path in self.files.get(stem, []) if not parents or path.parent.parts[-len(parents) :] == parents
        ]
        return [path for path in found if path.parent == self.folder / wanted.parent] or found

    def find(self, name: str) -> Path | None:
        """The file of a name; None where there is none.

        Raises
        ------
        VideoError
            Where several files could be meant.
        """
        found = self.named(name)
        if len(found) > 1:
            raise VideoError(f"{len(found)} files have this name: {', '.join(map(str, found))}")
        return found[0] if found else None

    def all(self) -> list[Path]:
        """Every video, sorted; not links that lead nowhere."""
        try:
            return sorted(path for paths in self.files.values() for path in paths if path.is_file())
        except OSError as error:
            raise unreadable(error.filename, error) from None


def without_letters(options: list[str]) -> tuple[str, ...]:
    """The texts of options that are written "A. text" (or "A) text", "(A) text"), in order.

    Raises
    ------
    ValueError
        For an option that does not start with its own letter.
    """
    import re

    if not isinstance(options, list):
        raise ValueError(f"field 'options': found {options!r}, expected a list")
    texts = []
    for position, option in enumerate(options):
        letter = chr(ord("A") + position)
        match = re.fullmatch(r"\s*\(?([A-Z])[.:)]\s*(.*?)\s*", str(option), flags=re.DOTALL)
        if not match or match[1] != letter:
            raise ValueError(f"field 'options': found {option!r}, expected an option that starts with '{letter}. '")
        texts.append(match[2])
    return tuple(texts)


def letter_of(index: int, options: tuple[str, ...], field: str) -> str:
    """The letter of an option given by its number, from 0.

    Raises
    ------
    ValueError
        For a number that no option has.
    """
    if not 0 <= index < len(options):
        raise ValueError(f"field {field!r}: found {index!r}, expected a number from 0 to {len(options) - 1}")
    return chr(ord("A") + index)
