"""Single questions for the report: an index of all to filter by, and the details of each, which load on demand."""

from __future__ import annotations

from typing import Any

import numpy as np

from framesift.answering.answer_file import Answer
from framesift.data.questions import Question
from framesift.judging.verdict_file import Verdict
from framesift.report.inputs import Inputs
from framesift.report.style import looks
from framesift.scoring.score_table import QuestionScores
from framesift.video.table import Video

#: Outcomes of an answer, one letter each.
RIGHT, WRONG, UNPARSED, UNJUDGED, EXCLUDED = "r", "w", "u", "j", "x"
#: Most points of a score curve; with more candidates, each point is the highest of its part.
POINTS = 400
#: Most characters of a response.
LONGEST = 600


def index(inputs: Inputs) -> dict[str, Any]:
    """The index to filter by: rows, groupings, and one record per question.

    Returns
    -------
    dict
        ``cells`` (rows of the table), ``groupings`` (name -> groups), ``selections`` (files), and ``questions``:
        ``[id, video id, text, [place of its group in each grouping, or -1], outcomes, letters]``. Outcomes have one
        letter per cell (`RIGHT` ...); letters are the options that the answers name, ``-`` for none.
    """
    files = list(inputs.selections)
    look = looks(inputs.names, inputs.baseline_name)
    cells = [
        {
            "name": name,
            "answerer": cell.spec.answerer,
            "budget": cell.spec.budget,
            "control": cell.spec.control or "",
            "baseline": baseline,
            "is_baseline": cell.spec.method == inputs.spec.baseline and not cell.spec.control,
            "colour": look[name].colour,
            "marker": look[name].marker,
            "selection": files.index(cell.spec.selection) if cell.spec.selection in files else None,
        }
        for name, cell, baseline in zip(inputs.names, inputs.cells, inputs.baselines, strict=True)
    ]
    groupings = {grouping: list(groups) for grouping, groups in inputs.groupings.items()}
    places: dict[str, list[int]] = {name: [] for name in inputs.questions}
    for groups in inputs.groupings.values():
        of = {name: place for place, ids in enumerate(groups.values()) for name in ids}
        for name, found in places.items():
            found.append(of.get(name, -1))
    return {
        "cells": cells,
        "groupings": groupings,
        "questions": [
            [
                question.question_id,
                question.video_id,
                question.question,
                places[question.question_id],
                "".join(outcome_of(inputs, place, question.question_id) for place in range(len(cells))),
                "".join(_letter(inputs, place, question.question_id) for place in range(len(cells))),
            ]
            for question in inputs.questions.values()
        ],
    }


def _verdict(inputs: Inputs, place: int, question_id: str) -> Verdict | None:
    cell = inputs.cells[place]
    return cell.judged.questions.get(question_id) if question_id in cell.outcomes else None


def outcome_of(inputs: Inputs, place: int, question_id: str) -> str:
    """The letter of an outcome in the cell at a place."""
    verdict = _verdict(inputs, place, question_id)
    if verdict is None:
        return EXCLUDED
    if verdict.correct is None:
        return UNJUDGED
    if verdict.correct:
        return RIGHT
    return UNPARSED if inputs.cells[place].outcomes[question_id].unparsed else WRONG


def _letter(inputs: Inputs, place: int, question_id: str) -> str:
    verdict = _verdict(inputs, place, question_id)
    return verdict.parsed if verdict and verdict.parsed and len(verdict.parsed) == 1 else "-"


def details(inputs: Inputs, question: Question) -> dict[str, Any]:
    """Everything else that the page shows about a question.

    Times are seconds after the first frame. Score curves have times in thousandths of the video, and values in
    hundredths of the range from the lowest to the highest score.
    """
    video = inputs.videos.get(question.video_id)
    evidence = inputs.evidence.get(question.question_id)
    return {
        "options": list(question.options),
        "answer": question.answer,
        "duration": round(_duration(inputs, question, video), 2),
        "fault": video.error if video else None,
        "evidence": {
            "kind": evidence.kind if evidence else None,
            "spans": [[round(second, 2) for second in span] for span in (evidence.spans if evidence else ())],
        },
        "scores": [
            {"scorer": scorer} | curve(scores.get(question.question_id), video)
            for scorer, scores in inputs.scores.items()
        ],
        "choices": [
            {
                "frames": choice.frames,
                "times": [round(second, 2) for second in choice.times],
                "note": choice.note,
                "error": choice.error,
            }
            for choice in (selection[question.question_id] for selection in inputs.selections.values())
        ],
        "answers": [_response(answers[question.question_id]) for answers in inputs.answers],
    }


def _duration(inputs: Inputs, question: Question, video: Video | None) -> float:
    if video is not None and video.duration:
        return video.duration
    times = [second for selection in inputs.selections.values() for second in selection[question.question_id].times]
    return question.seconds or max(times, default=0.0)


def _response(answer: Answer) -> dict[str, Any]:
    text = answer.response
    return {
        "response": text if len(text) <= LONGEST else text[:LONGEST] + " …",
        "error": answer.error,
        "frames": len(answer.frames_given),
    }


def curve(scores: QuestionScores | None, video: Video | None) -> dict[str, Any]:
    """A score curve of at most `POINTS` points.

    With more candidates, each point is the highest score of its part of them, at the time of that candidate, so that
    every peak remains.

    Returns
    -------
    dict
        ``x`` (thousandths of the video), ``y`` (hundredths between ``low`` and ``high``), or ``error``.
    """
    if scores is None or video is None or scores.error or not scores.frames or not video.duration:
        return {"error": (scores.error if scores else None) or "no scores"}
    if scores.frames != video.frames:
        return {"error": "the scores are of other candidate frames"}
    values, times = np.asarray(scores.scores, dtype=np.float64), np.asarray(video.times)
    finite = np.isfinite(values)
    if not finite.any():
        return {"error": "no score is finite"}
    values, times = values[finite], times[finite]
    low, high = float(values.min()), float(values.max())
    if len(values) > POINTS:
        parts = np.array_split(np.arange(len(values)), POINTS)
        best = np.array([part[np.argmax(values[part])] for part in parts])
        values, times = values[best], times[best]
    scaled = np.zeros_like(values) if high == low else (values - low) / (high - low)
    return {
        "low": float(f"{low:.4g}"),
        "high": float(f"{high:.4g}"),
        "x": np.rint(1000 * times / video.duration).astype(int).tolist(),
        "y": np.rint(100 * scaled).astype(int).tolist(),
        "candidates": len(finite),
    }
