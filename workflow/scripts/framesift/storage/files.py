"""Reading and writing of result files. A file is complete, or does not exist."""

from __future__ import annotations

import csv
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
    """Write to a temporary path in the same folder, which replaces `path` in one step when there was no error.

    A process killed at any moment, or a machine that goes down, leaves either the old file or the new one.

    Yields
    ------
    Path
        Where to write.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(f"{folder}/result.txt") as temporary:
    ...         _ = temporary.write_text("done")
    ...     Path(folder, "result.txt").read_text()
    'done'
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
        error.filename = error.filename or str(path)  # the error for a full disk does not name the file
        raise
    finally:
        Path(name).unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file."""
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are rejected, since JSON has neither."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """The text that `write_json` writes.

    Examples
    --------
    >>> print(json_text({"budget": 8}), end="")
    {
     "budget": 8
    }
    """
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: str | Path) -> Any:
    """The content of a JSON file, plain or gzipped.

    Raises
    ------
    InputError
        If the file cannot be read, or is not JSON.
    """
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", file=path) from None


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its first line.

    Raises
    ------
    InputError
        If the file cannot be read, two columns have the same name, or a row has too many or too few fields.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(f"{folder}/videos.csv", "video,seconds\\nv1,12.5\\n")
    ...     read_csv(f"{folder}/videos.csv")
    [{'video': 'v1', 'seconds': '12.5'}]
    """
    text = read_text(path).removeprefix("\ufeff")
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"cannot be read as CSV ({error})", file=path) from None
    names = list(reader.fieldnames or ())
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError("two columns have the same name", file=path, field="first line", value=twice[0])
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise InputError("does not have as many fields as the first line", file=path, field=f"record {number}")
    return rows
