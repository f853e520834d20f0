"""Reading and writing of result files: a file is there whole, or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError
from framesift.storage.untrusted import parse_json, read_text

log = logging.getLogger("framesift")


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it takes `path`'s place in one step.

    A process killed at any moment, or a machine that goes down, leaves either the old file or the new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}")
    os.close(handle)
    try:
        yield Path(name)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes files that a group cannot read
        with open(name, "rb") as file:
            os.fsync(file.fileno())  # else the new name may reach the disk before the content does
        os.replace(name, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk is told of without the file
        raise
    finally:
        Path(name).unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """What `write_json` writes."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: str | Path) -> Any:
    """The content of a JSON file, plain or gzipped."""
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", file=path) from None


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its first line."""
    text = read_text(path).removeprefix("\ufeff")
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"cannot be read as CSV ({error})", file=path) from None
    names = list(reader.fieldnames or ())
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError("has two columns of one name", file=path, field="first line", value=twice[0])
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise InputError("has another number of fields than the first line", file=path, field=f"record {number}")
    return rows


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_digest(path: str | Path, cache: Path | None) -> str:
    """SHA-256 of a file's content; `cache` remembers it by path, size and modification time of the file."""
    path = Path(path)
    if cache is None:
        return file_digest(path)
    stat = path.stat()
    name = hashlib.sha256(f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:24]
    entry = cache / name[:2] / f"{name}.json"
    digest = read_cached(entry)
    if digest is None:
        digest = file_digest(path)
        write_cached(entry, digest)
    return str(digest)


def write_cached(entry: Path, value: Any) -> None:
    """Keep a value in a cache, with its digest."""
    write_json(entry, {"sha256": _digest_of(value), "value": value})


def read_cached(entry: Path) -> Any:
    """A value that was kept; None where there is none, or none that is what was kept."""
    if not entry.is_file():
        return None
    try:
        kept = read_json(entry)
        if kept["sha256"] == _digest_of(kept["value"]):
            return kept["value"]
    except (InputError, KeyError, TypeError):
        pass
    log.warning("%s is damaged; what it held is found out again", entry)
    return None


def _digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
