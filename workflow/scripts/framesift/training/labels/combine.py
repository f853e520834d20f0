"""From replies to targets of training: scale, average, interpolate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framesift.scoring.mllm_selector.label_settings import Peaks
from framesift.scoring.mllm_selector.sampling import slots


def labelled_positions(candidates: int, n: int, n_label: int | None) -> np.ndarray:
    """Candidates to label: those in the selector's n slots, or `n_label` of them, each once.

    Returns
    -------
    int array, shape (m,)
        Positions among the candidates, ascending.

    Examples
    --------
    >>> labelled_positions(candidates=100, n=5, n_label=None)
    array([ 0, 25, 50, 74, 99])
    >>> labelled_positions(candidates=100, n=5, n_label=3)
    array([ 0, 50, 99])
    """
    distinct = np.unique(slots(candidates, n))
    if n_label is None or n_label >= len(distinct):
        return distinct
    return distinct[slots(len(distinct), n_label)]


def min_max(values: np.ndarray) -> np.ndarray:
    """Values scaled to [0, 1], or to 0.5 if all are equal. Values that are not finite are interpolated first.

    Parameters
    ----------
    values : float array, shape (m,)
        At least one of them finite.

    Examples
    --------
    >>> min_max(np.array([2.0, np.nan, 4.0]))
    array([0. , 0.5, 1. ])
    """
    known = np.flatnonzero(np.isfinite(values))
    filled = np.interp(np.arange(len(values)), known, values[known].astype(np.float64))
    low, high = filled.min(), filled.max()
    return (filled - low) / (high - low) if high > low else np.full(len(values), 0.5)


def marked(frames: Sequence[int], count: int) -> np.ndarray:
    """1 for the given frames, 0 for the others; shape (count,).

    Examples
    --------
    >>> marked([0, 2], 4)
    array([1., 0., 1., 0.])
    """
    labels = np.zeros(count)
    labels[list(frames)] = 1
    return labels


def peaks(spatial: np.ndarray, how: Peaks) -> np.ndarray:
    """1 for frames in a peak of the spatial labels, 0 for the others; shape (m,).

    Parameters
    ----------
    spatial : float array, shape (m,)
        In [0, 1]. Beyond both ends it counts as 0, so that the first and the last frame can be peaks.
    how : Peaks

    Examples
    --------
    >>> peaks(np.array([0.1, 0.2, 0.9, 0.8, 0.1, 0.0]), Peaks())
    array([0., 0., 1., 1., 0., 0.])
    """
    from scipy.signal import find_peaks, peak_widths

    curve = np.concatenate([[0.0], spatial - spatial.min(), [0.0]])
    tops, _ = find_peaks(curve, prominence=how.prominence * max(curve.max(), 1e-12))
    _, _, left, right = peak_widths(curve, tops, rel_height=0.5)
    labels = np.zeros(len(curve))
    for start, end in zip(np.ceil(left).astype(int), np.floor(right).astype(int), strict=True):
        labels[start : end + 1] = 1
    return labels[1:-1]


def average(spatial: np.ndarray | None, temporal: np.ndarray | None, weight: float) -> np.ndarray:
    """The average of both labels, with `weight` for the temporal one; if one of them is None, the other alone.

    Examples
    --------
    >>> average(np.array([0.0, 1.0]), np.array([1.0, 1.0]), weight=0.25)
    array([0.25, 1.  ])
    """
    if spatial is None or temporal is None:
        [only] = [labels for labels in (spatial, temporal) if labels is not None]
        return only
    return (1 - weight) * spatial + weight * temporal


def interpolated(labels: np.ndarray, positions: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Labels of the candidates `wanted`, linear between the labels of the labelled `positions`, in [0, 1].

    Examples
    --------
    >>> interpolated(np.array([0.0, 1.0]), np.array([0, 10]), np.array([0, 5, 10]))
    array([0. , 0.5, 1. ])
    """
    return np.clip(np.interp(wanted, positions, labels), 0, 1)
