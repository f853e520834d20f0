"""What is wrong with the content of a video excludes it; without too many, nothing is made."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping

from framesift.core.errors import InputError


def add_limit(options: ArgumentParser) -> None:
    """The option --max-excluded."""
    options.add_argument(
        "--max-excluded", type=float, default=0.05, help="share of unusable videos that stops the run (1: never)"
    )


def check_exclusions(
    excluded: Mapping[str, tuple[str, str]],
    total: int,
    limit: float,
    *,
    place: object,
    hint: str,
    what: str = "videos",
    always: int = 1,
) -> None:
    """Refuse to go on without too many videos or questions.

    Parameters
    ----------
    excluded : dict
        By id: the reason in few words, and all that is known of it.
    total : int
        How many there are with those excluded.
    limit : float
        Share of them that may be excluded, but never all.
    place : object
        The file or row that lacks them.
    hint : str
        How to mend them.
    what : str
        What they are.
    always : int
        How many may be excluded whatever the limit is.

    Raises
    ------
    InputError

    Examples
    --------
    >>> check_exclusions({"v1": ("broken", "has no frames")}, 40, 0.05, place="videos", hint="")
    >>> check_exclusions({"v1": ("broken", "has no frames")}, 1, 0.05, place="videos", hint="mend it")
    Traceback (most recent call last):
    ...
    framesift.core.errors.InputError: videos: none of the 1 videos can be used (1 broken; the first, v1: has no frames)
      hint: mend it
    """
    if not excluded:
        return
    counts = Counter(reason for reason, _ in excluded.values()).most_common(3)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
    if len(excluded) == total:
        first = min(excluded)
        raise InputError(
            f"none of the {total} {what} can be used ({reasons}; the first, {first}: {excluded[first][1]})",
            file=place,
            hint=hint,
        )
    allowed = max(always, int(limit * total))
    if len(excluded) > allowed:
        raise InputError(
            f"{len(excluded)} of {total} {what} cannot be used ({reasons})",
            file=place,
            field="max_excluded",
            value=limit,
            expected=f"at most {allowed} of them",
            hint=f"{hint}, or raise max_excluded of the dataset (1: continue with what remains)",
        )
