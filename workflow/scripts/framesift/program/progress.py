"""Progress of a long download: a bar on a terminal, a line every 15 seconds in a log file."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType

from framesift.program.cli import log

#: Seconds between two lines in a log file.
EVERY = 15.0


def size_text(size: float) -> str:
    """A number of bytes, as text.

    Examples
    --------
    >>> size_text(2_500_000)
    '2.50 MB'
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"


def silence_hub() -> None:
    """Turn off the progress bars and log lines of huggingface_hub: ours cover all files together."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub.utils.logging import get_logger

    get_logger("huggingface_hub").handlers.clear()  # its messages reach ours as well


class TransferProgress:
    """Counts bytes and files, from any number of threads.

    Parameters
    ----------
    total : int
        Bytes to come.
    n_files : int
        Files to come.
    """

    def __init__(self, total: int, n_files: int) -> None:
        self.total, self.n_files = total, n_files
        self.done = self.done_files = 0
        self._lock = threading.Lock()
        self._start = self._shown = time.monotonic()

    def __enter__(self) -> TransferProgress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.fields[files]}"),
            *(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=self.total, files=self._files)
        self._bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()
        self._line()

    def bytes(self, n: int) -> None:
        """`n` more bytes arrived."""
        with self._lock:
            self.done += n
            self._bar.update(self._task, completed=self.done)
            if self._bar.disable and time.monotonic() - self._shown > EVERY:
                self._line()

    def files(self, n: int) -> None:
        """`n` more files are in place."""
        with self._lock:
            self.done_files += n
            self._bar.update(self._task, files=self._files)

    @property
    def _files(self) -> str:
        return f"{self.done_files} of {self.n_files} files"

    def _line(self) -> None:
        self._shown = time.monotonic()
        speed = self.done / max(self._shown - self._start, 1e-3)
        left = (self.total - self.done) / speed if speed > 0 else 0.0
        done, total = size_text(self.done), size_text(self.total)
        log.info("%s, %s of %s, %s/s, %.0f min left", self._files, done, total, size_text(speed), max(left, 0) / 60)
