"""Scores on the scale that a method was made for."""

from __future__ import annotations

import numpy as np

SCALED = "scores outside [0, 1]: scaled to it over the video"


def scaled(scores: np.ndarray) -> np.ndarray:
    """Scores, not all equal, with the smallest at 0 and the largest at 1."""
    low, high = scores.min(), scores.max()
    with np.errstate(over="ignore"):
        overflows = np.isinf(high - low)
    if overflows:
        scores, low, high = scores / 2, low / 2, high / 2
    return (scores - low) / (high - low)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors, along the last axis, at length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def within_unit(scores: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Scores, not all equal, as they are where they lie in [0, 1], else scaled; and the note that says so.

    For methods whose weights and thresholds are meant for probabilities.
    """
    if scores.min() >= 0 and scores.max() <= 1:
        return scores, None
    return scaled(scores), SCALED
