"""Overlap: how far do two selections agree?"""

from __future__ import annotations

from collections.abc import Iterable


def jaccard(first: Iterable[int], second: Iterable[int]) -> float:
    """Share of the frames in either selection that are in both: 1 for the same frames (or none at all).

    Parameters
    ----------
    first, second : iterable of int
        Frame numbers of one video; repeats and order are nothing.
    """
    one, other = set(first), set(second)
    return len(one & other) / len(one | other) if one or other else 1.0
