"""Verdicts on the answers of a table, by our parser and by the task of lmms-eval, and their file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framesift.core.spec import Frozen
from framesift.storage.files import read_models, write_models


class Verdict(Frozen):
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

    answer: str | None
    parsed: str | None = None
    correct: bool | None = None
    task_correct: bool | None = None
    note: str | None = None


class JudgedCell(Frozen):
    """The verdicts on one row of a table, by question id, and the number of lmms-eval's task for all of them.

    Attributes
    ----------
    metric : str
        Name of the task's metric.
    value : float or None
        In the task's own unit (VideoMME percents, MLVU the mean over kinds of questions, ...).
    """

    metric: str = ""
    value: float | None = None
    questions: dict[str, Verdict]


def write_judged(path: str | Path, cells: Mapping[str, JudgedCell], made_by: Mapping[str, Any]) -> None:
    """Write ``{"made_by": ..., "cells": {id: ...}}``."""
    write_models(path, "cells", cells, made_by)


def read_judged(path: str | Path) -> dict[str, JudgedCell]:
    """The cells by id, from a file of `write_judged`."""
    return read_models(path, "cells", JudgedCell, "not a file of verdicts")
