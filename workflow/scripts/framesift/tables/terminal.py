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

from framesift.core.errors import InputError
from framesift.tables import columns
from framesift.tables import formatting as shown
from framesift.tables.formatting import Row
from framesift.tables.verdicts import BETTER, NO_EVIDENCE, WORSE

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
    if any(row["scorer"] for row in rows):
        made.add_column("scorer", overflow="fold")
    return made


def _names(row: Row, rows: Sequence[Row]) -> list[Text]:
    control, mark = f" ({row['control']})" if row["control"] else "", " !" if row["flag"] else ""
    scorer = [Text(row["scorer"])] if any(other["scorer"] for other in rows) else []
    return [Text(row["method"] + control + mark), *scorer]


def _main(rows: Sequence[Row]) -> Table:
    made = _table(rows)
    baseline = _baseline(rows)
    compared = any(row["n_paired"] for row in rows)
    recalled = any(row["evidence_recall"] for row in rows)
    headers = ["n", "accuracy %\n(95 % interval)"]
    headers += ["gain, points\n(95 % interval)", "p\n(Holm)"] if compared else []
    for header in headers:
        made.add_column(header, justify="right", no_wrap=True)
    if compared:
        made.add_column("verdict", min_width=len("evidence"))
    fewer = any(row["frames_mean"] and float(row["frames_mean"]) != int(row["budget"]) for row in rows)
    for header in [*(["evidence\nseen %"] if recalled else []), *(["frames"] if fewer else [])]:
        made.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        cells = [row["n"], shown.with_interval(row, "accuracy")]
        cells += [shown.gain(row, baseline), shown.p_value(row), row["verdict"]] if compared else []
        cells += [shown.percent(row["evidence_recall"])] if recalled else []
        cells += [shown.frames(row)] if fewer else []
        style = {BETTER: "green", WORSE: "red"}.get(row["verdict"], "")
        made.add_row(*_names(row, rows), *(Text(cell) for cell in cells), style=style)
    return made


def _baseline(rows: Sequence[Row]) -> str | None:
    """The method that the others are compared with: the first that is compared with nothing."""
    return next((row["method"] for row in rows if not row["n_paired"] and not row["control"]), None)


def _by_group(rows: Sequence[Row]) -> Iterator[RenderableType]:
    """The accuracies of the groups, in as many tables as the width asks for."""
    groups = [match.group(1) for column in rows[0] if (match := _GROUP.fullmatch(column))]
    for start in range(0, len(groups), _GROUPS_A_TABLE):
        made = _table(rows)
        here = groups[start : start + _GROUPS_A_TABLE]
        for group in here:
            made.add_column(Text(group), justify="right")
        for row in rows:
            made.add_row(*_names(row, rows), *(Text(shown.percent(row[f"accuracy[{group}]"])) for group in here))
        yield Text("accuracy % by group")
        yield made


def what_to_see(rows: Sequence[Row]) -> list[str]:
    """Plain sentences about the rows of one answerer and budget: the verdicts first, then what to mind."""
    lines = []
    compared = [row for row in rows if row["difference"] and not row["control"]]
    baseline = _baseline(rows) or "the baseline"
    if compared:
        for verdict in (BETTER, WORSE):
            if names := [_name(row) for row in compared if row["verdict"] == verdict]:
                lines.append(f"{verdict.capitalize()} than {baseline}: {', '.join(names)}.")
        unsure: dict[str, list[str]] = {}
        for row in compared:
            if row["verdict"] == NO_EVIDENCE:
                unsure.setdefault(row["reason"], []).append(_name(row))
        for reason, names in unsure.items():
            lines.append(f"No evidence of a difference to {baseline}: {', '.join(names)} ({reason}).")
        doubtful = [row for row in compared if row["verdict"] == NO_EVIDENCE and row["detectable"]]
        if doubtful:
            least = max(float(row["detectable"]) for row in doubtful)
            lines.append(f"A true difference of {100 * least:.1f} points would be found four times out of five.")
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
        yield (
            "Gain: accuracy minus the baseline's on the questions both answered. Intervals resample whole videos; p is"
            " corrected for the number of methods."
        )
    if groups.is_file():
        yield f"Next: {groups} has every group of questions with its own interval; docs/tables.md explains the columns."
    else:
        yield "Next: docs/tables.md explains the columns."


def _name(row: Row) -> str:
    return f"{row['method']} with {row['scorer']}" if row["scorer"] else row["method"]


def print_table(path: str | Path, console: Console | None = None) -> None:
    """Print a table file."""
    (console or make_console()).print(render(read_table(path), path))
