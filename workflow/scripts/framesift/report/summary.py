"""A summary in sentences, made from the numbers of a table alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from framesift.report.inputs import Inputs
from framesift.tables.formatting import floor_and_ceilings, percent
from framesift.tables.rows import BETTER, NO_EVIDENCE, WORSE, Row, RowId, blocks, is_baseline, number, series, verdict
from framesift.tables.statistics import ENOUGH_VIDEOS


@dataclass(frozen=True)
class SummarySection:
    """Sentences under a heading."""

    heading: str
    sentences: tuple[str, ...]


def summary(inputs: Inputs) -> list[SummarySection]:
    """What was measured, the results of each answerer and budget, and caveats."""
    made = [SummarySection("What was measured", tuple(_measured(inputs)))]
    for (answerer, budget), rows in blocks(inputs.rows).items():
        made.append(SummarySection(f"{answerer}, {budget} frames", tuple(_results(rows, inputs))))
    made.append(SummarySection("Caveats", tuple(_caveats(inputs))))
    return made


def _measured(inputs: Inputs) -> list[str]:
    videos = {question.video_id for question in inputs.questions.values()}
    protocols = dict.fromkeys(row.get("protocol", "") for row in inputs.rows)
    with_spans = sum(bool(evidence.spans) for evidence in inputs.evidence.values())
    lines = [
        f"Table “{inputs.spec.table}”: {_count(len(inputs.rows), 'row')} on dataset “{inputs.spec.dataset}”,"
        f" {_count(len(inputs.questions), 'question')} about {_count(len(videos), 'video')};"
        f" protocol: {'; '.join(filter(None, protocols)) or 'unknown'}."
    ]
    if with_spans:
        lines.append(f"{_count(with_spans, 'question')} {_has(with_spans)} annotated evidence spans.")
    return lines


def _results(rows: Sequence[Row], inputs: Inputs) -> list[str]:
    lines = []
    for row in rows:
        if is_baseline(row, inputs.spec.baseline):
            lines.append(
                f"Baseline {series(row)}: {percent(row['accuracy'])} % of {row['n']} answers right (95 % interval"
                f" {percent(row['accuracy_low'])} to {percent(row['accuracy_high'])})."
            )
    compared = [row for row in rows if number(row, "difference") is not None and not row["control"]]
    if not compared:
        return [*lines, "There is no other row to compare with a baseline here."]
    for outcome, label in ((BETTER, "better than"), (WORSE, "worse than")):
        found = [row for row in compared if verdict(row) == outcome]
        if found:
            found.sort(key=lambda row: -abs(float(row["difference"])))
            named = "; ".join(f"{series(row)} ({_gain(row)}{_reason(row)})" for row in found)
            lines.append(f"{len(found)} of {len(compared)} {label} the baseline: {named}.")
    if undecided := [row for row in compared if verdict(row) == NO_EVIDENCE]:
        named = "; ".join(f"{series(row)} ({_gain(row)}{_why_not(row)})" for row in undecided)
        lines.append(f"{len(undecided)} of {len(compared)} with no evidence of a difference: {named}.")
    if other := [row for row in compared if verdict(row) not in (BETTER, WORSE, NO_EVIDENCE)]:
        named = "; ".join(f"{series(row)}: {verdict(row)}" for row in other)
        lines.append(f"Other verdicts: {named}.")
    if "churn" in rows[0]:
        lines += floor_and_ceilings(rows, inputs.spec.baseline or "the baseline")
    lines += _by_group(rows, inputs)
    return lines


def _by_group(rows: Sequence[Row], inputs: Inputs) -> list[str]:
    """Groups in which a row is worse although it is not worse on all questions: an average hides these."""
    grouping = inputs.spec.group_by
    if grouping is None:
        return []
    verdicts = {RowId.of(row): verdict(row) for row in rows}
    lost = [
        row
        for row in inputs.groups
        if row.get("grouping") == grouping
        and not row["control"]
        and RowId.of(row) in verdicts
        and verdict(row) == WORSE
        and verdicts[RowId.of(row)] != WORSE
    ]
    if not lost:
        return []
    named = "; ".join(f"{series(row)} on {row['group']} ({_gain(row)}, {row['n']} answers)" for row in lost)
    return [f"Nevertheless worse on some questions ({grouping}): {named}."]


def _caveats(inputs: Inputs) -> Iterator[str]:
    yield from _counted(inputs.rows)
    for row in inputs.rows:
        if row.get("flag"):
            yield f"Flagged: {series(row)}, {row['answerer']}, {row['budget']} frames: {row['flag']}."
    compared = [row for row in inputs.rows if number(row, "difference") is not None]
    if len(compared) > 1:
        yield _corrections(len(compared), "p_holm" in inputs.rows[0])
    if without := [row for row in compared if number(row, "difference_low") is None]:
        yield (
            f"{_count(len(without), 'row')} without an interval or a verdict: answers changed in fewer than"
            f" {ENOUGH_VIDEOS} videos (docs/statistics.md)."
        )
    if inputs.rows and "verdict" in inputs.rows[0]:
        yield (
            "“Better” and “worse” are the verdicts of the table (docs/tables.md); everything else is no evidence, which"
            " does not mean that two rows are equal. Verdicts on groups come from an interval without zero and p-values"
            " below 0.05, without a correction."
        )
    else:
        yield (
            "“Better” and “worse” mean that the whole 95 % interval of the difference, on the questions that both"
            " answered, lies above or below zero, and that every p-value is below 0.05."
        )


def _counted(rows: Sequence[Row]) -> Iterator[str]:
    total = sum(int(row["n_total"]) for row in rows if row.get("n_total"))
    for column, consequence in (
        ("excluded", "are excluded: they were not asked or could not be selected for; nothing is imputed"),
        ("unparsed", "name no option; they count as wrong"),
        ("unjudged", "are open answers without a judgement; they are left out of every accuracy"),
    ):
        count = sum(int(row.get(column) or 0) for row in rows)
        yield f"{count} of {total} answers {consequence}." if count else f"No answer is {column}."


def _corrections(compared: int, corrected: bool) -> str:
    return f"{compared} rows are compared with a baseline, and each group of questions compares them again;" + (
        " the column p_holm corrects the p-values of rows for that; the p-values of groups are not corrected."
        if corrected
        else " intervals and p-values are not corrected for that, so the best row looks better than it is."
    )


def _gain(row: Row) -> str:
    """``+22.9 points, +11.5 to +33.3``."""
    low, high = row["difference_low"], row["difference_high"]
    span = f", {percent(low, '+')} to {percent(high, '+')}" if low and high else ", no interval"
    return f"{percent(row['difference'], '+')} points{span}"


def _why_not(row: Row) -> str:
    """Why a row is no evidence, and the smallest difference that it could have shown, if the table says so."""
    return _reason(row) + (
        f"; detectable after correction: {percent(row['detectable'])} points" if row.get("detectable") else ""
    )


def _reason(row: Row) -> str:
    return f"; {row['reason']}" if row.get("reason") else ""


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _has(n: int) -> str:
    return "has" if n == 1 else "have"


def title(inputs: Inputs) -> str:
    return f"{inputs.spec.table}: frame selection on {inputs.spec.dataset}"
