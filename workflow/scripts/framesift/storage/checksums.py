"""Results that are checked when they are read: beside each lies its digest, in a hidden file.

Snakemake looks at the dates of files, and takes what is there for what a job wrote. A bit that a disk loses, or a copy
that was cut off, would go on into the table. A file without a seal (a user's own, say) is read as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError
from framesift.storage.files import atomic_write, file_digest, json_text, read_json, write_text


def checksum_path(path: str | Path) -> Path:
    """Where the digest of a file lies."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


def checked_path(seal: Path) -> Path:
    """The file that a seal belongs to."""
    return seal.with_name(seal.name.removeprefix(".").removesuffix(".sha256"))


@contextmanager
def atomic_write_checked(path: str | Path) -> Iterator[Path]:
    """As `files.whole`, with a seal. A process killed between the two leaves a file that is refused."""
    with atomic_write(path) as temporary:
        yield temporary
        write_text(checksum_path(path), file_digest(temporary) + "\n")


def is_intact(path: str | Path) -> bool:
    """Whether a file is what was written, as far as its seal tells."""
    seal = checksum_path(path)
    return not seal.is_file() or seal.read_bytes().strip() == file_digest(path).encode()


def verify_checksum(path: str | Path) -> None:
    """Refuse a file that is not what was written.

    Raises
    ------
    InputError
        With what to do about it.
    """
    if not Path(path).is_file():
        raise InputError("there is no such file", file=path)
    if not is_intact(path):
        raise InputError(
            "is damaged, or was changed: it is not what was written",
            file=path,
            expected=f"the SHA-256 in {checksum_path(path)}",
            hint="remove the file and run again: it is made anew from what is cached. To use it as it is, remove its"
            " seal instead",
        )


def write_checked(path: str | Path, value: Any) -> None:
    """As `framesift.storage.files.write_json`, with a seal."""
    with atomic_write_checked(path) as temporary:
        temporary.write_text(json_text(value))


def read_checked(path: str | Path) -> Any:
    """As `framesift.storage.files.read_json`, of a file that must be what was written."""
    verify_checksum(path)
    return read_json(path)
