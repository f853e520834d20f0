"""The slots of the selector: which candidate frame each of them shows."""

from __future__ import annotations

import numpy as np


def slots(candidates: int, n: int) -> np.ndarray:
    """The candidate that each of the selector's n slots shows, uniform from the first candidate to the last.

    A video with fewer candidates fills all slots too, by repeating candidates in neighbouring slots. A slot is
    therefore always the same share of the video.

    Parameters
    ----------
    candidates : int
        Candidate frames of the video, at least one.
    n : int
        Slots.

    Returns
    -------
    int array, shape (n,)
        Positions among the candidates, ascending.

    Examples
    --------
    >>> slots(100, 4)
    array([ 0, 33, 66, 99])
    >>> slots(2, 4)
    array([0, 0, 1, 1])
    """
    return np.round(np.linspace(0, candidates - 1, n)).astype(np.int64)


def first_shown(shown: np.ndarray) -> np.ndarray:
    """Which slots show a frame for the first time. The others repeat it, and count neither in losses nor in scores.

    Parameters
    ----------
    shown : int array, shape (n,)
        From `slots`.

    Returns
    -------
    bool array, shape (n,)

    Examples
    --------
    >>> first_shown(slots(2, 4))
    array([ True, False,  True, False])
    """
    return np.diff(shown, prepend=-1) > 0
