"""Facility location: frames that represent all others (Nemhauser et al., 1978; Lin and Bilmes, ACL 2011)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector

#: Gains this close are equal.
TIE = 1e-12
#: With more candidates than this (128 MB of similarities) rows of the matrix are computed when they are asked for.
STORED = 4000
#: How many gains are brought up to date at a time.
BATCH = 32


class FacilityLocation(Selector):
    """One by one the frame that adds most to how well the chosen represent the video, and to their relevance.

    F(S) = (1 - alpha) * mean over candidates of the largest cosine (not below 0) with a frame of S
    + alpha / budget * sum of the scores of S, scaled to [0, 1] over the video (equal scores: all 0).

    F has diminishing returns, so the greedy choice reaches 1 - 1/e of the best, and a gain computed earlier bounds
    the gain now: only the frames that may be the best are looked at again (Minoux, 1978), with the same result. Time
    and memory still grow with the square of the candidates.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> angles = np.array([0, 2, 3, 40, 43, 44, 80, 82, 85, 87, 20, 21]) * np.pi / 180
    >>> frames = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> select("facility_location", scores=scores, embeddings=frames, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "facility location"
    cites = ("nemhauser1978submodular", "lin2011submodular", "minoux1978greedy")
    needs_embeddings: ClassVar[bool] = True
    source: ClassVar[str] = "Lin and Bilmes, ACL 2011"

    kind: Literal["facility_location"] = "facility_location"
    alpha: float = Field(default=0.5, ge=0, le=1, description="Weight of relevance; 0 asks for coverage alone.")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        x, scores = candidates.embeddings, candidates.scores
        n = len(x)
        relevance = self.alpha / budget * (scores - scores.min()) / (np.ptp(scores) or 1.0)
        stored = np.maximum(x @ x.T, 0) if n <= STORED else None
        covered = np.zeros(n)

        def gains(frames: np.ndarray) -> np.ndarray:
            rows = np.maximum(x[frames] @ x.T, 0) if stored is None else stored[frames]
            return (1 - self.alpha) / n * np.maximum(rows - covered, 0).sum(axis=1) + relevance[frames]

        bound = np.concatenate([gains(part) for part in np.array_split(np.arange(n), n // 256 + 1)])
        fresh = np.ones(n, dtype=bool)
        chosen: list[int] = []
        while True:
            while np.any(~fresh & (bound >= bound.max() - TIE)):
                likely = np.argsort(np.where(fresh, np.inf, -bound))[:BATCH]
                likely = likely[~fresh[likely]]
                bound[likely] = gains(likely)
                fresh[likely] = True
            pick = int(np.argmax(bound >= bound.max() - TIE))
            chosen.append(pick)
            if len(chosen) == budget:
                return np.array(chosen)
            covered = np.maximum(covered, np.maximum(x @ x[pick], 0) if stored is None else stored[pick])
            bound[pick] = -np.inf
            fresh[:] = False
            fresh[chosen] = True
