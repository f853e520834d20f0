"""The one kind of error a user of Framesift can cause, and can mend."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


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
            lines.append(f"found: {_SHORT.repr(value)}")
        if expected:
            lines.append(f"expected: {expected}")
        if hint:
            lines.append(f"hint: {hint}")
        super().__init__(_harmless("\n  ".join(lines)))


class _Short(reprlib.Repr):
    """As repr, of bounded length whatever the value is: some have more parts than a memory holds."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 400, 400
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 12

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 1000 else f"a whole number of {x.bit_length()} bits"

    def repr_dict(self, x: Mapping[Any, Any], level: int) -> str:
        if level <= 0:
            return "{...}"
        parts = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in islice(x, self.maxdict)]
        return f"{{{', '.join([*parts, '...'] if len(x) > self.maxdict else parts)}}}"


_SHORT = _Short()
#: Characters of a message; texts of labels are quoted in some.
_LONGEST = 4000


def _harmless(message: str) -> str:
    """A message that a terminal only shows: names and texts of strangers may hold its control characters."""
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in message[:_LONGEST]
    )
    return shown + ("..." if len(message) > _LONGEST else "")


class VideoError(Exception):
    """One video cannot be used. It costs its own questions, never the run."""


def invalid(error: ValidationError, where: str) -> InputError:
    """The first thing that pydantic refuses in what stands at `where`."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return InputError(first["msg"], field=f"{where}: {place}", value=first["input"])


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the known word nearest to `word`, or None when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else None
