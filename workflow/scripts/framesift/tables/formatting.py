"""The numbers of a table as people read them: percentages, points and intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from framesift.tables.rows import ORACLE, Row, is_baseline, series

NOTHING = "-"


def percent(fraction: str | float | None, sign: str = "") -> str:
    """A fraction times 100 with one decimal; `sign` "+" marks positive numbers.

    Examples
    --------
    >>> percent("0.8438"), percent(0.052, "+"), percent("")
    ('84.4', '+5.2', '-')
    """
    return NOTHING if fraction in (None, "") else f"{100 * float(fraction):{sign}.1f}"


def with_interval(row: Row, column: str, sign: str = "") -> str:
    """A number with its confidence interval, in per cent or points.

    Examples
    --------
    >>> with_interval({"accuracy": "0.8438", "accuracy_low": "0.7580", "accuracy_high": "0.9030"}, "accuracy")
    '84.4 (75.8 to 90.3)'
    """
    if not row.get(column):
        return NOTHING
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    return percent(row[column], sign) + (f" ({percent(low, sign)} to {percent(high, sign)})" if low and high else "")


def floor_and_ceilings(rows: Sequence[Row], baseline: str) -> Iterator[str]:
    """Sentences about the noise under the differences of one answerer and budget, and about what could be attained."""
    compared = [row for row in rows if row["difference"] and not row["control"]]
    if compared and compared[0]["churn"]:
        shares = ", ".join(f"{series(row)} {percent(row['changed'])} %" for row in compared)
        yield (
            f"Two random selections differ in {percent(compared[0]['churn'])} % of the answers; changed against"
            f" {baseline}: {shares}."
        )
    if oracle := next((row for row in compared if row["method"].endswith(ORACLE)), None):
        yield f"Any row is right on {percent(compared[0]['any_right'])} % of the questions."
        others = [row for row in compared if row is not oracle]
        if reached := [f"{series(row)} {with_interval(row, 'attained')} %" for row in others if row["attained"]]:
            yield f"Of the gain of {oracle['method']} is reached: {', '.join(reached)}."
        elif others:
            yield f"{oracle['method']} is no better than {baseline}, so there is no attainable gain."


def gain(row: Row, baseline: str | None) -> str:
    """The difference to the baseline with its interval; ``baseline`` for the baseline itself."""
    if is_baseline(row, baseline) and not row["difference"]:
        return "baseline"
    return with_interval(row, "difference", "+")


def p_value(text: str) -> str:
    """A p-value as the file has it, four decimals.

    Examples
    --------
    >>> p_value("0.0312"), p_value("0.0000"), p_value("")
    ('0.0312', '<0.0001', '-')
    """
    if not text:
        return NOTHING
    return "<0.0001" if float(text) == 0 else text


def frames(row: Row) -> str:
    """Frames per question: ``8``, or ``6.5 (4 to 8)`` if questions differ."""
    if not row["frames_mean"]:
        return NOTHING
    if row["frames_min"] == row["frames_max"]:
        return row["frames_max"]
    return f"{float(row['frames_mean']):.1f} ({row['frames_min']} to {row['frames_max']})"


def answered(row: Row) -> str:
    """Answered questions: ``96``, or ``90 of 96`` if some are excluded."""
    return row["n"] if row["n"] == row["n_total"] else f"{row['n']} of {row['n_total']}"
