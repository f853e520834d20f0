"""The figures of the report: plotly's, with a table of their numbers for readers who cannot see them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from framesift.measures.measure import overlaps
from framesift.report.figures import budgets_of, costs_of, front, gains_of, losses_of, row_label
from framesift.report.inputs import Inputs
from framesift.report.style import BASELINE, COLOURS, looks, plotly_line, plotly_marker
from framesift.report.training import QUALITIES, SMOOTHED
from framesift.tables.formatting import percent, with_interval
from framesift.tables.rows import BETTER, WORSE, Row, number, series, verdict

#: Lines of a figure of gains; beyond that only the grouping of the table is drawn, the others stand in the table.
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
    made = [
        *_accuracy_by_budget(inputs),
        *(picture for grouping in _groupings(inputs) for picture in _gain_by_group(inputs, grouping)),
        *_accuracy_by_cost(inputs),
        *_training(inputs),
        *(picture for budget in inputs.named_selections() for picture in _overlap(inputs, budget)),
    ]
    return made


def _groupings(inputs: Inputs) -> list[str]:
    """The grouping of the table first."""
    return sorted(inputs.groupings, key=lambda grouping: grouping != inputs.spec.group_by)


def _plain(figure: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(figure.to_json())
    made["layout"].pop("template", None)  # colours of the page instead
    return made


def _figure(x: str, y: str, height: int, **layout: Any) -> Any:
    import plotly.graph_objects as go  # type: ignore[import-untyped]

    figure = go.Figure(layout={"template": "none"})
    figure.update_layout(
        height=height,
        margin={"l": 70, "r": 20, "t": 16, "b": 60},
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        legend={"orientation": "h", "y": -0.22, "yanchor": "top"},
        **layout,
    )
    return figure


def _accuracy_by_budget(inputs: Inputs) -> list[Picture]:
    look = looks(inputs.names, inputs.baseline_name)
    made = []
    for place, (answerer, of_series) in enumerate(budgets_of(inputs).items()):
        figure = _figure("Frame budget (frames)", "Accuracy (%)", 400 + 11 * len(of_series))
        for name, unordered in of_series.items():
            rows = sorted(unordered, key=lambda row: int(row["budget"]))
            budgets = [int(row["budget"]) for row in rows]
            low, high = ([100 * (number(row, f"accuracy_{end}") or 0) for row in rows] for end in ("low", "high"))
            colour = look[name].colour
            figure.add_scatter(
                x=budgets + budgets[::-1],
                y=high + low[::-1],
                fill="toself",
                fillcolor=_faint(colour),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=name,
                mode="lines",
            )
            figure.add_scatter(
                x=budgets,
                y=[100 * float(row["accuracy"]) for row in rows],
                name=_text(name),
                legendgroup=name,
                mode="lines+markers",
                line={"color": colour, "dash": plotly_line(look[name])},
                marker={"symbol": plotly_marker(look[name]), "size": 9},
                text=[with_interval(row, "accuracy") for row in rows],
                hovertemplate="%{x} frames: %{text} %<extra>" + _text(name) + "</extra>",
            )
        ticks = sorted({int(row["budget"]) for rows in of_series.values() for row in rows})
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[str(tick) for tick in ticks])
        made.append(
            Picture(
                f"budget{place}",
                f"Accuracy against frame budget, {answerer}",
                "Lines are methods; bands are 95 % intervals of each accuracy, not of differences.",
                _plain(figure),
                ("method", "budget (frames)", "accuracy (%), 95 % interval"),
                tuple(
                    (name, row["budget"], with_interval(row, "accuracy"))
                    for name, rows in of_series.items()
                    for row in rows
                ),
            )
        )
    return made


def _gain_by_group(inputs: Inputs, grouping: str) -> list[Picture]:
    groups = gains_of(inputs, grouping)
    lines = sum(len(rows) + 1 for rows in groups.values())
    if len(groups) < 2 or (lines > MOST_LINES and grouping != inputs.spec.group_by):
        return []
    figure = _figure("Gain (points)", "", 110 + 19 * lines)
    ticks: dict[int, str] = {}
    for group, rows in groups.items():
        ticks[-len(ticks)] = f"<b>{_text(_short(group))}</b> (n = {rows[0]['n_total']})"
        places = []
        for row in rows:
            places.append(-len(ticks))
            ticks[-len(ticks)] = _text(_short(row_label(inputs, row)))
        gains = [100 * float(row["difference"]) for row in rows]
        ends = [[number(row, f"difference_{end}") for row in rows] for end in ("low", "high")]
        spread = [
            [0.0 if end is None else abs(100 * end - gain) for end, gain in zip(of_end, gains, strict=True)]
            for of_end in ends
        ]
        said = [verdict(row) for row in rows]
        figure.add_scatter(
            x=gains,
            y=places,
            error_x={
                "type": "data", "symmetric": False, "array": spread[1], "arrayminus": spread[0], "thickness": 1.4,
                "width": 3, "color": BASELINE,
            },
            mode="markers",
            showlegend=False,
            marker={
                "color": [_COLOUR.get(word, BASELINE) for word in said],
                "symbol": [_SYMBOL.get(word, "diamond-open") for word in said],
                "size": 9,
            },
            text=[f"{_text(row_label(inputs, row))}: {with_interval(row, 'difference', '+')} points" for row in rows],
            hovertemplate="%{text}<extra>" + _text(group) + "</extra>",
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(ticks), ticktext=list(ticks.values()), zeroline=False, range=[-len(ticks) + 0.4, 0.6]
    )
    figure.update_xaxes(zeroline=True)
    return [
        Picture(
            f"gain{list(inputs.groupings).index(grouping)}",
            f"Gain over {inputs.spec.baseline} by {grouping}",
            "Differences to the baseline on the questions both answered, with 95 % intervals over videos. A filled"
            " circle is better, a filled square worse, an open diamond neither. Groups compare many times; mind that.",
            _plain(figure),
            (grouping, "method", "answers", "gain (points), 95 % interval", "verdict"),
            tuple(
                (group, row_label(inputs, row), row["n"], with_interval(row, "difference", "+"), verdict(row))
                for group, rows in groups.items()
                for row in rows
            ),
        )
    ]


def _training(inputs: Inputs) -> list[Picture]:
    made = []
    for place, (scorer, curve) in enumerate(inputs.training.items()):
        figure = _figure("Step", "Loss", 420)
        losses = losses_of(curve)
        measured = {title: curve.validation[name] for name, title in QUALITIES.items() if name in curve.validation}
        look = looks([*losses, *measured])
        for name, points in (losses | measured).items():
            figure.add_scatter(
                x=[step for step, _ in points],
                y=[value for _, value in points],
                name=name,
                mode="lines",
                line={"color": look[name].colour, "dash": plotly_line(look[name])},
                yaxis="y2" if name in measured else "y",
                hovertemplate="step %{x}: %{y:.4f}<extra>" + name + "</extra>",
            )
        right = {"title": {"text": "On videos held out"}, "range": [0, 1], "tickvals": [0, 0.25, 0.5, 0.75, 1]}
        figure.update_layout(yaxis2=right | {"overlaying": "y", "side": "right", "showgrid": False, "automargin": True})
        for start in curve.stages[1:]:
            figure.add_vline(x=start, line={"dash": "dot", "color": BASELINE, "width": 1})
        columns = {name: dict(points) for name, points in (losses | measured).items()}
        validated = {step for points in curve.validation.values() for step, _ in points}
        steps = sorted(validated or {step for points in columns.values() for step in points})
        made.append(
            Picture(
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
        )
    return made


def _accuracy_by_cost(inputs: Inputs) -> list[Picture]:
    found, columns = costs_of(inputs)
    if len(found) < 2:
        return []
    look = looks(inputs.names, inputs.baseline_name)
    made = []
    for place, answerer in enumerate(dict.fromkeys(row["answerer"] for row, _ in found)):
        own = [(row, seconds) for row, seconds in found if row["answerer"] == answerer]
        figure = _figure("Seconds a question", "Accuracy (%)", 400 + 11 * len(own))
        by_series: dict[str, list[tuple[Row, float]]] = {}
        for row, seconds in own:
            by_series.setdefault(series(row), []).append((row, seconds))
        for name, points in by_series.items():
            values = [100 * float(row["accuracy"]) for row, _ in points]
            high, low = (
                [abs(100 * (number(row, f"accuracy_{end}") or 0) - 100 * float(row["accuracy"])) for row, _ in points]
                for end in ("high", "low")
            )
            figure.add_scatter(
                x=[seconds for _, seconds in points],
                y=values,
                error_y={"type": "data", "symmetric": False, "array": high, "arrayminus": low, "thickness": 1},
                mode="markers",
                name=_text(name),
                marker={"color": look[name].colour, "symbol": plotly_marker(look[name]), "size": 11},
                text=[f"{row['budget']} frames: {with_interval(row, 'accuracy')} %" for row, _ in points],
                hovertemplate="%{text}, %{x:.2f} s<extra>" + _text(name) + "</extra>",
            )
        line = front([(seconds, 100 * float(row["accuracy"])) for row, seconds in own])
        line.append((max(seconds for _, seconds in own), line[-1][1]))
        figure.add_scatter(
            x=[cost for cost, _ in line],
            y=[value for _, value in line],
            mode="lines",
            line={"shape": "hv", "dash": "dot", "color": BASELINE, "width": 1.5},
            name="Pareto front",
            hoverinfo="skip",
        )
        figure.update_xaxes(rangemode="tozero")
        made.append(
            Picture(
                f"cost{place}",
                f"Accuracy against cost, {answerer}",
                f"Seconds a question, added up from: {', '.join(columns)}. They are of the machine that ran it.",
                _plain(figure),
                ("method", "budget (frames)", "seconds a question", "accuracy (%), 95 % interval"),
                tuple(
                    (series(row), row["budget"], f"{seconds:.3f}", with_interval(row, "accuracy"))
                    for row, seconds in own
                ),
            )
        )
    return made


def _overlap(inputs: Inputs, budget: int) -> list[Picture]:
    selections = inputs.named_selections()[budget]
    if len(selections) < 2:
        return []
    names = list(selections)
    values = overlaps(selections)
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
    return [
        Picture(
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
    ]


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"


def _text(name: str) -> str:
    """A name as text for plotly, which reads a few tags and ``%{...}`` in texts."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "%\u200b{")
