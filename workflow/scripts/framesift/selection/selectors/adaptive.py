"""Adaptive: looks at the score curve, and at what the question asks for, before it decides how to choose."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Choice, Selector, best, completed, spread

#: Words of questions that no moment answers, only the whole video.
WHOLE = re.compile(
    r"\bhow (often|many times|frequently)\b|\bthroughout\b|\boverall\b|\bmain(ly)?\b|\bmost of the (video|time)\b"
    r"|\b(entire|whole) video\b|\bsummar(y|ize|ise|izes|ises)\b|\bvideo (mainly |mostly )?about\b|\bgenerally\b",
    re.IGNORECASE,
)
#: A dip of so many candidates does not end a moment.
DIP = 2


class Adaptive(Selector):
    """Coverage where the whole video answers, else the moments that stand out, each before any second time.

    No single rule wins: top-k is best for one moment, coverage for several or for the whole video. This one decides
    for each question, without training:

    1. A question about the whole video (by its words), or one that more than `broad` of the video fits (scores above
       the middle between noise floor and peak), gets uniform frames.
    2. Else the runs of candidates above that middle are moments. The best frame of each moment is taken, best moment
       first, then the second best of each, and so on; the share `context` of the budget is spread over the video.

    The noise floor is the score that `floor` of the candidates stay below. The note of each question says what was
    found.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> select("adaptive", scores=scores, budget=4).tolist()
    [0, 4, 7, 11]
    """

    title = "Adaptive"
    cites = ("framesift",)
    source: ClassVar[str] = "Framesift, docs/adaptive.md"

    kind: Literal["adaptive"] = "adaptive"
    broad: float = Field(default=0.25, gt=0, le=1, description="Share of the video from which on a fit is no moment.")
    context: float = Field(default=0.0, ge=0, lt=1, description="Share of the budget that is spread over the video.")
    floor: float = Field(default=0.05, ge=0, lt=1, description="Share of candidates that lie below the noise floor.")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> Choice:
        scores = candidates.scores
        middle = (np.quantile(scores, self.floor) + scores.max()) / 2
        share = float(np.mean(scores > middle))
        if WHOLE.search(candidates.question):
            return Choice(spread(len(scores), budget), "asks about the whole video: uniform frames")
        if share > self.broad:
            return Choice(spread(len(scores), budget), f"{share:.0%} of the video fits: uniform frames")
        moments = runs(np.flatnonzero(scores > middle))
        moments = [moment[best(scores[moment], len(moment))] for moment in moments]
        moments.sort(key=lambda moment: -scores[moment[0]])
        rounds = max(len(moment) for moment in moments)
        in_turn = [int(moment[turn]) for turn in range(rounds) for moment in moments if turn < len(moment)]
        around = spread(len(scores), int(self.context * budget)) if self.context * budget >= 1 else np.empty(0, int)
        chosen = completed(np.concatenate([around, in_turn]), candidates, budget)
        return Choice(chosen, f"{len(moments)} moments in {share:.0%} of the video")


def runs(positions: np.ndarray) -> list[np.ndarray]:
    """Ascending positions in groups: a new one begins after a gap of more than `DIP`.

    Examples
    --------
    >>> [group.tolist() for group in runs(np.array([1, 2, 5, 9]))]
    [[1, 2, 5], [9]]
    """
    return np.split(positions, np.flatnonzero(np.diff(positions) > DIP + 1) + 1)
