"""Tables of scores: one row a question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from framesift.files import whole
from framesift.spec import canonical_json


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
    """Write scores as parquet, sorted by question id; its metadata say the spec, and what they were computed on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            *[(name, pa.string()) for name in ("question_id", "video_id", "error")],
            ("frames", pa.list_(pa.int64())),
            ("scores", pa.list_(pa.float32())),
        ],
        metadata={"spec": canonical_json(spec), "device": device},
    )
    table = pa.Table.from_pylist([asdict(row) for row in sorted(rows, key=lambda row: row.question_id)], schema=schema)
    with whole(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_scores(path: str | Path) -> dict[str, QuestionScores]:
    """Scores by question id."""
    import pyarrow.parquet as pq

    return {row["question_id"]: QuestionScores(**row) for row in pq.read_table(path).to_pylist()}


def computed_on(path: str | Path) -> str:
    """What the scores of a file were computed on: ``cpu``, the name of a GPU, or empty where it does not say."""
    import pyarrow.parquet as pq

    return (pq.read_schema(path).metadata or {}).get(b"device", b"").decode()
