"""Where files are: those that come with Framesift, and the project that a file belongs to."""

from __future__ import annotations

import os
from pathlib import Path

from framesift.core.errors import InputError

#: The library's own folder.
LIBRARY = Path(__file__).resolve().parents[1]


def roots() -> list[Path]:
    """Folders that may hold files of Framesift, in the order in which `find` looks into them.

    Returns
    -------
    list of Path
        The working folder, then the checkout that the library is in or, for an installed library, its package data.
    """
    checkout = LIBRARY.parents[2]
    own = checkout if (checkout / "Snakefile").is_file() else LIBRARY / "shared"
    return [Path.cwd(), own]


def project_of(path: str | Path) -> Path:
    """The project that a file or folder is in, from `path` upward: the nearest folder with a Snakefile, or one that the
    workflow has worked in.

    Raises
    ------
    InputError
        If there is none.
    """
    place = Path(os.path.abspath(path))
    for folder in (place, *place.parents):
        if any((folder / mark).is_file() for mark in ("Snakefile", "results/framesift.json")):
            return folder
    raise InputError(
        "is not in a project", file=path, expected="a path in a folder with a Snakefile or results/framesift.json"
    )


def find(relative: str | Path) -> Path:
    """A file or folder that comes with Framesift, or the user's own at the same place.

    Parameters
    ----------
    relative : str or Path
        Its path in the project, such as ``resources/demo/clip`` or ``config/schema.json``.

    Returns
    -------
    Path
        The first that exists: in the working folder, in the checkout of the library, in the installed package.

    Raises
    ------
    InputError
        If none of these places has it.

    Examples
    --------
    >>> find("config/schema.json").name
    'schema.json'
    """
    places = [root / relative for root in roots()]
    for place in places:
        if place.exists():
            return place
    raise InputError(
        "is neither in the working folder nor among the files of Framesift",
        file=relative,
        expected=f"one of {', '.join(map(str, places))}",
    )
