"""The verdict on each row of a table: better, worse, or no evidence of a difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framesift.tables.cells import Cell, Outcome, changes, paired
from framesift.tables.flags import SAME_PIXELS
from framesift.tables.power import detectable_difference
from framesift.tables.rows import BETTER, NO_EVIDENCE, SIGNIFICANCE, WORSE
from framesift.tables.statistics import ENOUGH_VIDEOS, difference_interval, holm

#: At most this share of the compared questions may have been answered by only one of the two rows.
LOPSIDED = 0.05

Row = dict[str, Any]


def add_verdicts(rows: Sequence[Row], cells: Sequence[Cell], baselines: dict[tuple, Cell]) -> None:
    """Add `p_holm`, `verdict` and `reason` to the rows of a table, and set `detectable` to the level of their family.

    The larger of the two p-values is corrected: a row is only as certain as both tests allow, whether the questions of
    a video go together or cancel out. Of m rows, the level that suffices whatever the others show is 0.05 / m.

    Parameters
    ----------
    rows : sequence of dict
        With the numbers of `framesift.tables.accuracy.measure`, `n_unpaired` and `flag`.
    cells : sequence of Cell
        The cell of each row.
    baselines : dict
        The baseline of each cell that has one, by the cell's identity.
    """
    families: dict[tuple, list[Row]] = {}
    flags = {cell.spec.identity: row["flag"] for cell, row in zip(cells, rows, strict=True)}
    for cell, row in zip(cells, rows, strict=True):
        row |= {"p_holm": None, "verdict": None, "reason": None}
        if row["n_paired"]:
            families.setdefault((row["answerer"], row["budget"], _kind(cell)), []).append(row)
    for family in families.values():
        larger = [max(row["p_value"], row["p_clustered"]) for row in family]
        for row, corrected in zip(family, holm(larger), strict=True):
            row["p_holm"] = corrected
            row["level"] = SIGNIFICANCE / len(family)
    for cell, row in zip(cells, rows, strict=True):
        if baseline := baselines.get(cell.spec.identity):
            row["reason"] = doubt(row, flags[baseline.spec.identity])
            row["verdict"] = NO_EVIDENCE if row["reason"] else BETTER if row["difference"] > 0 else WORSE
            pairs = paired(cell, baseline)
            if pairs:
                row["detectable"] = detectable_difference(*changes(pairs), row["level"])
            if row["verdict"] != NO_EVIDENCE:
                row["reason"] = _unparsed(row, pairs)


def _unparsed(row: Row, pairs: Sequence[tuple[Outcome, Outcome]]) -> str | None:
    """That answers without an option decide: the others alone do not show the difference."""
    parsed = [(ours, theirs) for ours, theirs in pairs if not (ours.unparsed or theirs.unparsed)]
    if len(parsed) == len(pairs):
        return None
    interval = difference_interval(*changes(parsed))
    if interval and (interval.low > 0 if row["difference"] > 0 else interval.high < 0):
        return None
    unparsed = [sum(outcome.unparsed for outcome in side) for side in zip(*pairs, strict=True)]
    return f"decided by unparsed answers: {unparsed[0]} here, {unparsed[1]} of the baseline"


def _kind(cell: Cell) -> str:
    """Methods, oracles, controls and imported runs are families of their own: they answer different questions."""
    if cell.spec.churn or cell.spec.oracle:
        return "churn" if cell.spec.churn else "oracle"
    return "control" if cell.spec.control else "run" if cell.selection is None else "method"


def doubt(row: Row, baseline_flag: str | None) -> str | None:
    """Why a row is not evidence of a difference; None if it is.

    A row is evidence if the interval of its difference excludes zero and its corrected p-value is below 0.05, and if
    the numbers themselves are sound: no flag, enough videos with a changed answer, and the same questions answered.

    Examples
    --------
    >>> row = {"n_paired": 90, "n_unpaired": 0, "flag": None, "p_holm": 0.2}
    >>> doubt(row | {"difference_low": 0.01, "difference_high": 0.2}, baseline_flag=None)
    'p_holm is not below 0.05'
    """
    if not row["n_paired"]:
        return "no question that both answered"
    if row["flag"]:
        return f"flagged: {row['flag']}"
    if baseline_flag and SAME_PIXELS in baseline_flag:
        return f"the baseline is flagged: {SAME_PIXELS}"
    if row["difference_low"] is None:
        return f"answers changed in fewer than {ENOUGH_VIDEOS} videos"
    if row["n_unpaired"] > LOPSIDED * row["n_paired"]:
        return f"{row['n_unpaired']} questions that only one of the two answered"
    if row["difference_low"] <= 0 <= row["difference_high"]:
        return "the interval holds zero"
    if row["p_holm"] >= SIGNIFICANCE:
        return f"p_holm is not below {SIGNIFICANCE}"
    return None
