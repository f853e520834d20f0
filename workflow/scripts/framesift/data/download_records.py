"""Records of the files that were downloaded into a dataset's folder: what each was, and where it came from.

They distinguish a user's files and edits from downloads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from framesift.core.errors import InputError
from framesift.remote.hub import offline
from framesift.storage.files import read_json, write_json

#: Folder within `data_dir` that holds the records.
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
        Of its content.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str
    revision: str
    source: dict[str, str]
    size: int
    mtime_ns: int
    sha256: str

    def matches(self, path: Path) -> bool:
        """Whether the file still has the same size and date."""
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)


def read_download_record(data_dir: Path, path: Path) -> DownloadRecord | None:
    """The record of a file; None if Framesift did not download it."""
    if not path.is_relative_to(data_dir):
        return None
    record = _record_path(data_dir, path)
    try:
        return DownloadRecord(**read_json(record)) if record.is_file() else None
    except (InputError, ValidationError, TypeError):
        return None  # damaged, or written by another version: the file counts as the user's own


def write_download_record(data_dir: Path, path: Path, record: DownloadRecord) -> None:
    """Store the record of a file."""
    write_json(_record_path(data_dir, path), record.model_dump())


def remove_download_record(data_dir: Path, path: Path) -> None:
    """Remove the record of a file, if there is one."""
    _record_path(data_dir, path).unlink(missing_ok=True)


def user_changes(data_dir: Path, paths: list[Path]) -> dict[str, Any]:
    """Size and date of the files that were not downloaded, or were edited since.

    A download does not change this, so it distinguishes edits of the user from downloads.

    Parameters
    ----------
    data_dir : path
        Folder of the dataset.
    paths : list of path
        Files; those that do not exist are left out.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     labels = Path(folder, "labels.csv")
    ...     _ = labels.write_text("question")
    ...     list(user_changes(Path(folder), [labels]).values())[0][0]
    8
    """
    return {
        path.as_posix(): [path.stat().st_size, path.stat().st_mtime_ns]
        for path in paths
        if path.is_file() and not ((record := read_download_record(data_dir, path)) and record.matches(path))
    }


def downloaded_files(data_dir: Path, folder: Path) -> list[Path]:
    """Every file in a folder and its subfolders that was downloaded, whether it still exists or not."""
    if not folder.is_relative_to(data_dir):
        return []
    records = _record_path(data_dir, folder / "x").parent
    return sorted(folder / record.relative_to(records).with_suffix("") for record in records.rglob("*.json"))


def next_attempt(manifest: Path) -> int:
    """The number of the attempt that a manifest calls for: a new one if files are missing for want of the hub alone.

    Examples
    --------
    >>> next_attempt(Path("no-such-manifest.json"))
    0
    """
    try:
        content = read_json(manifest)
        attempt, try_again = int(content["attempt"]), bool(content["try_again"])
    except (InputError, LookupError, TypeError, ValueError):
        return 0
    return attempt + (try_again and not offline())


def _record_path(data_dir: Path, path: Path) -> Path:
    return data_dir / RECORDS / f"{path.relative_to(data_dir).as_posix()}.json"
