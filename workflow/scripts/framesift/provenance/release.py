"""The release of Framesift that results were last made with: an older one must not change them without a word."""

from __future__ import annotations

from pathlib import Path

import framesift
from framesift.core.errors import InputError
from framesift.storage.files import read_json, write_json

#: Beside the results, relative to the working folder.
FILE = Path("results/framesift.json")


def check_release(root: Path = Path()) -> None:
    """Refuse results that a newer release has made or changed.

    Parameters
    ----------
    root : path
        The working folder.

    Raises
    ------
    InputError
        If the results name a newer release than this one.
    """
    file = root / FILE
    if not file.is_file():
        return
    found = read_json(file)
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(version, str) or _parts(version) > _parts(framesift.__version__):
        raise InputError(
            "these results were made by a newer Framesift, which may identify them in another way",
            file=file,
            field="version",
            value=version,
            expected=f"{framesift.__version__} or older",
            hint="update Framesift, or work in another folder; delete the file to have this release make what it needs",
        )


def note_release(root: Path = Path()) -> None:
    """Write down that this release works on the results."""
    file = root / FILE
    if not file.is_file() or read_json(file) != {"version": framesift.__version__}:
        file.parent.mkdir(exist_ok=True)
        write_json(file, {"version": framesift.__version__}, checked=True)


def _parts(version: str) -> list[int]:
    """The numbers of a release, for comparisons: ``0.10.1`` is newer than ``0.9``."""
    return [int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")]
