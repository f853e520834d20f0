"""From what was labelled to targets: scaled, averaged, interpolated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framesift.scoring.mllm_selector.label_settings import Peaks
from framesift.scoring.mllm_selector.sampling import slots


def labelled_positions(candidates: int, n: int, n_label: int | None) -> np.ndarray:
    """Candidates that are labelled: those that the selector's n slots show, or `n_label` of them, each once.

    Returns
    -------
    int array, shape (m,)
        Positions among the candidates, ascending.
    """
    shown = np.unique(slots(candidates, n))
    if n_label is None or n_label >= len(shown):
        return shown
    return shown[slots(len(shown), n_label)]


def min_max(values: np.ndarray) -> np.ndarray:
    """Values scaled to [0, 1], all equal ones to 0.5; those that are no finite numbers are interpolated before.

    Parameters
    ----------
    values : float array, shape (m,)
        At least one of them finite.
    """
    known = np.flatnonzero(np.isfinite(values))
    filled = np.interp(np.arange(len(values)), known, values[known].astype(np.float64))
    low, high = filled.min(), filled.max()
    return (filled - low) / (high - low) if high > low else np.full(len(values), 0.5)


def named(frames: Sequence[int], count: int) -> np.ndarray:
    """1 for the frames that are named, 0 for the others: shape (count,)."""
    labels = np.zeros(count)
    labels[list(frames)] = 1
    return labels


def peaks(spatial: np.ndarray, how: Peaks) -> np.ndarray:
    """1 for frames that lie in a peak of the spatial labels, 0 for the others: shape (m,).

    Parameters
    ----------
    spatial : float array, shape (m,)
        In [0, 1]. What lies beyond both ends counts as 0, so that a peak may stand at an end.
    how : Peaks
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
    """The weighted average of both labels; one of them alone where the other is None."""
    if spatial is None or temporal is None:
        [only] = [labels for labels in (spatial, temporal) if labels is not None]
        return only
    return (1 - weight) * spatial + weight * temporal


def interpolated(labels: np.ndarray, positions: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Labels of other candidates, linear between those of the labelled `positions`, in [0, 1]."""
    return np.clip(np.interp(wanted, positions, labels), 0, 1)
