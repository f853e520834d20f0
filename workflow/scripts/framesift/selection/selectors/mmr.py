"""MMR: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector

#: Values this close are equal: the last digits of a matrix product depend on where a row lies in memory.
TIE = 1e-12


class MMR(Selector):
    """One by one the frame of the largest ``lam * score - (1 - lam) * (largest cosine with a chosen frame)``.

    Scores are scaled to [0, 1] over the video (equal scores: all 0), and embeddings are unit vectors. Of equal frames
    the earlier. With scores and cosines on scales of their own, what a value of `lam` means depends on the encoder.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> angles = np.array([0, 2, 3, 40, 43, 44, 80, 82, 85, 87, 20, 21]) * np.pi / 180
    >>> frames = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> select("mmr", scores=scores, embeddings=frames, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "maximal marginal relevance"
    cites = ("carbonell1998mmr",)
    needs_embeddings: ClassVar[bool] = True
    source: ClassVar[str] = "SIGIR 1998"

    kind: Literal["mmr"] = "mmr"
    lam: float = Field(default=0.5, ge=0, le=1, description="Weight of relevance against novelty (lambda).")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        x, scores = candidates.embeddings, candidates.scores
        relevance = self.lam * (scores - scores.min()) / (np.ptp(scores) or 1.0)
        value = relevance
        nearest = np.full(len(x), -np.inf)
        chosen: list[int] = []
        while True:
            pick = int(np.argmax(value >= value.max() - TIE))
            chosen.append(pick)
            if len(chosen) == budget:
                return np.array(chosen)
            nearest = np.maximum(nearest, x @ x[pick])
            value = relevance - (1 - self.lam) * nearest
            value[chosen] = -np.inf
