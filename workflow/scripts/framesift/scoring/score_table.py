"""Tables of scores: one row a question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framesift.core.errors import InputError
from framesift.core.spec import canonical_json
from framesift.storage.files import atomic_write
from framesift.storage.parquet import read_rows

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class QuestionScores:
    """Scores of one question's candidate frames.

    Attributes
    ----------
    question_id, video_id : str
    error : str or None
        Why there are no scores.
    frames : list of int
        Candidate frames, ascending.
    scores : list of float
        One float32 score a candidate.
    """

    question_id: str
    video_id: str
    error: str | None
    frames: list[int]
    scores: list[float]


def write_scores(path: str | Path, rows: Iterable[QuestionScores], spec: object, device: str = "") -> None:
    """Write scores as parquet, sorted by question id; its metadata say the spec, and what they were computed on.

    Examples
    --------
    >>> import tempfile
    >>> row = QuestionScores("q1", "v1", None, frames=[0, 30], scores=[0.25, 0.5])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_scores(f"{folder}/clip.parquet", [row], spec={"scorer": "clip"}, device="cpu")
    ...     print(read_scores(f"{folder}/clip.parquet")["q1"] == row, computed_on(f"{folder}/clip.parquet"))
    True cpu
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema().with_metadata({"spec": canonical_json(spec), "device": device})
    table = pa.Table.from_pylist([asdict(row) for row in sorted(rows, key=lambda row: row.question_id)], schema=schema)
    with atomic_write(path, checked=True) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_scores(path: str | Path) -> dict[str, QuestionScores]:
    """Scores by question id.

    Raises
    ------
    InputError
        For a file that is missing, damaged, or no table of scores.
    """
    rows = [QuestionScores(**row) for row in read_rows(path, _schema(), optional=("error",))]
    for row in rows:
        if len(row.frames) != len(row.scores):
            problem = f"has {len(row.scores)} scores and {len(row.frames)} frames"
            raise InputError(problem, file=path, field=f"question {row.question_id}")
    by_id = {row.question_id: row for row in rows}
    if len(by_id) < len(rows):
        raise InputError("has a question twice", file=path, field="question_id")
    return by_id


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            *[(name, pa.string()) for name in ("question_id", "video_id", "error")],
            ("frames", pa.list_(pa.int64())),
            ("scores", pa.list_(pa.float32())),
        ]
    )


def computed_on(path: str | Path) -> str:
    """What the scores of a file were computed on: ``cpu``, the name of a GPU, or empty where it does not say."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return (pq.read_schema(path).metadata or {}).get(b"device", b"").decode()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"cannot be read as parquet ({error})", file=path) from None
