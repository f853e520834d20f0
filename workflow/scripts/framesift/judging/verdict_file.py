"""Verdicts on the answers of a table, by our parser and by the task of lmms-eval, and their file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from framesift.core.errors import InputError
from framesift.storage.checksums import read_checked, write_checked


class Verdict(BaseModel):
    """The verdict on one answer.

    Attributes
    ----------
    answer : str or None
        Letter of the right option, or the text of the right answer; None if the benchmark keeps it secret.
    parsed : str or None
        The letter found in the response; None if there is none, and for open answers.
    correct : bool or None
        None for an open answer that no judge has read.
    task_correct : bool or None
        The same by lmms-eval's task; None if its metric gives no verdict on single answers.
    note : str or None
        Why the two differ, or why there is no verdict.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: str | None
    parsed: str | None = None
    correct: bool | None = None
    task_correct: bool | None = None
    note: str | None = None


class JudgedCell(BaseModel):
    """The verdicts on one row of a table, by question id, and the number of lmms-eval's task for all of them.

    Attributes
    ----------
    metric : str
        Name of the task's metric.
    value : float or None
        In the task's own unit (VideoMME percents, MLVU the mean over kinds of questions, ...).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = ""
    value: float | None = None
    questions: dict[str, Verdict]


def write_judged(path: str | Path, cells: Mapping[str, JudgedCell], made_by: Mapping[str, Any]) -> None:
    """Write ``{"made_by": ..., "cells": {id: ...}}``."""
    content = {name: cell.model_dump() for name, cell in cells.items()}
    write_checked(path, {"made_by": dict(made_by), "cells": content})


def read_judged(path: str | Path) -> dict[str, JudgedCell]:
    """The cells by id, from a file of `write_judged`."""
    content = read_checked(path)
    try:
        return {name: JudgedCell.model_validate(cell) for name, cell in content["cells"].items()}
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(f"is not a file of verdicts ({type(error).__name__})", file=path) from None
