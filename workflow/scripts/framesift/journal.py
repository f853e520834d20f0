"""A journal: records that outlive the process that wrote them, however it ends."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any


class Journal:
    """Records by key, in a folder of append-only files of JSON lines.

    This process writes to a file of its own, and reads those of others, also what they add meanwhile. A record is on
    disk when `add` returns. A line cut short by a killed process is ignored. Threads may share a journal.

    Parameters
    ----------
    folder : path
        Made when the first record is added.
    writer : str
        Name of the file this process adds to, without its suffix. Unique among processes that run at a time.
    """

    def __init__(self, folder: Path, writer: str) -> None:
        self.path = folder / f"{writer}.jsonl"
        self._records: dict[str, dict[str, Any]] = {}
        self._read: dict[Path, int] = {}  # bytes of whole lines that were read of each file
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._refresh()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a key, or None."""
        with self._lock:
            if key not in self._records:
                self._refresh()
            return self._records.get(key)

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record of plain values."""
        whole = {"key": key, **record}
        line = json.dumps(whole, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with self._lock:
            self._records[key] = whole
            file = self._file or self._open()
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _refresh(self) -> None:
        """Read what was added to the files of the folder since they were last read; our own is read only once."""
        for path in sorted(self.path.parent.glob("*.jsonl")):
            start = self._read.get(path, 0)
            if path.stat().st_size <= start or (self._file and path == self.path):
                continue
            with path.open("rb") as file:
                file.seek(start)
                lines, end, _ = file.read().rpartition(b"\n")
            self._read[path] = start + len(lines) + len(end)
            for line in lines.split(b"\n"):
                try:
                    record = json.loads(line)
                    self._records[record["key"]] = record
                except (ValueError, KeyError, TypeError):
                    continue

    def _open(self) -> IO[bytes]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = self.path.is_file() and not self.path.read_bytes().endswith(b"\n")
        self._file = file = self.path.open("ab")
        if torn:
            file.write(b"\n")  # ends the line at which an earlier process was killed
        return file
