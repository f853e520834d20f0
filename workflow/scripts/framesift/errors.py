"""The one kind of error a user of Framesift can cause, and can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is always one sentence per fact, in the same order: where (file, field), the value found, what was
    expected and, last, a hint.

    Parameters
    ----------
    problem : str
        What is wrong, in plain words.
    file, field : str, optional
        Where it stands.
    value : object, optional
        What was found there.
    expected : str, optional
        What would have been accepted.
    hint : str, optional
        What to do next.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: object = None,
        field: str | None = None,
        value: object = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        place = ": ".join(str(part) for part in (file, field) if part)
        lines = [f"{place}: {problem}" if place else problem]
        if value is not None:
            lines.append(f"found: {value!r}")
        if expected:
            lines.append(f"expected: {expected}")
        if hint:
            lines.append(f"hint: {hint}")
        super().__init__("\n  ".join(lines))


class VideoError(Exception):
    """One video cannot be used. It costs its own questions, never the run."""


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the known word nearest to `word`, or None when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else None
