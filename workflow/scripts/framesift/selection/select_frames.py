"""Selections: the chosen frames of every question of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from framesift.core.errors import InputError
from framesift.data.questions import Evidence, Question
from framesift.scoring.embedding_table import Embeddings
from framesift.scoring.score_table import QuestionScores
from framesift.selection.selectors import Candidates, ScoreError, Selector, choose, question_rng
from framesift.storage.files import read_models, write_models
from framesift.video.table import Video


class Selected(BaseModel):
    """The choice for one question.

    Attributes
    ----------
    video_id : str
    error : str or None
        Why nothing was chosen; the question is then excluded, and counted as such.
    note : str or None
        The stated rule that stepped in, if one did.
    frames : list of int
        Frame indices in the video, ascending.
    times : list of float
        Their seconds after the first frame.
    candidates : int
        How many frames there were to choose from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    video_id: str
    error: str | None = None
    note: str | None = None
    frames: list[int] = []
    times: list[float] = []
    candidates: int = 0


def select_frames(
    questions: Sequence[Question],
    videos: Mapping[str, Video],
    scores: Mapping[str, QuestionScores] | None,
    embeddings: Embeddings | None,
    selector: Selector,
    budget: int,
    seed: int,
    evidence: Mapping[str, Evidence] | None = None,
) -> dict[str, Selected]:
    """Choose frames for every question.

    Parameters
    ----------
    evidence : mapping, optional
        By question id, in seconds; for a selector that needs it.

    Raises
    ------
    InputError
        If the selector needs evidence and no question has an annotated moment.

    Returns
    -------
    dict
        By question id, in the order of `questions`.
    """
    spans = {name: one.spans for name, one in (evidence or {}).items()} if selector.needs_evidence else {}
    if selector.needs_evidence and not any(spans.get(question.question_id) for question in questions):
        raise InputError(
            "the dataset has no annotated moment for any question, and this selector takes these",
            field="selector",
            value=selector.kind,
            expected="evidence in the labels, or a file",
            hint="set datasets.NAME.evidence (docs/datasets.md), or leave the selector out of the table",
        )
    by_video = sorted(questions, key=lambda question: question.video_id)  # embeddings are read once a video
    chosen = {
        question.question_id: _select_one(
            question, videos, scores, embeddings, selector, budget, seed, spans.get(question.question_id, ())
        )
        for question in by_video
    }
    return {question.question_id: chosen[question.question_id] for question in questions}


def _select_one(
    question: Question,
    videos: Mapping[str, Video],
    scores: Mapping[str, QuestionScores] | None,
    embeddings: Embeddings | None,
    selector: Selector,
    budget: int,
    seed: int,
    spans: tuple[tuple[float, float], ...],
) -> Selected:
    video = videos[question.video_id]
    if video.error is not None:
        return Selected(video_id=video.video_id, error=f"video: {video.error}")
    values = np.empty(0)
    if scores is not None:
        row = scores.get(question.question_id)
        if row is None:
            raise InputError("has no scores", field=f"question {question.question_id}", hint="are the scores older?")
        if row.error is not None:
            return Selected(video_id=video.video_id, error=f"scores: {row.error}")
        if row.frames != video.frames:
            raise InputError(
                "scores and video table disagree about the candidate frames", field=f"question {question.question_id}"
            )
        values = np.asarray(row.scores, dtype=np.float64)
    candidates = Candidates(np.asarray(video.times), values, question=question.question, spans=spans)
    if embeddings is not None:
        if error := embeddings.error(video.video_id):
            return Selected(video_id=video.video_id, error=f"embeddings: {error}")
        candidates = replace(
            candidates, embeddings=embeddings.frames(video.video_id), query=embeddings.query(question.question_id)
        )
    try:
        choice = choose(selector, candidates, budget, question_rng(seed, question.question_id))
    except ScoreError as unusable:
        return Selected(video_id=video.video_id, error=f"scores: {unusable}", candidates=len(video.frames))
    if not len(choice.positions):
        return Selected(video_id=video.video_id, error="the released form chose no frame", candidates=len(video.frames))
    return Selected(
        video_id=video.video_id,
        note=choice.note,
        frames=[video.frames[i] for i in choice.positions],
        times=[video.times[i] for i in choice.positions],
        candidates=len(video.frames),
    )


def write_selection(path: str | Path, selection: Mapping[str, Selected], made_by: Mapping[str, Any]) -> None:
    """Write ``{"made_by": ..., "questions": {question_id: ...}}``."""
    write_models(path, "questions", selection, made_by)


def read_selection(path: str | Path) -> dict[str, Selected]:
    """Selections by question id, from a file of `write_selection`."""
    return read_models(path, "questions", Selected, "no selection file")
