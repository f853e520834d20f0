"""Every key of the configuration, from its models, and for each another value that it may have."""

from __future__ import annotations

import itertools
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from framesift.config.models import Config
from framesift.core.components import FAMILIES, implementation, kinds


class Key(typing.NamedTuple):
    """One key.

    Attributes
    ----------
    name : str
        As the manual writes it: ``selectors.aks.s_thr`` for a parameter of one kind, ``selectors.*.label`` for one that
        several kinds inherit, ``tables.*.budgets`` where entries have names. Of what may be one of several models, the
        kind or the stage that has the key stands in brackets: ``trained.*.stages[2].lora.r``.
    section : str
        Key of the first level.
    kind : str or None
        A kind that has it.
    path : tuple of str
        The keys below the section, and below the name of an entry; ``*`` for the name of an entry further down.
    field : FieldInfo
    """

    name: str
    section: str
    kind: str | None
    path: tuple[str, ...]
    field: Any


def keys() -> dict[str, Key]:
    """By name. A key that can have one value only is none that anyone can change, and left out."""
    found = {key.name: key for key in _keys()}
    return {name: key for name, key in found.items() if _choices(key.field.annotation) != 1}


def _keys() -> Iterator[Key]:
    for section, field in Config.model_fields.items():
        if section in FAMILIES:
            for kind in reversed(kinds(section)):  # so that of those who share a key the first one stays
                cls = implementation(section, kind)
                for path, inner in _fields(cls):
                    if path != ("kind",):
                        yield Key(f"{section}.{_owner(cls, path[0])}.{'.'.join(path)}", section, kind, path, inner)
            continue
        model = _model(field.annotation)
        if model is None:
            yield Key(section, section, None, (), field)
            continue
        named = "*." if typing.get_origin(field.annotation) is dict else ""
        for path, inner in _fields(model):
            yield Key(f"{section}.{named}{'.'.join(path)}", section, None, path, inner)


def _owner(cls: type[BaseModel], name: str) -> str:
    """``*`` for a field that means the same in a base class, else the kind."""
    for base in cls.__mro__[1:]:
        if issubclass(base, BaseModel) and name in base.model_fields:
            if base.model_fields[name].json_schema_extra == cls.model_fields[name].json_schema_extra:
                return "*"
            break
    return str(cls.model_fields["kind"].default)


def _fields(model: type[BaseModel]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in model.model_fields.items():
        if inner := _model(field.annotation):
            steps = (name, "*") if typing.get_origin(field.annotation) is dict else (name,)
            yield from (((*steps, *path), deeper) for path, deeper in _fields(inner))
            continue
        yield (name,), field
        for variant in _variants(field.annotation):
            tag = variant.model_fields["kind" if "kind" in variant.model_fields else "stage"].default
            yield from (((f"{name}[{tag}]", *path), deeper) for path, deeper in _fields(variant))


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) is dict:
        return _model(typing.get_args(annotation)[-1])
    if typing.get_origin(annotation) is types.UnionType and type(None) in (parts := typing.get_args(annotation)):
        return _model(parts[0])  # a section that may be absent
    return None


def _variants(annotation: Any) -> list[type[BaseModel]]:
    """The models of which a value, or each one of a list, may be one."""
    if typing.get_origin(annotation) is tuple:
        annotation = typing.get_args(annotation)[0]
    found = [part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    return [part for part in found if part.model_fields.keys() & {"kind", "stage"}]


def _parts(annotation: Any) -> list[Any]:
    """The alternatives of a union, without what is only a constraint."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _parts(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return list(itertools.chain.from_iterable(_parts(part) for part in typing.get_args(annotation)))
    return [annotation]


def _choices(annotation: Any) -> int | None:
    """How many values there are, where that is known."""
    parts = _parts(annotation)
    if all(typing.get_origin(part) is typing.Literal for part in parts):
        return sum(len(typing.get_args(part)) for part in parts)
    return None


def other_values(field: Any) -> list[Any]:
    """Values that differ from the default; not all need be allowed."""
    default = None if field.default is PydanticUndefined else field.default
    values: list[Any] = []
    for part in _parts(field.annotation):
        if typing.get_origin(part) is typing.Literal:
            values += typing.get_args(part)
        elif part is bool:
            values.append(not default)
        elif part in (int, float):
            values += (default + 1, default + 2, default / 2) if default is not None else (1, 2, 0.5)
        elif part in (str, Path):
            values.append(f"{default or ''}x")
    return [value for value in values if value != default]
