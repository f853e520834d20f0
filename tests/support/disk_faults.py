"""Disks that fail and clocks that jump, for programs started with `Machine.environment` (disk_faults.c)."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class Machine:
    """A machine whose disk and clock can be made to fail.

    Parameters
    ----------
    folder : path
        For the compiled library, and the files that say what fails.

    Raises
    ------
    RuntimeError
        Where there is no C compiler.
    """

    def __init__(self, folder: Path) -> None:
        library = folder / "disk_faults.so"
        self._disk, self._clock = folder / "disk_faults.txt", folder / "clock_faults.txt"
        if (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
            raise RuntimeError("a C compiler (gcc)")
        if not library.exists():
            subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        self.environment = {
            "LD_PRELOAD": str(library), "DISK_FAULTS": str(self._disk), "CLOCK_FAULTS": str(self._clock)
        }  # fmt: skip

    @contextmanager
    def disk_fails(self, error: int, word: str, offset: int = 0) -> Iterator[None]:
        """Reading files whose path holds `word` fails at a byte, or (at 0) when they are opened."""
        assert error in errno.errorcode
        self._disk.write_text(f"{error} {offset} {word}")
        try:
            yield
        finally:
            self._disk.unlink()

    @contextmanager
    def clock_jumps(self, seconds: int) -> Iterator[None]:
        self._clock.write_text(str(seconds))
        try:
            yield
        finally:
            self._clock.unlink()
