"""Training data of the selector: soft labels of frames, and instructions to follow, as parquet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, model_validator

from framesift.core.errors import InputError, validated
from framesift.core.spec import Frozen, canonical_json
from framesift.data.questions import Span
from framesift.scoring.mllm_selector.sampling import first_shown, slots
from framesift.storage.files import atomic_write
from framesift.storage.parquet import read_rows

Label = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Record(Frozen):
    question_id: str = Field(min_length=1)
    video_id: str = Field(min_length=1)


class Example(_Record):
    """One question with a soft label for each frame that the selector sees.

    Attributes
    ----------
    question_id, video_id : str
    text : str
        The question as the selector is asked (`framesift.scoring.scorers.asked`), without the template.
    frames : tuple of int, length n
        The candidate in each slot, from `sampling.slots`, ascending. Frames of short videos repeat.
    targets : tuple of float, length n
        Importance of each, in [0, 1].
    mask : tuple of bool, length n
        False if the target does not count: always in slots that repeat a frame.
    times : tuple of float, length n or 0
        Seconds of each frame; only evidence recall needs them.
    spans : tuple of (float, float)
        Seconds in which the answer is visible; empty if unknown.
    """

    text: str = Field(min_length=1)
    frames: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    targets: tuple[Label, ...]
    mask: tuple[bool, ...]
    times: tuple[float, ...] = ()
    spans: tuple[Span, ...] = ()

    @model_validator(mode="after")
    def _of_one_length(self) -> Example:
        n = len(self.frames)
        for name in ("targets", "mask", "times"):
            length = len(getattr(self, name))
            if length != n and not (name == "times" and length == 0):
                raise ValueError(f"field {name!r} has {length} values for {n} frames")
        expected = slots(self.frames[-1] + 1, n)
        if list(self.frames) != expected.tolist():
            raise ValueError(f"field 'frames': not the {n} candidates that sampling.slots returns")
        if any(counted and not first for counted, first in zip(self.mask, first_shown(expected), strict=True)):
            raise ValueError("field 'mask': a slot that repeats a frame counts")
        if not any(self.mask):
            raise ValueError("field 'mask': no slot counts")
        return self


class Instruction(_Record):
    """One instruction about a video and the reply to it, for stage 1. The selector sees its usual frames.

    Attributes
    ----------
    question_id, video_id, prompt, response : str
    """

    prompt: str = Field(min_length=1)
    response: str = Field(min_length=1)


Record = TypeVar("Record", bound=_Record)


def write_examples(path: str | Path, examples: Iterable[Example], spec: object) -> None:
    """Write examples as parquet, sorted by question id, with the spec that made them in its metadata."""
    import pyarrow as pa

    columns = [
        *[(name, pa.string()) for name in ("question_id", "video_id", "text")],
        ("frames", pa.list_(pa.int32())),
        ("targets", pa.list_(pa.float32())),
        ("mask", pa.list_(pa.bool_())),
        ("times", pa.list_(pa.float64())),
        ("spans", pa.list_(pa.list_(pa.float64()))),
    ]
    _write(path, columns, examples, spec)


def write_instructions(path: str | Path, instructions: Iterable[Instruction], spec: object) -> None:
    """Write instructions as parquet, sorted by question id."""
    import pyarrow as pa

    names = ("question_id", "video_id", "prompt", "response")
    _write(path, [(name, pa.string()) for name in names], instructions, spec)


def read_examples(paths: Sequence[str | Path], n: int) -> list[Example]:
    """Examples from parquet files, and from all parquet files in folders, sorted by question id.

    Raises
    ------
    InputError
        For another kind of file, a record that breaks a rule of `Example` or does not have `n` frames, and a repeated
        id.
    """
    examples = _read(Example, paths)
    for example in examples:
        if len(example.frames) != n:
            raise InputError(
                "has a different number of frames than the selector",
                field=f"question {example.question_id}",
                value=len(example.frames),
                expected=f"{n} frames",
            )
    return examples


def read_instructions(paths: Sequence[str | Path]) -> list[Instruction]:
    """Instructions from parquet files, and from all parquet files in folders, sorted by question id."""
    return _read(Instruction, paths)


def files_of(paths: Sequence[str | Path]) -> list[Path]:
    """The given parquet files, and the parquet files in given folders."""
    files = [
        file for path in map(Path, paths) for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])
    ]
    if not files:
        raise InputError("there are no parquet files", file=", ".join(map(str, paths)) or None)
    return files


def _write(path: str | Path, columns: list, records: Iterable[_Record], spec: object) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [record.model_dump() for record in sorted(records, key=lambda record: record.question_id)]
    schema = pa.schema(columns, metadata={"spec": canonical_json(spec)})
    with atomic_write(path, checked=True) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")


def _read(cls: type[Record], paths: Sequence[str | Path]) -> list[Record]:
    records: dict[str, Record] = {}
    for file in files_of(paths):
        for number, row in enumerate(read_rows(file), start=1):
            record = validated(cls, row, file, f"record {number}")
            if record.question_id in records:
                raise InputError("occurs twice", file=file, field="question_id", value=record.question_id)
            records[record.question_id] = record
    return [records[name] for name in sorted(records)]
