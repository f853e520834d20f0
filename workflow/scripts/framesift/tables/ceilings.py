"""What a table can attain: the noise under its differences, and the ceilings above its methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framesift.tables.cells import Cell, changes, paired
from framesift.tables.statistics import ratio_interval

Row = dict[str, Any]


def changed_answers(cell: Cell, baseline: Cell) -> float | None:
    """Share of the questions that both answered on which the two gave different answers.

    The option found in the response counts, or the response itself for open answers and those without an option.
    """
    common = cell.outcomes.keys() & baseline.outcomes.keys()
    different = sum(_said(cell, question_id) != _said(baseline, question_id) for question_id in common)
    return different / len(common) if common else None


def _said(cell: Cell, question_id: str) -> str:
    return cell.judged.questions[question_id].parsed or cell.outcomes[question_id].answer.response


def add_ceilings(rows: Sequence[Row], cells: Sequence[Cell], baselines: dict[tuple, Cell]) -> None:
    """Add `changed`, `churn`, `any_right`, `attained`, `attained_low` and `attained_high` to the rows of a table.

    Rows of one answerer and budget share a floor and a ceiling. `churn` is the share of answers that differ between two
    random selections, `any_right` the share of questions that any row answers right, controls left out. `attained` is
    the part of an oracle's gain that a row reaches, on the questions that row, oracle and baseline answered, and None
    if the oracle is no better than the baseline.
    """
    blocks: dict[tuple, list[Cell]] = {}
    for cell in cells:
        blocks.setdefault((cell.spec.answerer, cell.spec.budget), []).append(cell)
    for cell, row in zip(cells, rows, strict=True):
        block = blocks[cell.spec.answerer, cell.spec.budget]
        baseline = baselines.get(cell.spec.identity)
        draws = [other for other in block if other.spec.churn]
        oracle = next((other for other in block if other.spec.oracle), None)
        row |= {
            "changed": changed_answers(cell, baseline) if baseline else None,
            "churn": changed_answers(*draws) if len(draws) == 2 else None,
            "any_right": _any_right(block),
            **dict.fromkeys(("attained", "attained_low", "attained_high")),
        }
        if baseline and oracle and not cell.spec.control and not cell.spec.oracle:
            row |= _attained(cell, oracle, baseline)


def _any_right(block: Sequence[Cell]) -> float | None:
    outcomes = [cell.outcomes for cell in block if not cell.spec.control]
    every = {question_id for one in outcomes for question_id in one if one[question_id].correct is not None}
    right = sum(any(question_id in one and one[question_id].correct for one in outcomes) for question_id in every)
    return right / len(every) if every else None


def _attained(cell: Cell, oracle: Cell, baseline: Cell) -> Row:
    both = [name for name in cell.outcomes if name in oracle.outcomes and name in baseline.outcomes]
    known = [name for name in both if all(one.outcomes[name].correct is not None for one in (cell, oracle, baseline))]
    videos, part = changes(paired(cell, baseline, known))
    _, whole = changes(paired(oracle, baseline, known))
    if sum(whole) <= 0:
        return {}
    interval = ratio_interval(videos, part, whole)
    return {
        "attained": sum(part) / sum(whole),
        "attained_low": interval.low if interval else None,
        "attained_high": interval.high if interval else None,
    }
