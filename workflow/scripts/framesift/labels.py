"""Label files: from a benchmark's own format to one record a question, and back into memory.

A record of ``results/labels/{dataset}.json`` is the original record, untouched, plus two keys of ours:
``question_id`` where the original has none, and ``normalised``, the `Question` that every later stage reads.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from framesift.datasets import Dataset, Question
from framesift.errors import InputError, did_you_mean
from framesift.files import read_json

NORMALISED = "normalised"


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """The records of a label file (.parquet, .json, .jsonl, either JSON form gzipped too) as plain dicts.

    Raises
    ------
    InputError
        For a file that is missing, broken, empty, or of another form.
    """
    path = Path(path)
    suffixes = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if suffixes == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            records = pq.read_table(path).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot be read as parquet ({error})", file=path) from None
    elif suffixes in (".json", ".json.gz"):
        records = read_json(path)
    elif suffixes == ".jsonl":
        try:
            records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"cannot be read as JSON lines ({error})", file=path) from None
    else:
        raise InputError("is no label file", file=path, expected="a .parquet, .json, .json.gz or .jsonl file")
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise InputError("holds no records", file=path, expected="a list of at least one record")
    return records


def convert(dataset: Dataset, path: str | Path) -> list[dict[str, Any]]:
    """Convert a label file.

    Parameters
    ----------
    dataset : Dataset
        How to read it, and which questions to keep.
    path : path
        The original label file.

    Returns
    -------
    list of dict
        One record a question in the file's order: every original field, and `normalised`.

    Raises
    ------
    InputError
        For a missing column, a field that cannot be understood, a question id that occurs twice, or a choice of
        questions that leaves none.
    """
    records = read_records(path)
    converted = []
    for number, record in enumerate(records, start=1):
        try:
            question = dataset.question(record)
        except KeyError as error:
            column = str(error.args[0])
            raise InputError(
                "is missing",
                file=path,
                field=f"record {number}, column {column!r}",
                expected=f"the columns of {dataset.kind}",
                hint=did_you_mean(column, record) or f"the file has {', '.join(record)}",
            ) from None
        except (ValueError, TypeError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise InputError(reason, file=path, field=f"record {number}") from None
        converted.append({"question_id": question.question_id, **record, NORMALISED: question.model_dump(mode="json")})
    _refuse_duplicates(converted, path)
    return _chosen(dataset, converted, path)


def read_questions(path: str | Path) -> list[Question]:
    """The normalised questions of a converted label file, in its order."""
    questions = []
    for number, record in enumerate(read_json(path), start=1):
        try:
            questions.append(Question.model_validate(record[NORMALISED]))
        except (KeyError, TypeError, ValidationError):
            raise InputError(
                "has no normalised question",
                file=path,
                field=f"record {number}",
                hint="give the output of convert_labels.py, not an original label file",
            ) from None
    return questions


def _refuse_duplicates(records: list[dict[str, Any]], path: str | Path) -> None:
    counts = Counter(record[NORMALISED]["question_id"] for record in records)
    twice = [question_id for question_id, count in counts.items() if count > 1]
    if twice:
        raise InputError(
            f"{len(twice)} question ids occur more than once",
            file=path,
            field="question_id",
            value=twice[:5],
            expected="each id once",
            hint="answers are joined by id, so a repeated id cannot be told apart",
        )


def _chosen(dataset: Dataset, records: list[dict[str, Any]], path: str | Path) -> list[dict[str, Any]]:
    for field, key in (("question_ids", "question_id"), ("video_ids", "video_id")):
        wanted = getattr(dataset, field)
        if wanted is None:
            continue
        known = {record[NORMALISED][key] for record in records}
        if unknown := [item for item in wanted if item not in known]:
            raise InputError(
                f"is not in {Path(path).name}",
                field=f"datasets: {field}",
                value=unknown[0],
                hint=did_you_mean(unknown[0], known),
            )
        records = [record for record in records if record[NORMALISED][key] in set(wanted)]
    return records[: dataset.limit]
