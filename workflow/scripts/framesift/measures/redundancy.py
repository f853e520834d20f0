"""Redundancy: how similar are the chosen frames?"""

from __future__ import annotations

import numpy as np


def neighbour_similarity(embeddings: np.ndarray) -> float | None:
    """Mean cosine similarity between each chosen frame and the next.

    Parameters
    ----------
    embeddings : float array, shape (frames, dimensions)
        Of the chosen frames, in time order; they need not be unit vectors.

    Returns
    -------
    float or None
        Between -1 and 1; None for fewer than two frames.

    Raises
    ------
    ValueError
        If a vector is zero, or a value is NaN or infinite.

    Examples
    --------
    >>> neighbour_similarity(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]))
    0.5
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if len(embeddings) < 2:
        return None
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not np.all(np.isfinite(norms)) or not np.all(norms > 0):
        raise ValueError("an embedding is zero, NaN or infinite")
    unit = embeddings / norms
    return float(np.clip(np.sum(unit[1:] * unit[:-1], axis=1).mean(), -1, 1))
