"""Which frames of a video the selector sees, and what their scores say of the other candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def slots(candidates: int, n: int) -> np.ndarray:
    """The candidate that each of the selector's n slots shows, uniform from the first candidate to the last.

    A video with fewer candidates fills the slots too: a candidate is then shown in several neighbouring ones, so that
    a slot means the same share of the video whatever its length.

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
    """
    import numpy as np

    return np.round(np.linspace(0, candidates - 1, n)).astype(np.int64)


def first_shown(shown: np.ndarray) -> np.ndarray:
    """Which slots show a frame for the first time; the others repeat it, and count neither in losses nor in scores.

    Parameters
    ----------
    shown : int array, shape (n,)
        From `slots`.

    Returns
    -------
    bool array, shape (n,)
    """
    import numpy as np

    return np.diff(shown, prepend=-1) > 0
