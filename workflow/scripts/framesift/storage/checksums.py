"""Checksums: content that changed after it was written is noticed when it is read.

A disk that loses a bit, a copy that was cut off, or an edit would otherwise go on into the table. Every checksum is a
SHA-256 of content. Where it is stored depends on the file:

- a result has a hidden sidecar file, ``.NAME.sha256`` (`framesift.storage.files.atomic_write` with `checked`), which
  every reader looks for; a file without one, such as a user's own, is read as it is;
- a line of a journal and a cached value hold the checksum of their content (`framesift.storage.journal`,
  `framesift.storage.cached_values`);
- a file of tensors holds it in its metadata (`framesift.storage.tensors`).

A damaged result is an error; a damaged entry of a cache is recomputed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError


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


def is_intact(path: str | Path) -> bool:
    """Whether a file has the content of its sidecar file, or has no sidecar file."""
    sidecar = sidecar_of(path)
    return not sidecar.is_file() or sidecar.read_bytes().strip() == file_digest(path).encode()


def verify_checksum(path: str | Path) -> None:
    """Reject a result whose content changed after it was written. Whoever reads results does so first.

    Raises
    ------
    DamagedError
        If the content does not match the sidecar file.
    """
    if not is_intact(path):
        raise DamagedError(
            "is damaged, or was edited: it is not what was written",
            file=path,
            expected=f"the SHA-256 in {sidecar_of(path)}",
            hint="remove the file and run again: it is rebuilt from the caches. To use it as it is, remove its .sha256"
            " file instead",
        )
