"""What many tests start from, made once for all processes of a run of the tests, and copied by each test."""

from __future__ import annotations

import fcntl
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

#: Where it is kept: a folder that all processes of one run know (`tests/conftest.py` sets it).
folder: Path | None = None


def copy_of(name: str, make: Callable[[Path], object], target: Path) -> Path:
    """Copy a folder to `target`, dates included. Whoever needs it first makes it; the others wait.

    Parameters
    ----------
    name : str
        What tells it from the others.
    make : function
        Makes it in the folder that it is given, which does not exist yet.
    target : path
        Existing files there stay.
    """
    made = (folder or _of_this_process()) / name
    with open(made.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            begun = made.with_suffix(".begun")
            shutil.rmtree(begun, ignore_errors=True)  # of one that failed
            make(begun)
            begun.rename(made)
    shutil.copytree(made, target, dirs_exist_ok=True, symlinks=True)
    return target


@functools.cache
def _of_this_process() -> Path:
    return Path(tempfile.mkdtemp(prefix="shared-"))
