"""Plug-ins: components outside of Framesift, in installed packages and in folders that the configuration names.

An installed package declares an entry point, whose name is the kind and whose value is the class::

    [project.entry-points."framesift.selectors"]
    mine = "my_package.mine:Mine"

A folder has a folder for each family, and in it one file for each kind: ``my_folder/selectors/mine.py``. Files whose
names start with an underscore are for the others to import (``from ._shared import ...``).

Nothing is imported to find out what there is.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from framesift.core.errors import InputError
from framesift.core.spec import spec_id

#: The environment variable with the folders of plug-ins. Jobs inherit it, and in their own process read the same.
VARIABLE = "FRAMESIFT_PLUGINS"
_KIND = re.compile(r"[a-z0-9][a-z0-9_]*")


@dataclass(frozen=True)
class Plugin:
    """One component outside of Framesift, before it is imported.

    Attributes
    ----------
    kind : str
        The name that a configuration uses.
    module : str
        The module that defines it.
    attribute : str
        The name of its class in the module; empty for the only component of the module.
    origin : str
        Where it comes from, for people: ``package my-package 1.0`` or ``folder plugins``.
    file : path or None
        The file of the module, where it is known.
    """

    kind: str
    module: str
    attribute: str
    origin: str
    file: Path | None

    def load(self) -> Any:
        """Import the module, or its attribute.

        Raises
        ------
        InputError
            If that fails for any reason, with package, file and what went wrong.
        """
        try:
            loaded: Any = importlib.import_module(self.module)
            for name in self.attribute.split(".") if self.attribute else ():
                loaded = getattr(loaded, name)
        except (Exception, SystemExit) as error:  # whatever somebody else's code raises
            raise self.error(f"cannot be imported: {type(error).__name__}: {error}") from error
        return loaded

    def error(self, problem: str, expected: str | None = None, hint: str | None = None) -> InputError:
        """An error of this plug-in, with its package and file."""
        return InputError(
            f"plug-in {self.kind!r} of {self.origin} {problem}", file=self.file, expected=expected, hint=hint
        )


def use_plugin_folders(folders: Iterable[str | Path]) -> None:
    """Make the components in these folders, and in no others, known to this process and to those that it starts.

    Parameters
    ----------
    folders : iterable of path
        Relative to the working folder.

    """
    os.environ[VARIABLE] = os.pathsep.join(os.path.abspath(folder) for folder in folders)


def add_plugin_folder(folder: str) -> None:
    """Make the components in one more folder known.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not Path(folder).is_dir():
        raise InputError("there is no such folder", field="--plugins", value=folder, expected="a folder")
    use_plugin_folders([*filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)), folder])


def plugins(family: str) -> dict[str, list[Plugin]]:
    """The components of a family outside of Framesift, by kind. Several of one kind clash."""
    return _plugins(family, os.environ.get(VARIABLE, ""), tuple(sys.path))


@cache
def _plugins(family: str, folders: str, _path: tuple[str, ...]) -> dict[str, list[Plugin]]:
    found: dict[str, list[Plugin]] = {}
    installed = sorted(entry_points(group=f"framesift.{family}"), key=lambda point: (point.name, point.value))
    for plugin in (
        *map(_of_package, installed),
        *(one for folder in folders.split(os.pathsep) if folder for one in _in_folder(Path(folder), family)),
    ):
        found.setdefault(plugin.kind, []).append(plugin)
    return found


def _of_package(point: EntryPoint) -> Plugin:
    origin = f"package {point.dist.name} {point.dist.version}" if point.dist else "a package"
    return Plugin(point.name, point.module, point.attr, origin, _file_of(point.module))


def _file_of(module: str) -> Path | None:
    """The file of an installed module, found without importing anything."""
    top, *rest = module.split(".")
    spec = PathFinder.find_spec(top)
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        top = f"{top}.{part}"
        spec = PathFinder.find_spec(top, list(spec.submodule_search_locations))
    return Path(spec.origin) if spec and spec.origin else None


def _in_folder(folder: Path, family: str) -> list[Plugin]:
    package = f"framesift_plugins_{spec_id(str(folder))}"
    if package not in sys.modules:  # so that files import each other by `from ._shared import ...`
        made = ModuleType(package)
        made.__path__ = [str(folder)]
        sys.modules[package] = made
    return [
        Plugin(file.stem, f"{package}.{family}.{file.stem}", "", f"folder {_shown(folder)}", file)
        for file in sorted((folder / family).glob("*.py"))
        if not file.name.startswith("_")
    ]


def _shown(folder: Path) -> str:
    here = Path.cwd()
    return folder.relative_to(here).as_posix() if folder.is_relative_to(here) else str(folder)


def usable_kind(kind: str) -> bool:
    """Whether a name can be a kind: kinds become parts of file names.

    Examples
    --------
    >>> usable_kind("my_method"), usable_kind("My-Method")
    (True, False)
    """
    return _KIND.fullmatch(kind) is not None
