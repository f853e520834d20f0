"""Selections in AKS's own layout: lists of scores and frames in, lists of frames out, question by position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from framesift.core.errors import InputError
from framesift.interop.aks_scores import read_lists
from framesift.selection.selectors import Candidates, ScoreError, Selector, choose, question_rng


def select_lists(
    scores_file: str | Path | None, frames_file: str | Path, selector: Selector, budget: int, seed: int
) -> list[list[Any]]:
    """Choose frames for every entry of a pair of files as feature_extract.py of AKS writes them.

    Candidates are taken to be a second apart. What is random is drawn from the seed and the number of the entry.

    Parameters
    ----------
    scores_file : path or None
        A list of scores a question; None for a selector that needs none.
    frames_file : path
        A list of frame numbers a question.
    selector : Selector
    budget : int
    seed : int

    Returns
    -------
    list
        The chosen frame numbers of each question, as they are written in `frames_file`.

    Raises
    ------
    InputError
        For files that do not belong together, and for an entry that cannot be used.
    """
    frames = read_lists(frames_file)
    scores = read_lists(scores_file) if scores_file else [[]] * len(frames)
    if len(scores) != len(frames):
        raise InputError(
            "has another number of questions",
            file=scores_file,
            value=len(scores),
            expected=f"{len(frames)}, as {frames_file}",
        )
    chosen = []
    for number, (values, indices) in enumerate(zip(scores, frames, strict=True)):
        place = f"entry {number}"
        if scores_file and len(values) != len(indices):
            raise InputError(f"has {len(values)} scores and {len(indices)} frames", file=scores_file, field=place)
        if not indices:
            raise InputError("has no frames", file=frames_file, field=place)
        try:
            candidates = Candidates(np.arange(len(indices), dtype=float), np.array(values, dtype=float))
            choice = choose(selector, candidates, budget, question_rng(seed, str(number)))
        except (ScoreError, TypeError, ValueError, OverflowError) as error:
            raise InputError(str(error), file=scores_file or frames_file, field=place) from None
        chosen.append([indices[i] for i in choice.positions])
    return chosen
