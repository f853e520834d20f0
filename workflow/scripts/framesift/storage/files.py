"""Reading and writing of result files. A file is complete, or does not exist."""

from __future__ import annotations

import csv
import errno
import io
import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from framesift.core.errors import InputError, Model
from framesift.storage.checksums import file_digest, sidecar_of
from framesift.storage.untrusted import parse_json, read_text

log = logging.getLogger("framesift")


@contextmanager
def atomic_write(path: str | Path, *, checked: bool = False) -> Iterator[Path]:
    """Write to a temporary path in the same folder, which replaces `path` in one step when there was no error.

    A process killed at any moment, or a machine that goes down, leaves either the old file or the new one.

    Parameters
    ----------
    path : path
    checked : bool
        Write a sidecar file with the checksum first (`framesift.storage.checksums`). A process killed between the two
        leaves an old file that is rejected.

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
    name = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        # not `mkstemp`, whose files a group cannot read: to correct that takes the umask, which all threads share
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        yield name
        with open(name, "rb") as file:
            os.fsync(file.fileno())  # else the new name may reach the disk before the content does
        if checked:
            write_text(sidecar_of(path), file_digest(name) + "\n")
        os.replace(name, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # the error for a full disk does not name the file
        raise
    finally:
        name.unlink(missing_ok=True)


def write_text(path: str | Path, text: str, *, checked: bool = False) -> None:
    """Write a text file; `checked` as for `atomic_write`."""
    with atomic_write(path, checked=checked) as temporary:
        temporary.write_text(text)


def write_json(path: str | Path, value: Any, *, checked: bool = False) -> None:
    """Write `value` as indented JSON; NaN and infinity are rejected, since JSON has neither."""
    write_text(path, json_text(value), checked=checked)


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


def write_models(path: str | Path, key: str, models: Mapping[str, BaseModel], made_by: Mapping[str, Any]) -> None:
    """Write ``{"made_by": ..., key: {id: model}}`` as JSON, with a sidecar file.

    Examples
    --------
    >>> import tempfile
    >>> class Choice(BaseModel):
    ...     frames: list[int]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_models(f"{folder}/chosen.json", "questions", {"q1": Choice(frames=[0, 30])}, {"spec": {}})
    ...     read_models(f"{folder}/chosen.json", "questions", Choice, "no selection")
    {'q1': Choice(frames=[0, 30])}
    """
    write_json(
        path,
        {"made_by": dict(made_by), key: {name: model.model_dump() for name, model in models.items()}},
        checked=True,
    )


def read_models(path: str | Path, key: str, cls: type[Model], what: str) -> dict[str, Model]:
    """The models by id, from a file of `write_models`.

    Parameters
    ----------
    path : path
    key : str
    cls : type
        The model.
    what : str
        What an error says of another file: ``not a file of answers``.

    Raises
    ------
    InputError
        If the file is missing, damaged, or not of this kind.
    """
    content = read_json(path)
    try:
        return {name: cls(**fields) for name, fields in content[key].items()}
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(f"is {what} ({type(error).__name__})", file=path) from None
