"""Specs and settings on a command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from framesift.core.errors import InputError
from framesift.storage.untrusted import parse_json, read_text


class Spec(dict[str, Any]):
    """A spec; a key that it does not have is a mistake of whoever wrote it."""

    def __missing__(self, key: str) -> Any:
        raise InputError("is missing", field=f"--spec: {key}", hint="Snakemake prints the spec of a job with -p")


def read_spec(text: str) -> dict[str, Any]:
    """A spec given on a command line.

    Parameters
    ----------
    text : str
        A JSON object, or ``@file.json``.

    Raises
    ------
    InputError
        If it is neither. The spec raises it too, for a key that it does not have.

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
    return Spec(spec)


def read_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Settings given on a command line as ``KEY=VALUE``; a value is JSON, or else a text.

    Examples
    --------
    >>> read_settings(["s_thr=0.6", "variant=released"])
    {'s_thr': 0.6, 'variant': 'released'}
    """
    settings = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise InputError("is not a setting", field="--set", value=text, expected="KEY=VALUE")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            settings[key] = value
    return settings
