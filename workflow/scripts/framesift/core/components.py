"""Components: the parts a user chooses by name, each one file with one class.

A family (`selectors`, `scorers`, `encoders`, `answerers`, `datasets`) is a package whose `__init__` defines a small
contract. Each module in it that does not start with an underscore is one implementation: the module's name is the
`kind` that a configuration names, the class's fields are its parameters. The class says everything about it, so adding
a file adds the kind. Classes of installed packages, and of folders that the configuration names, are members too
(`framesift.core.plugins`).
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field
from pydantic_core import PydanticUndefined

from framesift.core.errors import InputError, did_you_mean, validated
from framesift.core.plugins import Plugin, plugins, usable_kind
from framesift.core.spec import Frozen, not_in_spec, spec_of

log = logging.getLogger("framesift")

#: Where Framesift's own implementations of each family are.
FAMILIES = {
    "datasets": "framesift.data.benchmarks",
    "encoders": "framesift.scoring.encoders",
    "scorers": "framesift.scoring.scorers",
    "selectors": "framesift.selection.selectors",
    "answerers": "framesift.answering.answerers",
}
#: The class, in that package, that every plug-in of a family derives from.
CONTRACTS = {
    "datasets": "Dataset",
    "encoders": "Encoder",
    "scorers": "Scorer",
    "selectors": "Selector",
    "answerers": "Answerer",
}


#: Families with one set of names: a table's `encoder` is one of either.
_SHARED = ("scorers", "encoders")
#: The forms of checkpoints.
CheckpointForm = Literal["transformers", "torch", "composed", "none"]


class Work(NamedTuple):
    """What texts call a component, and the BibTeX keys of the works to cite for it."""

    title: str
    cites: tuple[str, ...] = ()


class Component(Frozen):
    """One configured implementation. Its fields are its parameters; it is immutable and cheap to make."""

    #: What texts call it, such as "AKS". Each class has its own; that of a base class does not count.
    title: ClassVar[str] = ""
    #: BibTeX keys of the works to cite for it.
    cites: ClassVar[tuple[str, ...]] = ()
    #: BibTeX entries of works that papers/references.bib does not have.
    bibtex: ClassVar[str] = ""
    #: Raise this when the output changes for the same input: costly results are identified by it. None, the default of
    #: a component outside of Framesift: they are identified by the digest of its code. That of a base class does not
    #: count.
    version: ClassVar[int | None] = None
    #: The form of its checkpoint, which decides what could run while it loads: `transformers`, a folder that may hold
    #: Python files and pickles; `torch`, a pickle; `composed`, several checkpoints; or `none`. None of it ever runs.
    checkpoint: ClassVar[CheckpointForm] = "none"

    kind: str
    label: str | None = Field(
        default=None,
        description="Name shown in tables; changing it reruns nothing but tables.",
        json_schema_extra=not_in_spec(),
    )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.title = vars(cls).get("title", "")
        cls.version = vars(cls).get("version")

    def spec(self) -> dict[str, Any]:
        """The parameters that decide results, as plain types."""
        return spec_of(self)

    @property
    def module(self) -> str:
        """The module that implements this component (for code digests)."""
        return type(self).__module__

    @property
    def class_file(self) -> Path:
        """The file that implements this component."""
        return Path(inspect.getfile(type(self)))

    @classmethod
    def work(cls, spec: Mapping[str, Any]) -> Work:
        """Title and works to cite, given its parameters: some kinds cover several works."""
        return Work(cls.title or str(spec.get("kind")), cls.cites)


@cache
def own_kinds(family: str) -> tuple[str, ...]:
    """Names of Framesift's own implementations of a family."""
    folder = Path(__file__).parents[2].joinpath(*FAMILIES[family].split("."))
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


def kinds(family: str) -> tuple[str, ...]:
    """Names of the implementations of a family, plug-ins included."""
    return tuple(sorted({*own_kinds(family), *plugins(family)}))


def module_of(family: str, kind: str) -> str:
    """The module of an implementation; nothing is imported.

    Examples
    --------
    >>> module_of("selectors", "aks")
    'framesift.selection.selectors.aks'
    """
    return f"{FAMILIES[family]}.{kind}" if kind in own_kinds(family) else plugins(family)[kind][0].module


def own(family: str) -> list[type[Component]]:
    """The classes of Framesift's own implementations of a family."""
    return [_own(family, kind) for kind in own_kinds(family)]


def plugged(family: str) -> list[type[Component]]:
    """The classes of all plug-ins of a family. One that cannot be used costs a warning."""
    found = []
    for kind in plugins(family):
        try:
            found.append(implementation(family, kind))
        except InputError as error:
            log.warning("%s", error)
    return found


def implementation(family: str, kind: str) -> type[Component]:
    """The class that implements `kind`.

    Raises
    ------
    InputError
        For an unknown name, for a name that two components have, and for a plug-in that cannot be used.

    Examples
    --------
    >>> implementation("selectors", "aks").title
    'AKS'
    """
    outside = plugins(family).get(kind, [])
    places = [
        place
        for one in (_SHARED if family in _SHARED and kind in kinds(family) else (family,))
        for place in (
            *(["Framesift"] if kind in own_kinds(one) else []),
            *(f"{plugin.origin} ({plugin.file})" for plugin in plugins(one).get(kind, ())),
        )
    ]
    if len(places) > 1:
        raise InputError(
            f"the kind {kind!r} is defined by {' and by '.join(places)}",
            field=family,
            expected="one definition of each kind",
            hint="rename one, or remove it",
        )
    if not places:
        raise InputError(
            f"there is no such kind of {family.removesuffix('s')}",
            field="kind",
            value=kind,
            expected=f"one of {', '.join(kinds(family))}",
            hint=did_you_mean(kind, kinds(family)),
        )
    return _plugged(family, outside[0]) if outside else _own(family, kind)


def _own(family: str, kind: str) -> type[Component]:
    [cls] = _components(importlib.import_module(f"{FAMILIES[family]}.{kind}"))
    return cls


def _components(module: ModuleType) -> list[type[Component]]:
    """The components that a module defines."""
    return [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Component) and item.__module__ == module.__name__
    ]


@cache
def _plugged(family: str, plugin: Plugin) -> type[Component]:
    """The class of a plug-in, checked against the contract of its family."""
    contract = getattr(importlib.import_module(FAMILIES[family]), CONTRACTS[family])
    if not usable_kind(plugin.kind):
        raise plugin.error("has a name that cannot be a kind", "lower-case letters, digits and underscores")
    cls = plugin.load()
    if isinstance(cls, ModuleType):
        defined = _components(cls)
        if len(defined) != 1:
            names = ", ".join(one.__name__ for one in defined) or "none"
            raise plugin.error(f"must define exactly one component, not {names}", f"one subclass of {_name(contract)}")
        cls = defined[0]
    if not (isinstance(cls, type) and issubclass(cls, Component) and issubclass(cls, contract)):
        found = getattr(cls, "__name__", repr(cls))
        raise plugin.error(f"is not one of the {family}: found {found}", f"a subclass of {_name(contract)}")
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        methods = " and ".join(f"{name}{inspect.signature(getattr(cls, name))}" for name in missing)
        raise plugin.error(f"does not define all methods: {cls.__name__} has no {', '.join(missing)}", methods)
    if (kind := cls.model_fields["kind"].default) != plugin.kind:
        found = "not set" if kind is PydanticUndefined else repr(kind)
        expected = f'kind: Literal["{plugin.kind}"] = "{plugin.kind}"'
        raise plugin.error(f"has another kind than its name: {cls.__name__}.kind is {found}", expected)
    return cls


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__name__}"


def build(family: str, spec: dict[str, Any]) -> Any:
    """Make the component that a spec describes; the kind decides the class, its fields are validated.

    Examples
    --------
    >>> build("selectors", {"kind": "aks", "s_thr": 0.6}).s_thr
    0.6
    """
    return validated(implementation(family, str(spec.get("kind"))), spec, f"{family} {spec.get('kind')}")
