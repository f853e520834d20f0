"""AdaRD-Key-style (re-derived): after Adaptive Relevance-Diversity Keyframe Sampling (2510.02778)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.selection.selectors import Candidates, Selector
from framesift.selection.selectors._dpp import greedy


class AdaRD(Selector):
    """AdaRD-Key-style (re-derived): relevance plus a weighted log-determinant of the frames' Gram matrix, greedily.

    Re-derived from second-hand descriptions, without sight of the authors' code: not a reproduction. In particular the
    constants of the weight (VB-Scale) are unverified, the paper is said to define the ratio of candidates to budget in
    two ways, and one description has the gate test the entropy of the scores too.

    Scores are to be probabilities. Where none reaches `tau` relevance is dropped and diversity alone decides, so
    with scores on another scale, as cosines, the gate stays shut. Where candidates are eight times the budget or more
    the weight is 0.6 to three digits, and a near duplicate then loses as much as relevance can give: diversity rules.
    A budget above the rank of the embeddings is filled by frames that add nothing to the determinant.

    Examples
    --------
    >>> from framesift.selection.selectors import select
    >>> scores = [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.15, 0.6, 0.25]
    >>> angles = np.array([0, 2, 3, 40, 43, 44, 80, 82, 85, 87, 20, 21]) * np.pi / 180
    >>> frames = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> select("adard", scores=scores, embeddings=frames, budget=4).tolist()
    [2, 3, 7, 10]
    """

    title = "AdaRD-Key-style selection (re-derived)"
    cites = ("zhang2025adardkey",)
    needs_embeddings: ClassVar[bool] = True
    source: ClassVar[str] = "after arXiv 2510.02778"

    kind: Literal["adard"] = "adard"
    tau: float = Field(default=0.4, description="Relevance counts if the best score reaches this (gate).")
    eps: float = Field(default=1e-6, gt=0, description="Added to the diagonal of the Gram matrix (epsilon).")

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> np.ndarray:
        x, scores = candidates.embeddings, candidates.scores
        # unit vectors start at exactly 1 + eps: with computed norms rounding would decide the first pick
        variance = np.full((1, len(x)), 1 + self.eps)
        shut = scores.max() < self.tau
        quality = np.zeros(len(x)) if shut else scores
        scale = 1.0 if shut else vb_scale(scores, budget)
        picks, _ = greedy(lambda pick: (x @ x[pick[0]])[None, :], variance, quality, budget, scale)
        return picks[0]


def vb_scale(scores: np.ndarray, budget: int) -> float:
    """Weight of diversity: from the spread of the scores, and more and more from the budget as candidates abound."""
    ratio = len(scores) / budget
    spread = scores.std() / (max(scores.mean(), 0) + 1e-8)
    by_variability = 0.05 + 0.6 / (1 + 2 * spread)
    by_budget = max(0.0, 0.6 * min(1.0, np.log(ratio + 1e-8) / np.log(8)))
    weight = 1 / (1 + np.exp(1 - ratio))
    return float(np.clip(weight * by_budget + (1 - weight) * by_variability, 0.05, 0.6))
