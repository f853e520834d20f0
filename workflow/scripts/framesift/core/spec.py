"""Specs: the exact slice of the configuration that a step depends on, and the ids made from it.

Snakemake compares the values of a rule's parameters to decide what reruns. It ignores types it does not know and the
names of parameters, and takes another key order for a change. One parameter holding canonical JSON has none of these
faults, so every rule takes its configuration as one such string.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

ID_LENGTH = 12


class Frozen(BaseModel):
    """Settings, or a record: immutable, and without fields that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def not_in_spec(**extra: Any) -> dict[str, Any]:
    """Mark a field (labels, colours, batch sizes ...) that never changes a result and so never causes a rerun."""
    return {"spec": False, **extra}


def spec_of(model: BaseModel) -> dict[str, Any]:
    """The fields of `model` that decide its results, as plain types (fields marked `not_in_spec` are left out).

    Examples
    --------
    >>> from pydantic import Field
    >>> class Method(BaseModel):
    ...     power: float = 2.0
    ...     label: str = Field(default="", json_schema_extra=not_in_spec())
    >>> spec_of(Method(label="ours"))
    {'power': 2}
    """
    spec: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("spec") is False:
            continue
        value = getattr(model, name)
        spec[name] = spec_of(value) if isinstance(value, BaseModel) else value
    return plain(spec)


def plain(value: Any) -> Any:
    """`value` as dicts, lists, strings, numbers, booleans and None; paths become POSIX strings, tuples lists.

    Examples
    --------
    >>> plain({"folder": Path("a/b"), "budgets": (8.0, 16)})
    {'folder': 'a/b', 'budgets': [8, 16]}
    """
    if isinstance(value, BaseModel):
        return spec_of(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 8 and 8.0 are the same setting
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a spec holds plain values only, not {type(value).__name__}: {value!r}")


def canonical_json(value: Any) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, plain types. NaN and infinity are refused.

    Examples
    --------
    >>> canonical_json({"kind": "aks", "budget": 8.0})
    '{"budget":8,"kind":"aks"}'
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def spec_digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value, in hexadecimal; half a surrogate pair counts as a question mark.

    Examples
    --------
    >>> spec_digest({"budget": 8, "kind": "aks"}) == spec_digest({"kind": "aks", "budget": 8.0})
    True
    """
    return hashlib.sha256(canonical_json(value).encode("utf-8", "replace")).hexdigest()


def spec_id(value: Any) -> str:
    """Twelve hexadecimal digits that name a spec.

    Examples
    --------
    >>> spec_id({"kind": "aks"})
    'e0cc516c51e8'
    """
    return spec_digest(value)[:ID_LENGTH]
