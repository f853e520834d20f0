"""Select frames from AKS's own lists of scores and frames, without ids: questions correspond by position."""

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
    """Choose frames for every entry of a pair of files that feature_extract.py of AKS wrote.

    Candidates count as one second apart. Random choices depend on the seed and the number of the entry.

    Parameters
    ----------
    scores_file : path or None
        One list of scores per question; None for a selector without scores.
    frames_file : path
        One list of frame indices per question.
    selector : Selector
    budget : int
    seed : int

    Returns
    -------
    list
        The chosen frame indices of each question, as `frames_file` has them.

    Raises
    ------
    InputError
        If the two files do not correspond, or an entry is invalid.
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
