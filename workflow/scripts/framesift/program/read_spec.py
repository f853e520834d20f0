"""Specs on a command line."""

from __future__ import annotations

from typing import Any

from framesift.core.errors import InputError
from framesift.storage.untrusted import parse_json, read_text


def read_spec(text: str) -> dict[str, Any]:
    """A spec given on a command line.

    Parameters
    ----------
    text : str
        A JSON object, or ``@file.json``.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> read_spec('{"shards": 4}')
    {'shards': 4}
    """
    try:
        spec = parse_json(read_text(text[1:]) if text.startswith("@") else text)
    except InputError as error:
        raise InputError(f"--spec: {error}") from None
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", field="--spec", value=text, expected="a JSON object") from None
    if not isinstance(spec, dict):
        raise InputError("is not a JSON object", field="--spec", value=text)
    return spec
