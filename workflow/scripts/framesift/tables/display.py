"""A table for the terminal: the rows of a CSV, one block an answerer and budget, and what to see in them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from framesift.errors import InputError
from framesift.tables import columns

Row = dict[str, str]
PIPED_WIDTH = 110
_GROUP = re.compile(r"accuracy\[(.*)\]", re.DOTALL)
_GROUPS_A_TABLE = 6  # as many as fit beside the names in 100 columns


def read_table(path: str | Path) -> list[Row]:
    """Rows of a table that make_table.py wrote, as texts.

    Raises
    ------
    InputError
        For a file that is no such table.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            found = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read ({error})", file=path) from None
    if missing := [column for column in columns.TABLE if column not in found]:
        hint = "this one has groups; show the table beside it" if "grouping" in found else "make_table.py writes it"
        raise InputError(
            "is no table", file=path, field=f"column {missing[0]!r}", expected="results/tables/X.csv", hint=hint
        )
    if not rows or any(None in row or None in row.values() for row in rows):
        raise InputError("has no rows, or rows of unequal length", file=path, hint="make the table again")
    return rows


def render(rows: Sequence[Row], path: str | Path) -> Group:
    """Everything to show of a table."""
    parts: list[RenderableType] = []
    for (answerer, budget), block in groupby(rows, key=lambda row: (row["answerer"], row["budget"])):
        of_block = list(block)
        parts.append(Text(f"{answerer}, {budget} frames ({of_block[0]['protocol']} protocol)", style="bold"))
        parts.append(_main(of_block))
        parts.extend(_by_group(of_block))
        parts.extend(Text(line) for line in what_to_see(of_block))
        parts.append(Text(""))
    parts.extend(Text(line, style="dim") for line in _where_next(rows, Path(path)))
    return Group(*parts)


def make_console() -> Console:
    """A console as wide as the terminal; a fixed width, and no colour, when piped."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def _table(rows: Sequence[Row]) -> Table:
    """A table with the columns that name a row."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    made.add_column("method", overflow="fold")
    for name in ("scorer", "control"):
        if any(row[name] for row in rows):
            made.add_column(name, overflow="fold")
    return made


def _names(row: Row, rows: Sequence[Row]) -> list[Text]:
    mark = " !" if row["flag"] else ""
    named = [row[name] for name in ("scorer", "control") if any(other[name] for other in rows)]
    return [Text(row["method"] + mark), *map(Text, named)]


def _main(rows: Sequence[Row]) -> Table:
    made = _table(rows)
    compared = any(row["n_paired"] for row in rows)
    recalled = any(row["evidence_recall"] for row in rows)
    headers = ["questions", "accuracy %\n(95 % interval)"]
    headers += ["gain, points\n(95 % interval)", "p"] if compared else []
    headers += ["evidence\nseen %"] if recalled else []
    headers += ["frames"]
    for header in headers:
        made.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        cells = [row["n"], _with_interval(row, "accuracy")]
        if compared:
            cells += ["baseline", ""] if not row["n_paired"] else [_with_interval(row, "difference", "+"), _p(row)]
        cells += [_percent(row["evidence_recall"])] if recalled else []
        cells += [_frames(row)]
        style = "green" if _above(row) else "red" if _below(row) else ""
        made.add_row(*_names(row, rows), *(Text(cell) for cell in cells), style=style)
    return made


def _by_group(rows: Sequence[Row]) -> Iterator[RenderableType]:
    """The accuracies of the groups, in as many tables as the width asks for."""
    groups = [match.group(1) for column in rows[0] if (match := _GROUP.fullmatch(column))]
    for start in range(0, len(groups), _GROUPS_A_TABLE):
        made = _table(rows)
        shown = groups[start : start + _GROUPS_A_TABLE]
        for group in shown:
            made.add_column(Text(group), justify="right")
        for row in rows:
            made.add_row(*_names(row, rows), *(Text(_percent(row[f"accuracy[{group}]"])) for group in shown))
        yield Text("accuracy % by group")
        yield made


def what_to_see(rows: Sequence[Row]) -> list[str]:
    """One or two plain sentences about the rows of one answerer and budget."""
    lines = []
    compared = [row for row in rows if row["difference"] and not row["control"]]
    baseline = next((row["method"] for row in rows if not row["n_paired"]), "the baseline")
    if compared:
        best = max(compared, key=lambda row: float(row["difference"]))
        gain = f"{_name(best)}, {_points(best['difference'], '+')} points"
        if not best["difference_low"]:
            verdict = "too few videos to say how sure that is"
        elif _above(best):
            verdict = "its interval lies above zero"
        elif _below(best):
            verdict = "even its interval lies below zero"
        else:
            verdict = "its interval holds zero, so this may be chance"
        lines.append(f"Best against {baseline}: {gain}; {verdict}.")
    elif any(row["n_paired"] for row in rows):
        lines.append(f"There is no question that both {baseline} and another method answered.")
    problems = []
    if left_out := sum(int(row["excluded"]) for row in rows):
        problems.append(f"{left_out} of {sum(int(row['n_total']) for row in rows)} answers are excluded")
    if unparsed := sum(int(row["unparsed"]) for row in rows):
        problems.append(f"{unparsed} name no option and count as wrong")
    if unjudged := sum(int(row["unjudged"]) for row in rows):
        problems.append(f"{unjudged} open answers were not judged (tables.NAME.judge names a judge)")
    if any(row["flag"] for row in rows):
        problems.append("rows marked ! agree more than their frames allow: see the column flag, and the log")
    if problems:
        lines.append(f"Mind: {'; '.join(problems)}.")
    return lines


def _where_next(rows: Sequence[Row], path: Path) -> Iterator[str]:
    groups = path.with_name(f"{path.stem}_groups.csv")
    if any(row["n_paired"] for row in rows):
        yield "Gain: accuracy minus the baseline's on the questions both answered; the interval resamples videos."
    if groups.is_file():
        yield f"Next: {groups} has every group of questions with its own interval; docs/tables.md explains the columns."
    else:
        yield "Next: docs/tables.md explains the columns."


def _name(row: Row) -> str:
    return f"{row['method']} with {row['scorer']}" if row["scorer"] else row["method"]


def _above(row: Row) -> bool:
    return bool(row["difference_low"]) and float(row["difference_low"]) > 0


def _below(row: Row) -> bool:
    return bool(row["difference_high"]) and float(row["difference_high"]) < 0


def _points(fraction: str, sign: str = "") -> str:
    return f"{100 * float(fraction):{sign}.1f}"


def _percent(fraction: str) -> str:
    return _points(fraction) if fraction else "-"


def _with_interval(row: Row, column: str, sign: str = "") -> str:
    if not row[column]:
        return "-"
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    interval = f" ({_points(low, sign)} to {_points(high, sign)})" if low else ""
    return f"{_points(row[column], sign)}{interval}"


def _p(row: Row) -> str:
    if not row["p_value"]:
        return "-"
    return "<0.0001" if float(row["p_value"]) == 0 else row["p_value"]


def _frames(row: Row) -> str:
    if not row["frames_mean"]:
        return "-"
    if row["frames_min"] == row["frames_max"]:
        return row["frames_max"]
    return f"{float(row['frames_mean']):.1f} ({row['frames_min']} to {row['frames_max']})"


def print_table(path: str | Path, console: Console | None = None) -> None:
    """Print a table file."""
    (console or make_console()).print(render(read_table(path), path))
