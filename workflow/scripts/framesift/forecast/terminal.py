"""A forecast for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from framesift.forecast.forecast import Forecast, Step
from framesift.forecast.rates import Estimate

_MOST_REASONS = 3
_UNITS = {"hours": "hours of video"}


def render(found: Forecast) -> Group:
    """Everything that plan_run.py prints."""
    parts: list[RenderableType] = [Text(line) for line in _data(found)]
    if not found.steps:
        return Group(*parts, Text("Nothing would run: settings, code and input files are those of the results."))
    jobs = sum(step.jobs for step in found.steps)
    done = sum(found.finished.values())
    parts += [Text(f"{jobs} jobs would run; {done} have nothing to do.", style="bold"), _table(found.steps)]
    parts += [Text(line) for line in _totals(found)]
    return Group(*parts)


def _data(found: Forecast) -> Iterator[str]:
    for name, known in found.data.items():
        known_counts = [_counted(amount, unit) for unit, amount in known.items() if amount is not None]
        missing = [_UNITS.get(unit, unit) for unit, amount in known.items() if amount is None]
        later = f"; not known yet: {', '.join(missing)}" if missing else ""
        yield f"{name}: {', '.join(known_counts) or 'its labels are not here yet'}{later}"


def _counted(amount: float, unit: str) -> str:
    return f"{_number(amount)} {_UNITS.get(unit, unit)}"


def _table(steps: Sequence[Step]) -> Table:
    measured = any(_costs(step) for step in steps)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("why", "left to do"):
        table.add_column(name, overflow="fold")
    for name in ("jobs", *(("GPU-h", "CPU-h", "disk", "from") if measured else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        cells = (step.rule, step.what, _why(step), _work(step), str(step.jobs))
        table.add_row(*cells, *(_cost(step) if measured else ()))
    return table


def _costs(step: Step) -> list[Estimate]:
    return [one for one in (step.cost.gpu_hours, step.cost.cpu_hours, step.cost.gigabytes) if one]


def _cost(step: Step) -> tuple[str, ...]:
    cost = step.cost
    return (
        _hours(cost.gpu_hours) if step.gpu else "",
        _hours(cost.cpu_hours),
        _size(cost.gigabytes.amount) if cost.gigabytes else "-",
        f"{min(one.measurements for one in _costs(step)):,}" if _costs(step) else "-",
    )


def _why(step: Step) -> str:
    if not step.reasons:
        return "its input is made again"
    texts = [text if count == 1 else f"{text} ({count})" for text, count in step.reasons.items()]
    more = [f"and {len(texts) - _MOST_REASONS} more"] if len(texts) > _MOST_REASONS else []
    return "; ".join(texts[:_MOST_REASONS] + more)


def _work(step: Step) -> str:
    if "frames" in step.work and not any(step.work.values()) and not step.kept:
        return "shares the pass of another step"
    left = [_counted(amount, unit) for unit, amount in step.work.items() if amount is not None]
    cached = [f"{count:,} {unit}" for unit, count in step.kept.items()]
    most = "up to " if step.rule == "evaluate" else ""
    return ", ".join(left) + (f" (cached: {most}{', '.join(cached)})" if cached else "")


def _totals(found: Forecast) -> Iterator[str]:
    """Totals, each with the steps that it leaves out."""
    for title, name, steps in (
        ("GPU-hours", "gpu_hours", [step for step in found.steps if step.gpu]),
        ("CPU-hours", "cpu_hours", found.steps),
        ("Disk", "gigabytes", found.steps),
    ):
        known = [one for step in steps if (one := getattr(step.cost, name))]
        missing = sorted({_called(step) for step in steps if step.cost.scaled_by and not getattr(step.cost, name)})
        total = sum(one.amount for one in known)
        if known:
            amount = _size(total) if name == "gigabytes" else _number(total)
            without = f"; no measurement yet of {', '.join(missing)}" if missing else ""
            yield f"{title}: {amount}{without}"
        elif missing:
            yield f"{title}: no measurement yet"
    yield f"Free on the disk of the results: {_size(found.free_gb)}."
    yield from (f"Note: {note}." for note in dict.fromkeys(found.notes))
    if any(step.cost.scaled_by and not step.cost.cpu_hours for step in found.steps):
        yield (
            "Numbers are scaled from measurements of finished jobs; `from` is how many. To get some, run a part first:"
            " set `limit: 30` for the dataset, make the table, remove `limit`, and run this again."
        )


def _called(step: Step) -> str:
    return f"{step.rule} {step.what}".strip()


def _hours(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return _number(estimate.amount) if estimate.amount >= 0.01 else "<0.01"


def _size(gigabytes: float) -> str:
    for factor, unit in ((1e-3, "TB"), (1, "GB"), (1e3, "MB")):
        if gigabytes * factor >= 1:
            return f"{_number(gigabytes * factor)} {unit}"
    return "<1 MB"


def _number(amount: float) -> str:
    if amount >= 100 or amount == int(amount):
        return f"{amount:,.0f}"
    return f"{amount:.2g}" if amount < 10 else f"{amount:.0f}"
