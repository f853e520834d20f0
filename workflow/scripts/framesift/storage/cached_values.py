"""Plain values in a cache, one file each: what was found out about a file, such as its digest."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError
from framesift.storage.checksums import file_digest, json_digest
from framesift.storage.files import read_json, write_json

log = logging.getLogger("framesift")


def write_cached(entry: Path, value: Any) -> None:
    """Store a plain value, with its checksum."""
    write_json(entry, {"sha256": json_digest(value), "value": value})


def read_cached(entry: Path) -> Any:
    """A stored value; None if there is none, or it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     entry = Path(folder, "digest.json")
    ...     print(read_cached(entry))
    ...     write_cached(entry, "1f2e")
    ...     print(read_cached(entry))
    None
    1f2e
    """
    if not entry.is_file():
        return None
    try:
        content = read_json(entry)
        if content["sha256"] == json_digest(content["value"]):
            return content["value"]
    except (InputError, KeyError, TypeError):
        pass
    log.warning("%s is damaged; its value is computed again", entry)
    return None


def cached_digest(path: str | Path, cache: Path | None) -> str:
    """SHA-256 of the content of a file.

    Parameters
    ----------
    path : path
    cache : path, optional
        Folder that remembers the digest by path, size and modification time of the file.
    """
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
