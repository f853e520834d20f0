"""Texts and packed files that strangers wrote, read without harm: bounded in size and depth, and JSON only as JSON."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError, dotted

#: Bytes of the largest file, after unpacking, that is read into memory as a whole.
MAX_BYTES = 1 << 30
#: Levels of lists and mappings within each other.
MAX_DEPTH = 64
#: Values in one structure, what several places share counted at each of them.
MAX_VALUES = 5_000_000

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def read_bytes(path: str | Path, largest: int = MAX_BYTES) -> bytes:
    """The content of a file, unpacked where it is packed with gzip.

    Raises
    ------
    InputError
        For a file that cannot be read, is damaged, or holds more than `largest` bytes.
    """
    path = Path(path)
    try:
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
    """The content of a UTF-8 file, unpacked where it is packed with gzip; line ends are left as they are.

    Raises
    ------
    InputError
        As `read_bytes`, and for bytes that are no UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"is no UTF-8 ({error})", file=path) from None


def parse_json(text: str | bytes, *, lenient: bool = False) -> Any:
    """The value of a JSON text.

    Python's reader also takes what is no JSON (NaN, a key that stands twice, half a character), and fails in several
    ways on what is too deep or too large.

    Parameters
    ----------
    text : str or bytes
    lenient : bool
        Take NaN and infinities, which Python programs write, for null, and half a character for a question mark.

    Raises
    ------
    ValueError
        For a text that is no JSON, or more than 64 levels deep.
    """

    def constant(name: str) -> None:
        if not lenient:
            raise ValueError(f"{name} is no JSON; a value that is not there is null")

    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        value = json.loads(text, parse_constant=constant, object_pairs_hook=_unique)
        if _is_deep(value):
            raise RecursionError
        if _SURROGATE.search(text):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace" if lenient else "strict"))
    except RecursionError:
        raise ValueError(f"more than {MAX_DEPTH} levels deep") from None
    except UnicodeEncodeError:
        raise ValueError("a \\u escape that is half a character") from None
    return value


def check_plain(value: Any, most: int = MAX_VALUES) -> None:
    """Refuse what JSON cannot hold: numbers that are not finite, dates, bytes, keys that are no text, cycles.

    Raises
    ------
    ValueError
        Which says where.
    """
    todo: list[tuple[Any, tuple[Any, ...]]] = [(value, ())]
    seen = 0
    while todo:
        item, place = todo.pop()
        seen += 1
        if seen > most:
            raise ValueError(f"more than {most:,} values, those counted twice that are named twice")
        if len(place) > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels deep")
        if isinstance(item, Mapping):
            todo.extend((one, (*place, key)) for key, one in item.items())
            if odd := next((key for key in item if not isinstance(key, str) or not _is_text(key)), None):
                raise ValueError(f"{_before(place)}the key {str(odd)[:80]!r} is no text")
        elif isinstance(item, list | tuple):
            todo.extend((one, (*place, number)) for number, one in enumerate(item))
        elif problem := _problem(item):
            raise ValueError(f"{_before(place)}{problem}")


def _problem(item: Any) -> str | None:
    if isinstance(item, str):
        return None if _is_text(item) else "half a character (a lone surrogate)"
    if isinstance(item, float):
        return None if math.isfinite(item) else f"{item} is no finite number"
    if item is None or isinstance(item, bool):
        return None
    if isinstance(item, int):
        return None if -(1 << 63) <= item < 1 << 63 else f"a whole number of {item.bit_length()} bits"
    return f"{type(item).__name__} is neither text nor number, list or mapping"


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
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
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
