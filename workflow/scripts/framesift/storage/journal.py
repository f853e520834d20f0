"""A journal: records that outlive the process that wrote them, however it ends."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import IO, Any

log = logging.getLogger("framesift")


class Journal:
    """Records by key, in a folder of append-only files of JSON lines.

    This process writes to a file of its own, and reads those of others, also what they add meanwhile. A record is on
    disk when `add` returns. Each line holds the digest of its record: one that a killed process or a full disk cut
    short, or that a disk damaged, is ignored. Threads may share a journal.

    Parameters
    ----------
    folder : path
        Made when the first record is added.
    writer : str
        What the file this process adds to is called, without its suffix. Where there is one of this name, of an earlier
        or another process, a number is added.
    """

    def __init__(self, folder: Path, writer: str) -> None:
        self.folder, self.writer = folder, writer
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
        with self._lock:
            file = self._file or self._open()
            file.write(to_line(whole))
            file.flush()
            os.fsync(file.fileno())
            self._records[key] = whole

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _refresh(self) -> None:
        """Read what was added to the files of the folder since they were last read."""
        for path in sorted(self.folder.glob("*.jsonl")):
            start = self._read.get(path, 0)
            if path.stat().st_size <= start or (self._file and self._file.name == str(path)):
                continue
            with path.open("rb") as file:
                file.seek(start)
                lines, end, _ = file.read().rpartition(b"\n")
            self._read[path] = start + len(lines) + len(end)
            for line in lines.split(b"\n") if end else ():
                if record := parse_line(line):
                    self._records[record["key"]] = record
                else:
                    log.warning("%s: a damaged line is ignored; what it held is asked again", path)

    def _open(self) -> IO[bytes]:
        """A new file: what another process writes, or left cut short, is never added to."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            try:
                name = f"{self.writer}.{number}" if number > 1 else self.writer
                self._file = (self.folder / f"{name}.jsonl").open("xb")
                break
            except FileExistsError:
                continue
        assert self._file
        return self._file


def to_line(record: Mapping[str, Any]) -> bytes:
    """The line of a record."""
    content = {"sha256": _digest(record), **record}
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # half of a pair of surrogates, which a server may send, is no UTF-8
        return json.dumps(content, allow_nan=False).encode() + b"\n"


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is not what was written."""
    try:
        record = json.loads(line)
        same = record.pop("sha256") == _digest(record)
        return record if same and isinstance(record["key"], str) else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
