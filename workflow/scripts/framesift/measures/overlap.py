"""Overlap: how many frames do two selections share?"""

from __future__ import annotations

from collections.abc import Iterable


def jaccard(first: Iterable[int], second: Iterable[int]) -> float:
    """Jaccard index: the share of the frames in either selection that are in both; 1 if both are empty.

    Parameters
    ----------
    first, second : iterable of int
        Frame indices of one video; repeats and order do not matter.

    Examples
    --------
    >>> jaccard([0, 4, 8], [4, 8, 12])
    0.5
    """
    one, other = set(first), set(second)
    return len(one & other) / len(one | other) if one or other else 1.0
