"""Errors that a user can cause and fix."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class InputError(Exception):
    """The user provided something that cannot be used.

    The message gives one fact a line, always in this order: what is wrong and where (file, field), the value found,
    what was expected, and a hint.

    Parameters
    ----------
    problem : str
        What is wrong, in the user's terms.
    file, field : str, optional
        Where it is wrong.
    value : object, optional
        What was found there.
    expected : str, optional
        What is accepted.
    hint : str, optional
        What to do next.

    Examples
    --------
    >>> print(InputError("expected a positive integer", file="my.yaml", field="budgets[0]", value="eight"))
    my.yaml: budgets[0]: expected a positive integer
      found: 'eight'
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
        super().__init__(_printable("\n  ".join(lines)))


class _ShortRepr(reprlib.Repr):
    """`repr` of bounded length: the repr of a hostile value can be larger than memory."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 400, 400
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 12

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 1000 else f"an integer of {x.bit_length()} bits"

    def repr_dict(self, x: Mapping[Any, Any], level: int) -> str:
        if level <= 0:
            return "{...}"
        parts = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in islice(x, self.maxdict)]
        return f"{{{', '.join([*parts, '...'] if len(x) > self.maxdict else parts)}}}"


_SHORT = _ShortRepr()
#: Characters of a message; some messages quote texts of labels.
_MAX_LENGTH = 4000


def _printable(message: str) -> str:
    """The message without control characters: file names and labels of others may contain terminal escapes."""
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in message[:_MAX_LENGTH]
    )
    return shown + ("..." if len(message) > _MAX_LENGTH else "")


@contextmanager
def about(what: str) -> Iterator[None]:
    """Begin the message of an `InputError` with what the work is about, such as a question.

    Examples
    --------
    >>> try:
    ...     with about("question 7-1"):
    ...         raise InputError("is too long for this model", field="model", value="tiny")
    ... except InputError as error:
    ...     print(error)
    question 7-1: model: is too long for this model
      found: 'tiny'
    """
    try:
        yield
    except InputError as error:
        raise type(error)(f"{what}: {error}") from error.__cause__


class MachineError(InputError):
    """The machine is at fault, and a minute later it may not be: a disk is away, a read fails, memory is short.

    The job ends, and nothing is written down about the data.
    """


class VideoError(Exception):
    """The content of one video cannot be used. Its questions are excluded; the job continues."""


class Problem(NamedTuple):
    """One thing that pydantic rejects.

    Attributes
    ----------
    place : str
        Where it is within the value, such as ``budgets[0]``; empty for the value as a whole.
    message : str
        What is wrong.
    value : object
        What was found.
    """

    place: str
    message: str
    value: Any


def first_problem(error: ValidationError) -> Problem:
    """The first thing that pydantic rejects.

    Examples
    --------
    >>> from pydantic import BaseModel, ValidationError
    >>> class Table(BaseModel):
    ...     budgets: list[int]
    >>> try:
    ...     Table(budgets=[8, "many"])
    ... except ValidationError as error:
    ...     print(first_problem(error).place)
    budgets[1]
    """
    first = error.errors()[0]
    return Problem(dotted(first["loc"]), first["msg"].removeprefix("Value error, "), first["input"])


def invalid(error: ValidationError, file: object, *within: str | int) -> InputError:
    """An `InputError` for the first thing that pydantic rejects.

    Parameters
    ----------
    error : ValidationError
    file : object
        Where the value comes from: a file, or an option such as ``--spec``.
    within : str or int
        Place of the value in the file.

    Examples
    --------
    >>> from pydantic import BaseModel, ValidationError
    >>> class Table(BaseModel):
    ...     budgets: list[int]
    >>> try:
    ...     Table(budgets=[8, "many"])
    ... except ValidationError as error:
    ...     print(invalid(error, "my.yaml", "tables", "demo"))
    my.yaml: tables.demo.budgets[1]: Input should be a valid integer, unable to parse string as an integer
      found: 'many'
    """
    problem = first_problem(error)
    return InputError(
        problem.message, file=file, field=dotted([*within, *error.errors()[0]["loc"]]), value=problem.value
    )


def validated(cls: type[Model], value: Any, file: object, *within: str | int) -> Model:
    """A value as a model of pydantic.

    Parameters
    ----------
    cls : type
        The model.
    value : object
    file, within
        As for `invalid`.

    Raises
    ------
    InputError
        For the first thing that pydantic rejects.

    Examples
    --------
    >>> from pydantic import BaseModel
    >>> class Table(BaseModel):
    ...     budgets: list[int]
    >>> validated(Table, {"budgets": [8]}, "my.yaml", "tables", "demo")
    Table(budgets=[8])
    """
    try:
        return cls.model_validate(value)
    except ValidationError as error:
        raise invalid(error, file, *within) from None


def dotted(place: Iterable[str | int]) -> str:
    """A place in lists and mappings, as a user writes it.

    Examples
    --------
    >>> dotted(["tables", "demo", "budgets", 0])
    'tables.demo.budgets[0]'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the known word closest to `word`, or None if none is close.

    Examples
    --------
    >>> did_you_mean("unifrom", ["uniform", "aks"])
    "did you mean 'uniform'?"
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else None
