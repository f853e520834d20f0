"""Components: the parts a user chooses by name, each one file with one class.

A family (`selectors`, `scorers`, `encoders`, `answerers`, `datasets`) is a package whose `__init__` defines a small
contract. Each module in it that does not start with an underscore is one implementation: the module's name is the
`kind` that a configuration names, the class's fields are its parameters. There is no list to keep: adding a file adds
the kind.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framesift.core.errors import InputError, did_you_mean, invalid
from framesift.core.spec import not_in_spec, spec_of

#: Where the implementations of each family are.
FAMILIES = {
    "datasets": "framesift.data.benchmarks",
    "encoders": "framesift.scoring.encoders",
    "scorers": "framesift.scoring.scorers",
    "selectors": "framesift.selection.selectors",
    "answerers": "framesift.answering.answerers",
}


class Component(BaseModel):
    """One configured implementation. Its fields are its parameters; it is immutable and cheap to make."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    kind: str
    label: str | None = Field(
        default=None,
        description="Name shown in tables; changing it reruns nothing but tables.",
        json_schema_extra=not_in_spec(),
    )

    def spec(self) -> dict[str, Any]:
        """The parameters that decide results, as plain types."""
        return spec_of(self)

    @property
    def module(self) -> str:
        """The module that implements this component (for code digests)."""
        return type(self).__module__


@cache
def kinds(family: str) -> tuple[str, ...]:
    """Names of the implementations of a family."""
    folder = Path(__file__).parents[2].joinpath(*FAMILIES[family].split("."))
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


def implementation(family: str, kind: str) -> type[Component]:
    """The class that implements `kind`.

    Raises
    ------
    InputError
        For a name that no file of the family has.
    """
    if kind not in kinds(family):
        raise InputError(
            f"there is no such kind of {family.removesuffix('s')}",
            field="kind",
            value=kind,
            expected=f"one of {', '.join(kinds(family))}",
            hint=did_you_mean(kind, kinds(family)),
        )
    module = importlib.import_module(f"{FAMILIES[family]}.{kind}")
    classes = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Component) and item.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise ImportError(f"{module.__name__} must define exactly one component, not {len(classes)}")
    return classes[0]


def build(family: str, spec: dict[str, Any]) -> Any:
    """Make the component that a spec describes; the kind decides the class, its fields are validated."""
    cls = implementation(family, str(spec.get("kind")))
    try:
        return cls.model_validate(spec)
    except ValidationError as error:
        raise invalid(error, f"{family} {spec['kind']}") from None
