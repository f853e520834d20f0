"""Checksums: content that changed after it was written is noticed when it is read.

A disk that loses a bit, a copy that was cut off, or an edit would otherwise go on into the table. Every checksum is a
SHA-256 of content. Where it is stored depends on the file:

- a result that other jobs read (JSON, parquet) has a hidden sidecar file, ``.NAME.sha256`` (`write_checked`,
  `atomic_write_checked`); a file without one, such as a user's own, is read as it is;
- a line of a journal and a cached value hold the checksum of their content (`framesift.storage.journal`,
  `framesift.storage.cached_values`);
- a file of tensors holds it in its metadata (`framesift.storage.tensors`).

A damaged result is an error; a damaged entry of a cache is recomputed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from framesift.core.errors import InputError, Model
from framesift.storage.files import atomic_write, json_text, read_json, write_text


class DamagedError(InputError):
    """Content is not what was written, packed or announced. Reading it again does not help."""


def digest_of(parts: Iterable[bytes]) -> str:
    """SHA-256 of bytes that come in parts, in hexadecimal.

    Examples
    --------
    >>> digest_of([b"a", b"bc"]) == digest_of([b"abc"])
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 of a plain value as JSON with sorted keys.

    Examples
    --------
    >>> json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})
    True
    """
    return digest_of([json.dumps(value, sort_keys=True).encode()])


def file_digest(path: str | Path) -> str:
    """SHA-256 of the content of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar_of(path: str | Path) -> Path:
    """The file that holds the checksum of a result.

    Examples
    --------
    >>> sidecar_of("results/labels/demo.json").as_posix()
    'results/labels/.demo.json.sha256'
    """
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


def file_of(sidecar: Path) -> Path:
    """The result that a sidecar file belongs to.

    Examples
    --------
    >>> file_of(Path("results/labels/.demo.json.sha256")).as_posix()
    'results/labels/demo.json'
    """
    return sidecar.with_name(sidecar.name.removeprefix(".").removesuffix(".sha256"))


@contextmanager
def atomic_write_checked(path: str | Path) -> Iterator[Path]:
    """Write a result and its sidecar file; see `framesift.storage.files.atomic_write`.

    A process killed between the two leaves a result that is rejected.
    """
    with atomic_write(path) as temporary:
        yield temporary
        write_text(sidecar_of(path), file_digest(temporary) + "\n")


def is_intact(path: str | Path) -> bool:
    """Whether a file has the content of its sidecar file, or has no sidecar file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "shards.json")
    ...     write_checked(file, {"v1": 1})
    ...     before = is_intact(file)
    ...     _ = file.write_text("{}")
    ...     print(before, is_intact(file))
    True False
    """
    sidecar = sidecar_of(path)
    return not sidecar.is_file() or sidecar.read_bytes().strip() == file_digest(path).encode()


def verify_checksum(path: str | Path) -> None:
    """Reject a result whose content changed after it was written.

    Raises
    ------
    InputError
        If there is no such file.
    DamagedError
        If its content does not match its sidecar file.
    """
    if not Path(path).is_file():
        raise InputError("there is no such file", file=path)
    if not is_intact(path):
        raise DamagedError(
            "is damaged, or was edited: it is not what was written",
            file=path,
            expected=f"the SHA-256 in {sidecar_of(path)}",
            hint="remove the file and run again: it is rebuilt from the caches. To use it as it is, remove its .sha256"
            " file instead",
        )


def write_checked(path: str | Path, value: Any) -> None:
    """Write a value as JSON, with a sidecar file."""
    with atomic_write_checked(path) as temporary:
        temporary.write_text(json_text(value))


def read_checked(path: str | Path) -> Any:
    """The value of a JSON file that `write_checked` wrote.

    Raises
    ------
    InputError
        If there is no such file, or it is not JSON.
    DamagedError
        If its content changed after it was written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_checked(f"{folder}/shards.json", {"v1": 1})
    ...     read_checked(f"{folder}/shards.json")
    {'v1': 1}
    """
    verify_checksum(path)
    return read_json(path)


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
    write_checked(path, {"made_by": dict(made_by), key: {name: model.model_dump() for name, model in models.items()}})


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
    content = read_checked(path)
    try:
        return {name: cls(**fields) for name, fields in content[key].items()}
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(f"is {what} ({type(error).__name__})", file=path) from None
