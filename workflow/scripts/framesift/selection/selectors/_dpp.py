"""Greedy maximisation of a determinant, one row of a Cholesky factor at a time; for mDP3 and AdaRD-Key."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Bandwidths whose Gaussians mDP3 sums.
ALPHAS = (0.125, 0.25, 0.5, 1.0, 2.0)
#: That sum of a frame with itself.
SELF = float(len(ALPHAS))
#: Conditional variances below this are rounding: a frame like one that is chosen already.
FLOOR = 1e-12


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over `ALPHAS` of exp(-|a_i - b_j|^2 / (2 alpha)), shape (len(a), len(b))."""
    return gaussians(squares(a)[:, None] + squares(b) - 2 * (a @ b.T))


def squares(vectors: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", vectors, vectors)


def gaussians(distance: np.ndarray) -> np.ndarray:
    """The kernel of squared distances."""
    distance = np.maximum(distance, 0)
    total = np.zeros_like(distance)
    for alpha in ALPHAS:
        total += np.exp(distance / (-2 * alpha))
    return total


def relevance(embeddings: np.ndarray, query: np.ndarray, lam: float) -> np.ndarray:
    """mDP3's (2 / lambda) ln k(query, frame)."""
    near = kernel(embeddings, query[None, :])[:, 0]
    return 2 / lam * np.log(np.maximum(near, np.finfo(float).tiny))  # far from the query all Gaussians underflow


def greedy(
    columns: Callable[[np.ndarray], np.ndarray],
    variance: np.ndarray,
    quality: np.ndarray,
    steps: int,
    scale: float = 1.0,
    first: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Add `steps` times the item with the largest ``quality + scale * ln(conditional variance)``; of equals the first.

    Several searches over items of the same number run side by side. Conditional variances of a frame seen twice are
    noise of either sign; here they count as `FLOOR`, so that such frames come last and in the order of their quality.

    Parameters
    ----------
    columns : function
        From the items added, shape (searches,), to their covariances with all items, shape (searches, items).
    variance : array, shape (searches, items)
    quality : array, shape (items,)
    steps : int
        At most the number of items.
    scale : float
    first : array, shape (searches, items), optional
        First row of the Cholesky factor, of an item outside on which `variance` is conditioned.

    Returns
    -------
    picks : int array, shape (searches, steps)
    gains : array, shape (searches, steps)
    """
    searches, n = variance.shape
    every = np.arange(searches)
    rows = np.zeros((searches, steps + 1, n))
    if first is not None:
        rows[:, 0] = first
    remaining = variance.copy()
    open_ = np.zeros((searches, n))
    picks = np.zeros((searches, steps), dtype=int)
    gains = np.zeros((searches, steps))
    for step in range(steps):
        gain = quality + scale * np.log(np.maximum(remaining, FLOOR)) + open_
        pick = gain.argmax(axis=1)
        picks[:, step] = pick
        gains[:, step] = gain[every, pick]
        open_[every, pick] = -np.inf
        known = rows[:, : step + 1]
        row = columns(pick) - np.einsum("bt,btn->bn", known[every, :, pick], known)
        row /= np.sqrt(np.maximum(remaining[every, pick], FLOOR))[:, None]
        # a covariance never exceeds both deviations; among frames seen twice rounding would, and blow up from there
        limit = np.sqrt(np.maximum(remaining, 0))
        rows[:, step + 1] = np.clip(row, -limit, limit, out=row)
        remaining -= row * row
    return picks, gains
