"""The rows of a table: what identifies one, what it is called, and how the files of make_table.py are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from framesift.core.errors import InputError
from framesift.storage.files import read_csv

#: A line of a CSV file of make_table.py, by column.
Row = dict[str, str]

BETTER, WORSE, NO_EVIDENCE = "better", "worse", "no evidence"
SIGNIFICANCE = 0.05
#: What marks the name of a method that sees the annotated evidence.
ORACLE = " (oracle)"


class RowId(NamedTuple):
    """What distinguishes a row of a table from every other row.

    Attributes
    ----------
    answerer, method : str
    scorer : str
        Empty for a method without scores.
    budget : int
        Frames.
    control : str
        The negative control, empty for none. The two random selections of `churn` are ``churn 1`` and ``churn 2``.

    Examples
    --------
    >>> row = RowId.of({"answerer": "my_vlm", "method": "aks", "scorer": "clip", "budget": "8"})
    >>> str(row), row.series
    ('aks with clip, 8 frames, my_vlm', 'aks with clip')
    """

    answerer: str
    method: str
    scorer: str
    budget: int
    control: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> RowId:
        """The identity of a row of a file, or of a cell of a table's spec."""
        control = row.get("control") or row.get("churn") or (row.get("showing") or {}).get("control")
        return cls(row["answerer"], row["method"], row.get("scorer") or "", int(row["budget"]), control or "")

    @property
    def series(self) -> str:
        """The row without its answerer and budget: ``aks with clip``."""
        name = f"{self.method} with {self.scorer}" if self.scorer else self.method
        return f"{name}, {self.control}" if self.control else name

    def __str__(self) -> str:
        name = self._replace(control="").series
        return f"{name}, {self.budget} frames, {self.answerer}" + (f", control {self.control}" if self.control else "")


IDENTITY = RowId._fields


def read_rows(path: str | Path, columns: Iterable[str] = ("n",)) -> list[Row]:
    """Read a CSV file of make_table.py.

    Parameters
    ----------
    path : path
    columns : iterable of str
        Columns that the file must have besides those of `RowId`.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a budget is not a whole number.
    """
    rows = read_csv(path)
    for column in (*IDENTITY, *columns):
        if rows and column not in rows[0]:
            raise InputError(
                "the file has no such column",
                file=path,
                field=f"column {column!r}",
                expected="a file that make_table.py wrote, such as results/tables/demo.csv",
                hint="this one has groups; use the table beside it" if "grouping" in rows[0] else None,
            )
    for number, row in enumerate(rows, start=1):
        if not row["budget"].isdecimal():
            raise InputError(
                "expected a number of frames", file=path, field=f"row {number}, column 'budget'", value=row["budget"]
            )
    return rows


def number(row: Row, column: str) -> float | None:
    """A field as a number; None if it is empty, missing or not a number.

    >>> number({"accuracy": "0.5"}, "accuracy")
    0.5
    """
    try:
        return float(row.get(column) or "")
    except ValueError:
        return None


def series(row: Row) -> str:
    """The name of a row without its answerer and budget, see `RowId.series`."""
    return RowId.of(row).series


def is_baseline(row: Row, baseline: str | None) -> bool:
    """Whether a row is the baseline that others are compared with, and not a negative control of it."""
    return row["method"] == baseline and not row["control"]


def verdict(row: Row) -> str:
    """`BETTER`, `WORSE` or `NO_EVIDENCE`, or an empty text for a row that is not compared with a baseline.

    A table says so itself in its column `verdict`. A file of groups does not: there a row is better or worse if the
    interval of its difference excludes zero and every p-value is below `SIGNIFICANCE`.

    Examples
    --------
    >>> verdict({"difference": "0.1", "difference_low": "0.02", "difference_high": "0.2", "p_value": "0.01"})
    'better'
    """
    if row.get("verdict"):
        return row["verdict"]
    if number(row, "difference") is None:
        return ""
    if any((p := number(row, column)) is not None and p >= SIGNIFICANCE for column in ("p_value", "p_clustered")):
        return NO_EVIDENCE
    low, high = number(row, "difference_low"), number(row, "difference_high")
    if low is not None and low > 0:
        return BETTER
    return WORSE if high is not None and high < 0 else NO_EVIDENCE


def blocks(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows by answerer and budget: those of one block are compared with one another."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["answerer"], row["budget"]), []).append(row)
    return found
