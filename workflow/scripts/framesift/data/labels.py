"""Label files: from a benchmark's own format to one record a question, and back.

A record of ``results/labels/{dataset}.json`` is the original record, unchanged, plus one key, ``normalised``: the
`Question` that every later stage reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from framesift.core.errors import InputError, did_you_mean, first_problem
from framesift.data.benchmarks import Dataset, GivenRecord
from framesift.data.questions import NORMALISED
from framesift.storage.files import read_csv, read_json
from framesift.storage.parquet import read_rows
from framesift.storage.untrusted import check_plain, check_regular, parse_json, read_text

#: What `Dataset.question` may raise for a record besides KeyError.
RECORD_ERRORS = (ValueError, TypeError, AttributeError, ArithmeticError)


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """The records of a label file (.parquet, .json, .jsonl, .csv; JSON gzipped too) as plain dicts.

    Raises
    ------
    InputError
        If the file is missing, broken or empty, or has another form.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("video,question\\nv1,Why?\\n")
    ...     file.flush()
    ...     read_records(file.name)
    [{'video': 'v1', 'question': 'Why?'}]
    """
    path = Path(path)
    suffixes = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    readers = {
        ".parquet": read_rows,
        ".json": read_json,
        ".json.gz": read_json,
        ".jsonl": _read_jsonl,
        ".csv": read_csv,
    }
    if suffixes not in readers:
        raise InputError("is not a label file", file=path, expected=f"one of {', '.join(readers)}")
    check_regular(path)
    records = readers[suffixes](path)
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise InputError("has no records", file=path, expected="a list of at least one record")
    for number, record in enumerate(records, start=1):
        try:
            check_plain(record)
        except ValueError as error:
            raise InputError(
                f"cannot be stored as JSON: {error}",
                file=path,
                field=f"record {number}",
                expected="texts, finite numbers, true, false, null, and lists and mappings of these",
            ) from None
    return records


def _read_jsonl(path: Path) -> list[Any]:
    values = []
    # only at newlines: `splitlines` also splits at other characters, which texts may contain
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        try:
            values += [parse_json(line)] if line.strip() else []
        except ValueError as error:
            error.args = (str(error).replace("line 1 column", "column"),)  # the parser sees one line
            raise InputError(f"cannot be read as JSON lines ({error})", file=path, field=f"line {number}") from None
    return values


def convert(dataset: Dataset, path: str | Path) -> list[dict[str, Any]]:
    """Convert a label file.

    Parameters
    ----------
    dataset : Dataset
        How to read it, and which questions to choose.
    path : path
        The original label file.

    Returns
    -------
    list of dict
        One record a question in the file's order: every original field, and `normalised`.

    Raises
    ------
    InputError
        If a column is missing, a field cannot be read, a question id occurs twice, or no questions are left.
    """
    converted = []
    for number, record in enumerate(read_records(path), start=1):
        if NORMALISED in record:
            raise InputError(
                "is already converted", file=path, field=f"record {number}", hint="use the original label file"
            )
        try:
            question = dataset.question(GivenRecord(record))
        except KeyError as error:
            column = str(error.args[0])
            raise InputError(
                "is missing",
                file=path,
                field=f"record {number}, column {column!r}",
                expected=f"the columns of {dataset.kind}",
                hint=did_you_mean(column, record) or f"the file has {', '.join(record)}",
            ) from None
        except RECORD_ERRORS as error:
            raise InputError(_reason(error), file=path, field=f"record {number}") from None
        converted.append({**record, NORMALISED: question.model_dump(mode="json")})
    _refuse_duplicates(converted, path)
    return _chosen(dataset, converted, path)


def originals(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The original records of converted ones.

    Examples
    --------
    >>> originals([{"video": "v1", "normalised": {"video_id": "v1"}}])
    [{'video': 'v1'}]
    """
    return [{key: value for key, value in record.items() if key != NORMALISED} for record in records]


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    field, message, value = first_problem(error)
    return f"field {field!r}: found {value!r}: {message}" if field else message


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
            hint="answers are joined by id, so ids must be unique",
        )


def _chosen(dataset: Dataset, records: list[dict[str, Any]], path: str | Path) -> list[dict[str, Any]]:
    """The records that `question_ids`, `video_ids`, `groups` and `limit` leave."""
    choices: list[tuple[str, tuple[str, ...] | None, Any]] = [
        ("question_ids", dataset.question_ids, lambda question: question["question_id"]),
        ("video_ids", dataset.video_ids, lambda question: question["video_id"]),
    ]
    for grouping, groups in (dataset.groups or {}).items():
        choices.append((f"groups.{grouping}", groups, lambda question, name=grouping: question["groups"].get(name)))
    for field, wanted, value_of in choices:
        if wanted is None:
            continue
        known = {value_of(record[NORMALISED]) for record in records} - {None}
        if unknown := [item for item in wanted if item not in known]:
            shown = sorted(known)[:8]
            raise InputError(
                f"is not in {Path(path).name}",
                field=f"datasets: {field}",
                value=unknown[0],
                expected=f"for example {', '.join(shown)}" if shown else "a grouping of this dataset",
                hint=did_you_mean(unknown[0], known),
            )
        keep = set(wanted)
        records = [record for record in records if value_of(record[NORMALISED]) in keep]
    if not records:
        raise InputError("no questions are left", file=path, field="datasets")
    return records[: dataset.limit]
