"""A table for the terminal: one block per answerer and budget, with the findings in plain sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from framesift.core.errors import InputError
from framesift.tables import columns, formatting
from framesift.tables.rows import BETTER, NO_EVIDENCE, WORSE, Row, blocks, read_rows, series

PIPED_WIDTH = 110
_GROUP = re.compile(r"accuracy\[(.*)\]", re.DOTALL)
_GROUPS_PER_TABLE = 6  # as many as fit beside the names in 100 columns


def read_table(path: str | Path) -> list[Row]:
    """Rows of a table that make_table.py wrote, as texts.

    Raises
    ------
    InputError
        If the file is not a table, or has no rows.
    """
    rows = read_rows(path, columns.TABLE)
    if not rows:
        raise InputError("the table has no rows", file=path, hint="make the table again")
    return rows


def render(rows: Sequence[Row], path: str | Path) -> Group:
    """Everything that `print_table` prints."""
    parts: list[RenderableType] = []
    for (answerer, budget), block in blocks(rows).items():
        parts.append(Text(f"{answerer}, {budget} frames ({block[0]['protocol']} protocol)", style="bold"))
        parts.append(_accuracies(block))
        parts.extend(_accuracies_by_group(block))
        parts.extend(Text(line) for line in what_to_see(block))
        parts.append(Text(""))
    parts.extend(Text(line, style="dim") for line in _where_next(rows, Path(path)))
    return Group(*parts)


def make_console() -> Console:
    """A console as wide as the terminal; a fixed width, and no colour, when piped."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def _table(rows: Sequence[Row]) -> Table:
    """A table with the columns that name a row."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("method", overflow="fold")
    if any(row["scorer"] for row in rows):
        table.add_column("scorer", overflow="fold")
    return table


def _names(row: Row, rows: Sequence[Row]) -> list[Text]:
    control, mark = f" ({row['control']})" if row["control"] else "", " !" if row["flag"] else ""
    scorer = [Text(row["scorer"])] if any(other["scorer"] for other in rows) else []
    return [Text(row["method"] + control + mark), *scorer]


def _accuracies(rows: Sequence[Row]) -> Table:
    table = _table(rows)
    baseline = _baseline(rows)
    compared = any(row["n_paired"] for row in rows)
    with_recall = any(row["evidence_recall"] for row in rows)
    headers = ["n", "accuracy %\n(95 % interval)"]
    headers += ["gain, points\n(95 % interval)", "p\n(Holm)"] if compared else []
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    if compared:
        table.add_column("verdict", min_width=len("evidence"))
    fewer = any(row["frames_mean"] and float(row["frames_mean"]) != int(row["budget"]) for row in rows)
    for header in [*(["evidence\nseen %"] if with_recall else []), *(["frames"] if fewer else [])]:
        table.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        cells = [row["n"], formatting.with_interval(row, "accuracy")]
        if compared:
            p = formatting.p_value(row["p_holm"]) if row["n_paired"] else ""
            cells += [formatting.gain(row, baseline), p, row["verdict"]]
        cells += [formatting.percent(row["evidence_recall"])] if with_recall else []
        cells += [formatting.frames(row)] if fewer else []
        style = {BETTER: "green", WORSE: "red"}.get(row["verdict"], "")
        table.add_row(*_names(row, rows), *(Text(cell) for cell in cells), style=style)
    return table


def _baseline(rows: Sequence[Row]) -> str | None:
    """The method that the others are compared with: the first that is not compared with another."""
    return next((row["method"] for row in rows if not row["n_paired"] and not row["control"]), None)


def _accuracies_by_group(rows: Sequence[Row]) -> Iterator[RenderableType]:
    groups = [match.group(1) for column in rows[0] if (match := _GROUP.fullmatch(column))]
    for start in range(0, len(groups), _GROUPS_PER_TABLE):
        table = _table(rows)
        here = groups[start : start + _GROUPS_PER_TABLE]
        for group in here:
            table.add_column(Text(group), justify="right")
        for row in rows:
            accuracies = (formatting.percent(row[f"accuracy[{group}]"]) for group in here)
            table.add_row(*_names(row, rows), *map(Text, accuracies))
        yield Text("accuracy % by group")
        yield table


def what_to_see(rows: Sequence[Row]) -> list[str]:
    """Plain sentences about the rows of one answerer and budget: verdicts first, then caveats."""
    baseline = _baseline(rows) or "the baseline"
    compared = [row for row in rows if row["difference"] and not row["control"]]
    lines = list(_verdicts(compared, baseline))
    if not compared and any(row["n_paired"] for row in rows):
        lines.append(f"There is no question that both {baseline} and another method answered.")
    lines += formatting.floor_and_ceilings(rows, baseline)
    if caveats := list(_caveats(rows)):
        lines.append(f"Mind: {'; '.join(caveats)}.")
    return lines


def _verdicts(compared: Sequence[Row], baseline: str) -> Iterator[str]:
    for verdict in (BETTER, WORSE):
        if names := [series(row) for row in compared if row["verdict"] == verdict]:
            yield f"{verdict.capitalize()} than {baseline}: {', '.join(names)}."
    undecided = [row for row in compared if row["verdict"] == NO_EVIDENCE]
    for reason in dict.fromkeys(row["reason"] for row in undecided):
        names = [series(row) for row in undecided if row["reason"] == reason]
        yield f"No evidence of a difference to {baseline}: {', '.join(names)} ({reason})."
    for row in compared:
        if row["verdict"] in (BETTER, WORSE) and row["reason"]:
            yield f"{series(row)}: {row['reason']}."
    if detectable := [float(row["detectable"]) for row in undecided if row["detectable"]]:
        yield (
            f"A true difference of {100 * max(detectable):.1f} points would be found four times out of five, corrected"
            " for the number of methods."
        )


def _caveats(rows: Sequence[Row]) -> Iterator[str]:
    total, excluded, unparsed, unjudged = (
        sum(int(row[column]) for row in rows) for column in ("n_total", "excluded", "unparsed", "unjudged")
    )
    if excluded:
        yield f"{excluded} of {total} answers are excluded"
    if unparsed:
        yield f"{unparsed} name no option and count as wrong"
    if unjudged:
        yield f"{unjudged} open answers were not judged (tables.NAME.judge names a judge)"
    if any(row["flag"] for row in rows):
        yield "rows marked ! agree more than their frames allow: see the column flag, and the log"


def _where_next(rows: Sequence[Row], path: Path) -> Iterator[str]:
    groups = path.with_name(f"{path.stem}_groups.csv")
    if any(row["n_paired"] for row in rows):
        yield (
            "Gain: accuracy minus the baseline's on the questions both answered. Intervals take videos as units; p is"
            " corrected for the number of methods."
        )
    if groups.is_file():
        yield f"Next: {groups} has every group of questions with its own interval; docs/tables.md explains the columns."
    else:
        yield "Next: docs/tables.md explains the columns."


def print_table(path: str | Path, console: Console | None = None) -> None:
    """Print a table file."""
    (console or make_console()).print(render(read_table(path), path))
