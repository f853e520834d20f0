"""Read texts, gzip and JSON that others wrote: bounded in size and depth, and only valid JSON."""

from __future__ import annotations

import gzip
import json
import math
import re
import stat
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError, dotted
from framesift.storage.checksums import verify_checksum

#: Bytes of the largest file, after unpacking, that is read into memory.
MAX_BYTES = 1 << 30
#: Levels of lists and mappings within each other.
MAX_DEPTH = 64
#: Values in one structure; a value that several places share counts at each of them.
MAX_VALUES = 5_000_000

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def check_regular(path: str | Path) -> None:
    """Reject what is there but is not a regular file: reading a named pipe would wait for a writer.

    Raises
    ------
    InputError
        For a pipe, a socket or a device.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return  # reading it says why
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError("is not a regular file", file=path, expected="a file, not a pipe or a device")


def read_bytes(path: str | Path, largest: int = MAX_BYTES) -> bytes:
    """The content of a file, unpacked if it is gzip.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged, holds more than `largest` bytes, or is a result that changed after it
        was written.
    """
    path = Path(path)
    check_regular(path)
    try:
        verify_checksum(path)
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            source: Any = gzip.GzipFile(fileobj=file) if packed else file
            content: bytes = source.read(largest + 1)
    except (OSError, EOFError, zlib.error, ValueError) as error:  # ValueError: a name with a NUL
        raise InputError(f"cannot be read ({getattr(error, 'strerror', None) or error})", file=path) from None
    if len(content) > largest:
        raise InputError("is too large to be read", file=path, expected=f"at most {largest:,} bytes, unpacked")
    return content


def read_text(path: str | Path) -> str:
    """The content of a UTF-8 file, unpacked if it is gzip; line ends are not changed.

    Raises
    ------
    InputError
        As `read_bytes`, and for bytes that are not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 ({error})", file=path) from None


def parse_json(text: str | bytes, *, lenient: bool = False) -> Any:
    """The value of a JSON text.

    Python's parser also accepts invalid JSON (NaN, a repeated key, half a surrogate pair), and fails in several ways
    on a text that is too deep or too large. A byte order mark at the beginning is ignored.

    Parameters
    ----------
    text : str or bytes
    lenient : bool
        Read NaN and infinities, which Python programs write, as null, and half a surrogate pair as a question mark.

    Raises
    ------
    ValueError
        If the text is not JSON, or more than 64 levels deep.

    Examples
    --------
    >>> parse_json('{"budget": 8}')
    {'budget': 8}
    >>> parse_json("[NaN]", lenient=True)
    [None]
    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' comes twice
    """

    def constant(name: str) -> None:
        if not lenient:
            raise ValueError(f"{name} is not JSON; write null for a missing value")

    try:
        text = (text if isinstance(text, str) else text.decode("utf-8")).removeprefix("\ufeff")
        value = json.loads(text, parse_constant=constant, object_pairs_hook=_unique)
        if _is_deep(value):
            raise RecursionError
        if _SURROGATE.search(text):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace" if lenient else "strict"))
    except RecursionError:
        raise ValueError(f"more than {MAX_DEPTH} levels deep") from None
    except UnicodeEncodeError:
        raise ValueError("a \\u escape that is half a surrogate pair") from None
    return value


def check_plain(value: Any, most: int = MAX_VALUES) -> None:
    """Reject values that JSON cannot hold: numbers that are not finite, dates, bytes, keys that are not text, cycles.

    Raises
    ------
    ValueError
        With the place of the value.

    Examples
    --------
    >>> check_plain({"budgets": [8, 16]})
    >>> check_plain({"budgets": [8, float("nan")]})
    Traceback (most recent call last):
    ValueError: budgets[1]: nan is not a finite number
    """
    todo: list[tuple[Any, tuple[Any, ...]]] = [(value, ())]
    seen = 0
    while todo:
        item, place = todo.pop()
        seen += 1
        if seen > most:
            raise ValueError(f"more than {most:,} values, counting shared ones at each place")
        if len(place) > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels deep")
        if isinstance(item, Mapping):
            todo.extend((one, (*place, key)) for key, one in item.items())
            if odd := next((key for key in item if not isinstance(key, str) or not _is_text(key)), None):
                raise ValueError(f"{_before(place)}the key {str(odd)[:80]!r} is not text")
        elif isinstance(item, list | tuple):
            todo.extend((one, (*place, number)) for number, one in enumerate(item))
        elif problem := _problem(item):
            raise ValueError(f"{_before(place)}{problem}")


def _problem(item: Any) -> str | None:
    if isinstance(item, str):
        return None if _is_text(item) else "half a surrogate pair"
    if isinstance(item, float):
        return None if math.isfinite(item) else f"{item} is not a finite number"
    if item is None or isinstance(item, bool):
        return None
    if isinstance(item, int):
        return None if -(1 << 63) <= item < 1 << 63 else f"an integer of {item.bit_length()} bits"
    return f"{type(item).__name__} is not text, a number, a list or a mapping"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} comes twice")
    return made


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [one for items in inner for one in items if isinstance(one, dict | list)]
        if not level:
            return False
    return True


def _before(place: Sequence[Any]) -> str:
    path = dotted(place)
    return f"{path[:200]}: " if path else ""
