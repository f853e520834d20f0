"""A journal: records that outlive the process that wrote them, however it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any


class Journal:
    """Records by key, in a folder of append-only files of JSON lines.

    All files of the folder are read at the start; this process writes to its own. A record is on disk when `add`
    returns. A line cut short by a killed process is ignored.

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
        self._file: IO[bytes] | None = None
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_bytes().split(b"\n"):
                try:
                    record = json.loads(line)
                    self._records[record["key"]] = record
                except (ValueError, KeyError, TypeError):
                    continue

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a key, or None."""
        return self._records.get(key)

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record of plain values."""
        whole = {"key": key, **record}
        self._records[key] = whole
        file = self._file or self._open()
        file.write(json.dumps(whole, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _open(self) -> IO[bytes]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = self.path.is_file() and not self.path.read_bytes().endswith(b"\n")
        self._file = file = self.path.open("ab")
        if torn:
            file.write(b"\n")  # ends the line at which an earlier process was killed
        return file
