"""The values of a table's file as people read them: percents, points, intervals."""

from __future__ import annotations

Row = dict[str, str]
NOTHING = "-"


def points(fraction: str, sign: str = "") -> str:
    """A fraction in points of a hundred, with one decimal; `sign` "+" shows that of positive numbers, too."""
    return f"{100 * float(fraction):{sign}.1f}"


def percent(fraction: str) -> str:
    return points(fraction) if fraction else NOTHING


def with_interval(row: Row, column: str, sign: str = "") -> str:
    """``84.4 (75.8 to 90.3)``."""
    if not row[column]:
        return NOTHING
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    interval = f" ({points(low, sign)} to {points(high, sign)})" if low else ""
    return f"{points(row[column], sign)}{interval}"


def gain(row: Row, baseline: str | None) -> str:
    """The difference with its interval; of the method `baseline`, that it is the baseline."""
    if row["method"] == baseline and not row["n_paired"]:
        return "baseline"
    return with_interval(row, "difference", "+")


def p_value(row: Row) -> str:
    if not row["p_holm"]:
        return NOTHING if row["n_paired"] else ""
    return "<0.0001" if float(row["p_holm"]) == 0 else row["p_holm"]


def frames(row: Row) -> str:
    if not row["frames_mean"]:
        return NOTHING
    if row["frames_min"] == row["frames_max"]:
        return row["frames_max"]
    return f"{float(row['frames_mean']):.1f} ({row['frames_min']} to {row['frames_max']})"


def answered(row: Row) -> str:
    """``96``, or ``90 of 96`` where questions are excluded."""
    return row["n"] if row["n"] == row["n_total"] else f"{row['n']} of {row['n_total']}"
