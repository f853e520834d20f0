"""What each figure shows: the numbers that `figures` draws into files and `interactive` into the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framesift.measures.measure import overlaps
from framesift.report.inputs import Inputs
from framesift.tables.rows import Row, RowId, number, series, verdict

#: Rows of one answerer, each with its place on the axis: its budget in frames, or its cost in seconds.
Points = list[tuple[Row, float]]


@dataclass(frozen=True)
class AccuracySeries:
    """Accuracies of one method in per cent, with the ends of their intervals."""

    name: str
    rows: tuple[Row, ...]
    x: list[float]
    accuracy: list[float]
    low: list[float]
    high: list[float]


def series_of(points: Points) -> list[AccuracySeries]:
    """The series of a panel, in the order of the table."""
    found = []
    for name in dict.fromkeys(series(row) for row, _ in points):
        rows, x = zip(*((row, x) for row, x in points if series(row) == name), strict=True)
        numbers = ([100 * (number(row, f"accuracy{end}") or 0.0) for row in rows] for end in ("", "_low", "_high"))
        found.append(AccuracySeries(name, rows, list(x), *numbers))
    return found


def _panels(points: Points) -> dict[str, Points]:
    panels: dict[str, Points] = {}
    for row, x in points:
        panels.setdefault(row["answerer"], []).append((row, x))
    return panels


def accuracy_by_budget(inputs: Inputs) -> dict[str, Points]:
    """Points over the frame budget by answerer, for answerers with several budgets."""
    panels = _panels([(row, int(row["budget"])) for row in inputs.rows if row["accuracy"]])
    return {answerer: points for answerer, points in panels.items() if len({x for _, x in points}) > 1}


def accuracy_by_cost(inputs: Inputs) -> tuple[dict[str, Points], list[str]]:
    """Points over the seconds per question by answerer, and the columns of the timings that were added up."""
    columns = seconds_columns(inputs.timings)
    seconds = {}
    for row in inputs.timings:
        if parts := [value for name in columns if (value := number(row, name)) is not None]:
            seconds[RowId.of(row)] = sum(parts)
    rows = [row for row in inputs.rows if row["accuracy"] and not row["control"] and RowId.of(row) in seconds]
    return (_panels([(row, seconds[RowId.of(row)]) for row in rows]) if len(rows) > 1 else {}), columns


def seconds_columns(timings: Sequence[Row]) -> list[str]:
    """Columns of seconds that are known of every row, so that none looks cheap because a part of its cost is unknown.

    A row without a scorer needs no seconds of scoring. Seconds of GPUs are left out: they pass at the same time.
    """
    found = [name for name in (timings[0] if timings else ()) if "seconds" in name and "gpu" not in name.lower()]
    return [
        name
        for name in found
        if all(row[name] or (name.startswith("scoring") and not row["scorer"]) for row in timings)
        and any(row[name] for row in timings)
    ]


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto front: points (cost, gain) that no other point matches at a lower cost.

    Examples
    --------
    >>> front([(2, 0.5), (1, 0.4), (3, 0.45)])
    [(1, 0.4), (2, 0.5)]
    """
    best: list[tuple[float, float]] = []
    for cost, gain in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not best or gain > best[-1][1]:
            best.append((cost, gain))
    return best


def front_line(points: Points) -> tuple[list[float], list[float]]:
    """Costs and accuracies of the front of a panel, prolonged to the highest cost."""
    line = front([(cost, 100 * float(row["accuracy"])) for row, cost in points])
    line.append((max(cost for _, cost in points), line[-1][1]))
    return [cost for cost, _ in line], [accuracy for _, accuracy in line]


@dataclass(frozen=True)
class Gain:
    """The difference of a row to the baseline, in points, with its interval and verdict."""

    label: str
    row: Row
    value: float
    low: float | None
    high: float | None
    verdict: str


def gains(inputs: Inputs, grouping: str) -> dict[str, list[Gain]]:
    """Gains over the baseline by group, without negative controls; empty with fewer than two groups."""
    found: dict[str, list[Gain]] = {}
    for row in inputs.groups:
        if row["grouping"] == grouping and row["difference"] and not row["control"]:
            fractions = (number(row, f"difference{end}") for end in ("", "_low", "_high"))
            value, low, high = (None if one is None else 100 * one for one in fractions)
            gain = Gain(_label(inputs, row), row, value or 0.0, low, high, verdict(row))
            found.setdefault(row["group"], []).append(gain)
    return found if len(found) > 1 else {}


def _label(inputs: Inputs, row: Row) -> str:
    """A series, with its answerer and budget if the table has several."""
    parts = [series(row)]
    if len({one["answerer"] for one in inputs.rows}) > 1:
        parts.append(row["answerer"])
    if len({one["budget"] for one in inputs.rows}) > 1:
        parts.append(f"{row['budget']} frames")
    return ", ".join(parts)


def overlap(inputs: Inputs, budget: int) -> tuple[list[str], np.ndarray] | None:
    """Names and pairwise Jaccard indices of the selections of a budget; None with fewer than two."""
    selections = inputs.named_selections()[budget]
    return (list(selections), overlaps(selections)) if len(selections) > 1 else None
