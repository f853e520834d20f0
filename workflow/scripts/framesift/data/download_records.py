"""Notes about the files that were downloaded into a dataset's folder: what each was, and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from framesift.core.errors import InputError
from framesift.storage.files import read_json, write_json

#: Folder within `data_dir` that holds them.
RECORDS = ".framesift"


class DownloadRecord(BaseModel):
    """One downloaded file.

    Attributes
    ----------
    repo, revision : str
        Repository and commit.
    source : dict
        Path in the repository and digest of the file, or of each part of the archive, that it came from.
    size, mtime_ns : int
        Of the file, right after it was written.
    sha256 : str
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str
    revision: str
    source: dict[str, str]
    size: int
    mtime_ns: int
    sha256: str

    def fits(self, path: Path) -> bool:
        """Whether size and date of the file are still the same."""
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)


def read_download_record(data_dir: Path, path: Path) -> DownloadRecord | None:
    """The note about a file; None for one that we did not download."""
    if not path.is_relative_to(data_dir):
        return None
    note = _place(data_dir, path)
    try:
        return DownloadRecord(**read_json(note)) if note.is_file() else None
    except (InputError, ValidationError, TypeError):
        return None  # damaged, or written by another version: the file counts as the user's own


def write_download_record(data_dir: Path, path: Path, note: DownloadRecord) -> None:
    write_json(_place(data_dir, path), note.model_dump())


def remove_download_record(data_dir: Path, path: Path) -> None:
    _place(data_dir, path).unlink(missing_ok=True)


def user_changes(data_dir: Path, paths: list[Path]) -> dict[str, Any]:
    """Size and date of the files that are not, or no longer, what was downloaded.

    Downloading changes nothing about this, so it tells what a user changed from what a download did.
    """
    return {
        path.as_posix(): [path.stat().st_size, path.stat().st_mtime_ns]
        for path in paths
        if path.is_file() and not ((note := read_download_record(data_dir, path)) and note.fits(path))
    }


def downloaded_files(data_dir: Path, folder: Path) -> list[Path]:
    """Every file below a folder that was downloaded, whether it is still there or not."""
    if not folder.is_relative_to(data_dir):
        return []
    place = _place(data_dir, folder / "x").parent
    return sorted(folder / note.relative_to(place).with_suffix("") for note in place.rglob("*.json"))


def _place(data_dir: Path, path: Path) -> Path:
    return data_dir / RECORDS / f"{path.relative_to(data_dir).as_posix()}.json"
