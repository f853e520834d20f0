"""Run lmms-eval as it is installed, without its downloads and without files outside our own folders."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError


def tasks_folder() -> Path:
    """The folder of lmms-eval's built-in tasks."""
    spec = find_spec("lmms_eval")
    if spec is None or spec.origin is None:
        raise InputError("lmms-eval is not installed in this environment", hint="envs/ lists what evaluation needs")
    return Path(spec.origin).parent / "tasks"


@contextmanager
def no_guessing() -> Iterator[None]:
    """Make the tasks' parsers return nothing if they find no option: some pick one at random (`random.choice`)."""
    original, tasks = random.choice, str(tasks_folder())

    def choice(options: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__file__", ""))
        return "" if caller.startswith(tasks) else original(options)

    random.choice = choice  # type: ignore[assignment]
    try:
        yield
    finally:
        random.choice = original


@contextmanager
def lmms_eval_environment(folder: str) -> Iterator[None]:
    """Environment variables for importing and running lmms-eval.

    Documents come from a file, and `datasets` caches them in `folder`. Weights may still come from the hub.
    """
    settings = {"HF_DATASETS_OFFLINE": "1", "LMMS_EVAL_DATASETS_CACHE": folder}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
