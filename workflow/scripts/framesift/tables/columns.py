"""The columns of a table's files, in order, and how their values are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from framesift.storage.files import write_text
from framesift.tables.rows import IDENTITY

_MEASURES = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "p_clustered",
    "n_paired",
    "n_unpaired",
    "videos",
    "wins",
    "ties",
    "losses",
    "detectable",
    "evidence_recall",
)
_VERDICT = ("p_holm", "verdict", "reason")
_CEILINGS = ("changed", "churn", "any_right", "attained", "attained_low", "attained_high")

#: Measures of a selection that need no answers (`framesift.measures.measure`).
SELECTION = ("largest_gap", "overlap", "kfr", "shr", "ukss")

#: Columns of the table; one `accuracy[group]` for each group of `group_by` follows.
TABLE = (
    *IDENTITY,
    "protocol",
    "n",
    "n_total",
    "excluded",
    "unparsed",
    "unjudged",
    *_MEASURES,
    *_VERDICT,
    *_CEILINGS,
    "lmms_eval",
    "disagreements",
    "frames_mean",
    "frames_min",
    "frames_max",
    "prompt_tokens",
    "kept_tokens",
    "protocols_differ",
    "shared",
    *SELECTION,
    "flag",
)
GROUPS = (*IDENTITY, "grouping", "group", "n", "n_total", *_MEASURES)
TIMINGS = (
    *IDENTITY,
    "n",
    *(
        "scoring_seconds",
        "scoring_gpu_seconds",
        "selecting_seconds",
        "seconds_per_question",
        "gpu_seconds_per_question",
        "first_token_seconds",
        "token_seconds",
    ),
    "peak_memory_gb",
    "usage",
)

#: Decimals of floats; other columns have four.
_DECIMALS = {
    "frames_mean": 2,
    "prompt_tokens": 1,
    "kept_tokens": 1,
    "peak_memory_gb": 3,
    **{name: 3 for name in TIMINGS if "seconds" in name},
}


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as CSV; equal rows give equal bytes, and None becomes an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_texts(columns, rows))
    write_text(path, text.getvalue(), checked=True)


def as_texts(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """Rows as the file has them: its columns only, each value as `written`."""
    return [{column: written(column, row[column]) for column in columns} for row in rows]


def written(column: str, value: Any) -> str:
    """The text of a value in the file.

    Examples
    --------
    >>> written("accuracy", 0.5), written("difference", -0.00001), written("n", 3), written("p_value", None)
    ('0.5000', '0.0000', '3', '')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        digits = _DECIMALS.get(column, 4)
        return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0 turns -0.0 into 0.0
    return str(value)
