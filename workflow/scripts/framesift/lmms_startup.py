"""Importing and running lmms-eval as it is, without what it would fetch, write or load for nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from framesift.code import SCRIPTS
from framesift.errors import InputError


def tasks_folder() -> Path:
    """The folder of lmms-eval's built-in tasks."""
    spec = find_spec("lmms_eval")
    if spec is None or spec.origin is None:
        raise InputError("lmms-eval is not installed in this environment", hint="see envs/ for what evaluation needs")
    return Path(spec.origin).parent / "tasks"


@contextmanager
def lmms_eval_environment(folder: str) -> Iterator[None]:
    """Settings for the time lmms-eval is imported and runs.

    Documents come from a file and the cache of `datasets` goes to `folder`; weights may still come from the hub.
    """
    settings = {"HF_DATASETS_OFFLINE": "1", "LMMS_EVAL_DATASETS_CACHE": folder}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with _metrics_library_when_needed():
            import lmms_eval.api.registry  # noqa: F401
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _metrics_library_when_needed() -> Iterator[None]:
    """Let `import evaluate` give a module that loads the installed library of that name at its first use.

    lmms-eval imports it at its start, which takes seconds, and no multiple-choice task uses it. Python would moreover
    find the program evaluate.py under that name.
    """
    paths = [path for path in sys.path if Path(path or ".").resolve() != SCRIPTS]
    spec = PathFinder.find_spec("evaluate", paths)
    if spec is None:  # then lmms-eval's own import says so
        yield
        return
    before = sys.modules.get("evaluate")
    sys.modules["evaluate"] = _Later(spec)
    try:
        yield
    finally:
        del sys.modules["evaluate"]
        if before is not None:
            sys.modules["evaluate"] = before


class _Later(ModuleType):
    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # only asked about, not used
        spec = self.__spec__
        if spec is None or spec.loader is None:
            raise AttributeError(name)
        module = self.__dict__.get("_module")
        if module is None:
            module = self._module = sys.modules[spec.name] = module_from_spec(spec)
            spec.loader.exec_module(module)
        return getattr(module, name)
