"""Coverage: how far is a video from its chosen frames?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise


def gaps(times: Iterable[float], duration: float) -> list[float]:
    """Shares of the video before the first frame, between neighbours, and after the last; their sum is 1.

    Parameters
    ----------
    times : iterable of float
        Seconds of the frames after the start of the video, in any order; a frame given twice leaves a gap of 0.
    duration : float
        Seconds of the whole video.

    Returns
    -------
    list of float
        One value more than there are frames.

    Raises
    ------
    ValueError
        If the duration is not positive, or a time is outside of the video.

    Examples
    --------
    >>> gaps([2.0, 8.0], duration=10.0)
    [0.2, 0.6, 0.2]
    """
    times = sorted(times)
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"a video of {duration} seconds has no coverage")
    if not all(0 <= time <= duration for time in times):
        raise ValueError(f"a frame lies outside of the video's {duration} seconds")
    borders = [0.0, *times, duration]
    return [(after - before) / duration for before, after in pairwise(borders)]


def largest_gap(times: Iterable[float], duration: float) -> float:
    """The longest stretch without a frame, as a share of the video: 1 without frames, about 1/k for k uniform frames.

    Parameters as for `gaps`.

    Examples
    --------
    >>> largest_gap([2.0, 8.0], duration=10.0)
    0.6
    """
    return max(gaps(times, duration))


def mean_distance(times: Iterable[float], duration: float) -> float | None:
    """Mean distance of a moment of the video to the nearest frame, as a share of the video; None without frames.

    It is lowest, 1/(4k), for the middles of k equal segments. Parameters as for `gaps`.

    Examples
    --------
    >>> mean_distance([2.5, 7.5], duration=10.0)
    0.125
    """
    shares = gaps(times, duration)
    if len(shares) == 1:
        return None
    inner = sum(share**2 for share in shares[1:-1]) / 4
    return inner + (shares[0] ** 2 + shares[-1] ** 2) / 2
