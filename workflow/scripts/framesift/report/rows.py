"""The rows of a table's files, as they stand there, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from framesift.core.errors import InputError
from framesift.storage.files import read_csv

Row = dict[str, str]
IDENTITY = ("answerer", "method", "scorer", "budget", "control")
_NEEDED = (*IDENTITY, "n", "accuracy", "accuracy_low", "accuracy_high", "difference", "difference_low")
_NEEDED_OF_TIMINGS = (*IDENTITY, "n")

ALPHA = 0.05
BETTER, WORSE, NO_EVIDENCE = "better", "worse", "no evidence"


def read_rows(path: str | Path, *, timings: bool = False) -> list[Row]:
    """The rows of a file of make_table.py, as texts.

    Raises
    ------
    InputError
        For a file that is none.
    """
    rows = read_csv(path)
    for column in _NEEDED_OF_TIMINGS if timings else _NEEDED:
        if rows and column not in rows[0]:
            raise InputError(
                "lacks a column of tables", file=path, field=f"column {column!r}", hint="make_table.py writes tables"
            )
    return rows


def number(row: Row, column: str) -> float | None:
    """A field as a number; None where it is empty or not there."""
    text = row.get(column) or ""
    try:
        return float(text)
    except ValueError:
        return None


def identity(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in IDENTITY)


def series(row: Row) -> str:
    """What a row is about besides its answerer and budget."""
    name = f"{row['method']} with {row['scorer']}" if row["scorer"] else row["method"]
    return f"{name}, {row['control']}" if row["control"] else name


def is_baseline(row: Row, baseline: str | None) -> bool:
    return row["method"] == baseline and not row["control"]


def verdict(row: Row) -> str:
    """What may be said of a row against its baseline; empty for rows that are compared with none.

    The column `verdict` counts where the table has one. Else, as for groups, a row is better or worse where the whole
    interval of its difference lies on one side of zero and every p-value is below `ALPHA`.
    """
    if row.get("verdict"):
        return row["verdict"]
    low, high = number(row, "difference_low"), number(row, "difference_high")
    if number(row, "difference") is None:
        return ""
    if any((p := number(row, column)) is not None and p >= ALPHA for column in ("p_value", "p_clustered")):
        return NO_EVIDENCE
    if low is not None and low > 0:
        return BETTER
    if high is not None and high < 0:
        return WORSE
    return NO_EVIDENCE


def blocks(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows that are compared with one another: those of one answerer and budget."""
    made: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        made.setdefault((row["answerer"], row["budget"]), []).append(row)
    return made


def seconds_columns(timings: Sequence[Row]) -> list[str]:
    """Columns of seconds a question that are known of every row, so that none looks cheap because a part is unknown.

    Scoring is nothing for a row without a scorer. Seconds of GPUs are left out: they pass at the same time.
    """
    found = [name for name in (timings[0] if timings else ()) if "seconds" in name and "gpu" not in name.lower()]
    return [
        name
        for name in found
        if all(row[name] or (name.startswith("scoring") and not row["scorer"]) for row in timings)
        and any(row[name] for row in timings)
    ]


def cost(timing: Row, columns: Sequence[str]) -> float | None:
    """Seconds a question, all known parts together; None where none is known."""
    parts = [value for name in columns if (value := number(timing, name)) is not None]
    return sum(parts) if parts else None


def percent(text: str | float | None, sign: str = "") -> str:
    """A fraction in per cent with one decimal; a dash for none."""
    return "–" if text in (None, "") else f"{100 * float(text):{sign}.1f}"


def interval(row: Row, column: str, sign: str = "") -> str:
    """``47.9 (38.2 to 57.8)``, or what of it is known."""
    if not row.get(column):
        return "–"
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    span = f" ({percent(low, sign)} to {percent(high, sign)})" if low and high else ""
    return percent(row[column], sign) + span


def p_value(text: str) -> str:
    if not text:
        return "–"
    return "<0.0001" if float(text) == 0 else text
