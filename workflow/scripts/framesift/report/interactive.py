"""The figures of the page, drawn by plotly from `figure_data`, each with a table of its numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from framesift.report import figure_data
from framesift.report.figure_data import AccuracySeries
from framesift.report.inputs import Inputs
from framesift.report.style import BASELINE, COLOURS, SeriesStyle, looks, plotly_line, plotly_marker
from framesift.report.training import SMOOTHED
from framesift.tables.formatting import percent, with_interval
from framesift.tables.rows import BETTER, WORSE, series

#: Lines of a figure of gains; of longer ones only the grouping of the table is drawn.
MOST_LINES = 150
_COLOUR = {BETTER: COLOURS[0], WORSE: COLOURS[1]}
_SYMBOL = {BETTER: "circle", WORSE: "square"}


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes
    ----------
    name, title : str
    about : str
        What it shows, in a sentence.
    data : dict
        ``data`` and ``layout`` of plotly.
    header, numbers : tuple
        The same as a table of texts.
    """

    name: str
    title: str
    about: str
    data: dict[str, Any]
    header: tuple[str, ...]
    numbers: tuple[tuple[str, ...], ...]


def pictures(inputs: Inputs) -> list[Picture]:
    """Every figure that the table has numbers for."""
    own_first = sorted(inputs.groupings, key=lambda grouping: grouping != inputs.spec.group_by)
    return [
        *_accuracy_by_budget(inputs),
        *(picture for grouping in own_first for picture in _gain_by_group(inputs, grouping)),
        *_accuracy_by_cost(inputs),
        *_training(inputs),
        *(picture for budget in inputs.named_selections() for picture in _overlap(inputs, budget)),
    ]


def _plain(figure: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(figure.to_json())
    made["layout"].pop("template", None)  # colours of the page instead
    return made


def _figure(x: str, y: str, height: int) -> Any:
    import plotly.graph_objects as go  # type: ignore[import-untyped]

    return go.Figure(layout={"template": "none"}).update_layout(
        height=height,
        margin={"l": 70, "r": 20, "t": 16, "b": 60},
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        legend={"orientation": "h", "y": -0.22, "yanchor": "top"},
    )


def _accuracy_by_budget(inputs: Inputs) -> Iterator[Picture]:
    look = looks(inputs.names, inputs.baseline_name)
    for place, (answerer, points) in enumerate(figure_data.accuracy_by_budget(inputs).items()):
        panel = figure_data.series_of(points)
        figure = _figure("Frame budget (frames)", "Accuracy (%)", 400 + 11 * len(panel))
        for one in panel:
            style = look[one.name]
            figure.add_scatter(
                x=one.x + one.x[::-1],
                y=one.high + one.low[::-1],
                fill="toself",
                fillcolor=_faint(style.colour),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=one.name,
                mode="lines",
            )
            figure.add_scatter(
                x=one.x,
                y=one.accuracy,
                name=_text(one.name),
                legendgroup=one.name,
                mode="lines+markers",
                line=_line(style),
                marker={"symbol": plotly_marker(style), "size": 9},
                text=[with_interval(row, "accuracy") for row in one.rows],
                hovertemplate="%{x} frames: %{text} %<extra>" + _text(one.name) + "</extra>",
            )
        ticks = sorted({budget for _, budget in points})
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[str(tick) for tick in ticks])
        yield Picture(
            f"budget{place}",
            f"Accuracy against frame budget, {answerer}",
            "Lines are methods; bands are 95 % intervals of each accuracy, not of differences.",
            _plain(figure),
            ("method", "budget (frames)", "accuracy (%), 95 % interval"),
            tuple((one.name, row["budget"], with_interval(row, "accuracy")) for one in panel for row in one.rows),
        )


def _gain_by_group(inputs: Inputs, grouping: str) -> Iterator[Picture]:
    groups = figure_data.gains(inputs, grouping)
    lines = sum(len(gains) + 1 for gains in groups.values())
    if not groups or (lines > MOST_LINES and grouping != inputs.spec.group_by):
        return
    figure = _figure("Gain (points)", "", 110 + 19 * lines)
    ticks: dict[int, str] = {}
    for group, gains in groups.items():
        ticks[-len(ticks)] = f"<b>{_text(_short(group))}</b> (n = {gains[0].row['n_total']})"
        places = []
        for gain in gains:
            places.append(-len(ticks))
            ticks[-len(ticks)] = _text(_short(gain.label))
        figure.add_scatter(
            x=[gain.value for gain in gains],
            y=places,
            error_x={
                "type": "data", "symmetric": False,
                "array": [0.0 if gain.high is None else abs(gain.high - gain.value) for gain in gains],
                "arrayminus": [0.0 if gain.low is None else abs(gain.low - gain.value) for gain in gains],
                "thickness": 1.4, "width": 3, "color": BASELINE,
            },
            mode="markers",
            showlegend=False,
            marker={
                "color": [_COLOUR.get(gain.verdict, BASELINE) for gain in gains],
                "symbol": [_SYMBOL.get(gain.verdict, "diamond-open") for gain in gains],
                "size": 9,
            },
            text=[f"{_text(gain.label)}: {with_interval(gain.row, 'difference', '+')} points" for gain in gains],
            hovertemplate="%{text}<extra>" + _text(group) + "</extra>",
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(ticks), ticktext=list(ticks.values()), zeroline=False, range=[-len(ticks) + 0.4, 0.6]
    )
    figure.update_xaxes(zeroline=True)
    yield Picture(
        f"gain{list(inputs.groupings).index(grouping)}",
        f"Gain over {inputs.spec.baseline} by {grouping}",
        "Differences to the baseline on the questions both answered, with 95 % intervals over videos. A filled"
        " circle is better, a filled square worse, an open diamond neither. Some of many groups differ by chance.",
        _plain(figure),
        (grouping, "method", "answers", "gain (points), 95 % interval", "verdict"),
        tuple(
            (group, gain.label, gain.row["n"], with_interval(gain.row, "difference", "+"), gain.verdict)
            for group, gains in groups.items()
            for gain in gains
        ),
    )


def _training(inputs: Inputs) -> Iterator[Picture]:
    for place, (scorer, curve) in enumerate(inputs.training.items()):
        figure = _figure("Step", "Loss", 420)
        curves = curve.all_losses | curve.qualities
        look = looks(list(curves))
        for name, points in curves.items():
            figure.add_scatter(
                x=[step for step, _ in points],
                y=[value for _, value in points],
                name=name,
                mode="lines",
                line=_line(look[name]),
                yaxis="y2" if name in curve.qualities else "y",
                hovertemplate="step %{x}: %{y:.4f}<extra>" + name + "</extra>",
            )
        right = {"title": {"text": "On videos held out"}, "range": [0, 1], "tickvals": [0, 0.25, 0.5, 0.75, 1]}
        figure.update_layout(yaxis2=right | {"overlaying": "y", "side": "right", "showgrid": False, "automargin": True})
        for start in curve.stages[1:]:
            figure.add_vline(x=start, line={"dash": "dot", "color": BASELINE, "width": 1})
        columns = {name: dict(points) for name, points in curves.items()}
        validated = {step for points in curve.validation.values() for step, _ in points}
        steps = sorted(validated or {step for points in columns.values() for step in points})
        yield Picture(
            f"training{place}",
            f"Training of {scorer}",
            f"Losses are means of {SMOOTHED} steps; a dotted line begins a stage.",
            _plain(figure),
            ("step", *columns),
            tuple(
                (str(step), *(f"{points[step]:.4f}" if step in points else "" for points in columns.values()))
                for step in steps
            ),
        )


def _accuracy_by_cost(inputs: Inputs) -> Iterator[Picture]:
    panels, columns = figure_data.accuracy_by_cost(inputs)
    look = looks(inputs.names, inputs.baseline_name)
    for place, (answerer, points) in enumerate(panels.items()):
        figure = _figure("Seconds a question", "Accuracy (%)", 400 + 11 * len(points))
        for one in figure_data.series_of(points):
            figure.add_scatter(
                x=one.x,
                y=one.accuracy,
                error_y={
                    "type": "data", "symmetric": False, "array": _distances(one, one.high),
                    "arrayminus": _distances(one, one.low), "thickness": 1,
                },
                mode="markers",
                name=_text(one.name),
                marker={"color": look[one.name].colour, "symbol": plotly_marker(look[one.name]), "size": 11},
                text=[f"{row['budget']} frames: {with_interval(row, 'accuracy')} %" for row in one.rows],
                hovertemplate="%{text}, %{x:.2f} s<extra>" + _text(one.name) + "</extra>",
            )  # fmt: skip
        costs, accuracies = figure_data.front_line(points)
        figure.add_scatter(
            x=costs,
            y=accuracies,
            mode="lines",
            line={"shape": "hv", "dash": "dot", "color": BASELINE, "width": 1.5},
            name="Pareto front",
            hoverinfo="skip",
        )
        figure.update_xaxes(rangemode="tozero")
        yield Picture(
            f"cost{place}",
            f"Accuracy against cost, {answerer}",
            f"Seconds a question, added up from: {', '.join(columns)}. They depend on the machine of the run.",
            _plain(figure),
            ("method", "budget (frames)", "seconds a question", "accuracy (%), 95 % interval"),
            tuple(
                (series(row), row["budget"], f"{seconds:.3f}", with_interval(row, "accuracy"))
                for row, seconds in points
            ),
        )


def _distances(one: AccuracySeries, ends: list[float]) -> list[float]:
    return [abs(end - accuracy) for end, accuracy in zip(ends, one.accuracy, strict=True)]


def _overlap(inputs: Inputs, budget: int) -> Iterator[Picture]:
    found = figure_data.overlap(inputs, budget)
    if found is None:
        return
    names, values = found
    known = [[float(value) if np.isfinite(value) else None for value in line] for line in values]
    figure = _figure("", "", 180 + 34 * len(names))
    figure.add_heatmap(
        z=known,
        x=[_text(name) for name in names],
        y=[_text(name) for name in names],
        zmin=0,
        zmax=1,
        colorscale="Cividis",
        texttemplate="%{z:.2f}",
        hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        colorbar={"title": {"text": "Jaccard index"}},
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickangle=-35)
    yield Picture(
        f"overlap{budget}",
        f"Frames in common, {budget} frames",
        "Of the frames that either of two methods chose, the share that both did; mean over questions.",
        _plain(figure),
        ("method", *names),
        tuple(
            (name, *("–" if value is None else percent(value) for value in line))
            for name, line in zip(names, known, strict=True)
        ),
    )


def _line(look: SeriesStyle) -> dict[str, str]:
    return {"color": look.colour, "dash": plotly_line(look)}


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"


def _text(name: str) -> str:
    """A name as text for plotly, which reads a few tags and ``%{...}`` in texts."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "%\u200b{")
