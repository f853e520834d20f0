"""A journal: records that survive the process that wrote them, however it ends."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import IO, Any

from framesift.storage.checksums import json_digest

log = logging.getLogger("framesift")


class Journal:
    """Records by key, in a folder of append-only files of JSON lines.

    A process writes to its own file, and reads the files of others, including what they add later. A record is on disk
    when `add` returns. Each line holds the checksum of its record: a line that a killed process or a full disk cut off,
    or that a disk damaged, is ignored. Threads may share a journal.

    Parameters
    ----------
    folder : path
        Created when the first record is added.
    writer : str
        Name of this process's file, without its suffix. If an earlier or another process has a file of this name, a
        number is appended.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder), "chunk-1")
    ...     journal.add("q1", {"response": "B"})
    ...     journal.close()
    ...     Journal(Path(folder), "chunk-2").get("q1")
    {'key': 'q1', 'response': 'B'}
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
        """Store a record of plain values."""
        entry = {"key": key, **record}
        with self._lock:
            file = self._file or self._open()
            file.write(to_line(entry))
            file.flush()
            os.fsync(file.fileno())
            self._records[key] = entry

    def close(self) -> None:
        """Close the file of this process."""
        if self._file:
            self._file.close()
            self._file = None

    def _refresh(self) -> None:
        """Read what was added to the files of the folder since the last time."""
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
                    log.warning("%s: a damaged line is ignored; its record is computed again", path)

    def _open(self) -> IO[bytes]:
        """Open a new file: one of another process, or one that was cut off, is never appended to."""
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
    """A record as a line, with its checksum.

    Examples
    --------
    >>> parse_line(to_line({"key": "q1", "response": "B"}))
    {'key': 'q1', 'response': 'B'}
    """
    content = {"sha256": json_digest(record), **record}
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which a server may send, is not UTF-8
        return json.dumps(content, allow_nan=False).encode() + b"\n"


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None if the line is damaged."""
    try:
        record = json.loads(line)
        same = record.pop("sha256") == json_digest(record)
        return record if same and isinstance(record["key"], str) else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
