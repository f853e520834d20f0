"""Checkpoints of the Hugging Face hub: what is on this machine is used, what is not is fetched, verified.

A checkpoint is looked for in our own folder, then in the cache of Hugging Face (HF_HOME), and neither asks the hub for
anything. Only where it is in neither are the files of the pinned commit fetched into our own folder; what that cache
holds of them is taken over.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from framesift.checkpoints.files import INDEXES, READ, SMALL, files_in, lacking, small_files, weight_files
from framesift.core.errors import InputError
from framesift.program.cli import log
from framesift.program.progress import TransferProgress, size_text
from framesift.remote.hub import RemoteFile, Repo, content_digest, offline, partial_path
from framesift.remote.partial_files import arrived
from framesift.storage.checksums import file_digest
from framesift.storage.files import read_json, write_json

#: The list of files in the folder of a checkpoint that was fetched. Hidden, so that it is none of the checkpoint's.
NOTE = ".framesift.json"


@dataclass(frozen=True)
class Pinned:
    """A model repository of the hub at a commit."""

    model: str
    revision: str

    def __str__(self) -> str:
        return f"{self.model}@{self.revision[:12]}"

    @property
    def name(self) -> str:
        """The repository's name as that of a folder; no repository has two hyphens in its own."""
        return self.model.replace("/", "--")

    def folder(self, root: Path) -> Path:
        """Our own folder for it."""
        return root / self.name / self.revision

    @property
    def storage(self) -> Path:
        """Its folder in the cache of Hugging Face."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE).expanduser() / f"models--{self.name}"

    @property
    def snapshot(self) -> Path:
        """The files of the commit in the cache of Hugging Face."""
        return self.storage / "snapshots" / self.revision


@dataclass(frozen=True)
class LocalCheckpoint:
    """Where a checkpoint is: in our own folder (`download`), or in the cache of Hugging Face (`cache`)."""

    folder: Path
    origin: Literal["download", "cache"]


def checkpoints_root() -> Path:
    """Folder of the checkpoints that are fetched: FRAMESIFT_CHECKPOINTS, or data/checkpoints."""
    return Path(os.environ.get("FRAMESIFT_CHECKPOINTS") or "data/checkpoints").expanduser()


def manifest_path(model: str, revision: str) -> str:
    """The manifest that the rule `download_checkpoint` writes."""
    pinned = Pinned(model, revision)
    return f"results/checkpoints/{pinned.name}-{revision[:12]}.json"


def find_or_fetch(model: str, revision: str) -> Path:
    """The folder of a checkpoint, fetched first where it is nowhere on this machine.

    Raises
    ------
    InputError
        Where it must be fetched and cannot be.
    """
    pinned = Pinned(model, revision)
    root = checkpoints_root()
    found = find(pinned, root) or _Download(pinned, root).run()
    return found.folder


def find(pinned: Pinned, root: Path) -> LocalCheckpoint | None:
    """Where a checkpoint is on this machine; None where it is not, or not whole. Sends no request."""
    if _is_kept(pinned.folder(root)):
        return LocalCheckpoint(pinned.folder(root), "download")
    if pinned.snapshot.is_dir() and _is_cached(pinned):
        return LocalCheckpoint(pinned.snapshot, "cache")
    return None


def download_checkpoint(pinned: Pinned, root: Path, workers: int = 4) -> dict[str, Any]:
    """Make sure that a checkpoint is on this machine, and that every file is what the commit says.

    Parameters
    ----------
    pinned : Pinned
    root : path
        Folder of the checkpoints that are fetched.
    workers : int
        Downloads at a time.

    Returns
    -------
    dict
        The manifest: model, revision, folder, origin (``download`` or ``cache``), and size and digest of every file.

    Raises
    ------
    InputError
        Where files are missing or damaged and cannot be had, or the disk is too small.
    """
    found = find(pinned, root)
    if found and found.origin == "cache":
        files, folder = _cached_files(pinned), found.folder
        with ThreadPoolExecutor(workers) as pool:
            digests = pool.map(lambda file: content_digest(folder / file.path, file.digest), files.values())
        damaged = [file.path for file, digest in zip(files.values(), digests, strict=True) if file.digest != digest]
        if not damaged:
            return _manifest(pinned, found, files)
        log.warning("%s is damaged in the cache of Hugging Face (%s)", pinned, ", ".join(damaged))
        found = None
    found = found or _Download(pinned, root, workers).run()
    return _manifest(pinned, found, _noted_files(found.folder))


def _manifest(pinned: Pinned, found: LocalCheckpoint, files: Mapping[str, RemoteFile]) -> dict[str, Any]:
    return {
        "model": pinned.model,
        "revision": pinned.revision,
        "folder": found.folder.as_posix(),
        "origin": found.origin,
        "files": {path: {"size": file.size, "digest": file.digest} for path, file in sorted(files.items())},
    }


# Our own folder. Its note lists every file with size, digest and date. Where dates differ (the folder was copied, or a
# file was exchanged), contents decide.


def _is_kept(folder: Path) -> bool:
    """Whether a folder holds every file that was fetched into it, unchanged."""
    try:
        entries = read_json(folder / NOTE)["files"]
        moved = False
        for path, entry in entries.items():
            stat = (folder / path).stat()
            if stat.st_size != entry["size"]:
                return False
            if stat.st_mtime_ns != entry["mtime_ns"]:
                if content_digest(folder / path, entry["digest"]) != entry["digest"]:
                    log.warning("%s is not what was downloaded", folder / path)
                    return False
                moved = True
    except (InputError, OSError, KeyError, TypeError, AttributeError):
        return False  # not there, or the note of another version
    if moved:
        try:
            _write_note(folder, _noted_files(folder))
        except OSError:
            log.warning("%s cannot be written to: its files are read again each time", folder)
    return True


def _noted_files(folder: Path) -> dict[str, RemoteFile]:
    entries = read_json(folder / NOTE)["files"]
    return {path: RemoteFile(path, entry["size"], entry["digest"]) for path, entry in entries.items()}


def _write_note(folder: Path, files: Mapping[str, RemoteFile]) -> None:
    entries = {
        path: {"size": file.size, "digest": file.digest, "mtime_ns": (folder / path).stat().st_mtime_ns}
        for path, file in files.items()
    }
    write_json(folder / NOTE, {"files": entries})


# The cache of Hugging Face. Its files are links to blobs that are named by their digest.


def _is_cached(pinned: Pinned) -> bool:
    """Whether a snapshot is whole.

    Newer versions of huggingface_hub keep the list of a commit's files (`trees`), which decides; without it, what is
    surely needed does.
    """
    snapshot = pinned.snapshot
    try:
        missing = _not_there(_listing(pinned), snapshot)
        if missing and offline() and not lacking(snapshot):
            log.warning(
                "%s in the cache of Hugging Face lacks %s, and is used as it is: HF_HUB_OFFLINE is set",
                *(pinned, ", ".join(missing)),
            )
            return True
    except InputError as error:
        log.warning("%s in the cache of Hugging Face is damaged: %s", pinned, error)
        return False
    if missing:
        log.info("%s in the cache of Hugging Face lacks %s", pinned, ", ".join(missing))
    return not missing


def _not_there(listing: Mapping[str, RemoteFile] | None, snapshot: Path) -> list[str]:
    """What a snapshot lacks, by the list of the commit's files where there is one."""
    if listing is None:
        return lacking(snapshot)
    needed = {*small_files(listing, READ), *weight_files(listing, snapshot)}
    return sorted(path for path in needed if path not in listing or not _has_size(snapshot / path, listing[path].size))


def _listing(pinned: Pinned) -> dict[str, RemoteFile] | None:
    """The list of a commit's files that huggingface_hub left in its cache; None where there is none."""
    try:
        entries = read_json(pinned.storage / "trees" / f"{pinned.revision}.json")["files"]
        return {
            path: RemoteFile(
                path,
                entry["size"],
                f"sha256:{entry['lfs_sha256']}" if entry.get("lfs_sha256") else f"git:{entry['blob_id']}",
            )
            for path, entry in entries.items()
        }
    except (InputError, KeyError, TypeError, AttributeError):
        return None


def _cached_files(pinned: Pinned) -> dict[str, RemoteFile]:
    """The files of a snapshot that are used, each with the digest that it should have."""
    names = files_in(pinned.snapshot)
    files = {}
    for path in {*small_files(names), *weight_files(names, pinned.snapshot)}:
        blob = (pinned.snapshot / path).resolve()
        if re.fullmatch("[0-9a-f]{64}", blob.name):
            digest = f"sha256:{blob.name}"
        elif re.fullmatch("[0-9a-f]{40}", blob.name):
            digest = f"git:{blob.name}"
        else:  # a file system without links
            digest = f"sha256:{file_digest(blob)}"
        files[path] = RemoteFile(path, blob.stat().st_size, digest)
    return files


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


# Fetching


class _Download:
    """The files of a commit, on their way into our own folder."""

    def __init__(self, pinned: Pinned, root: Path, workers: int = 4) -> None:
        self.pinned, self.root, self.workers = pinned, root, workers
        self.folder = pinned.folder(root)
        self.repo = Repo(pinned.model, pinned.revision, "model")

    def run(self) -> LocalCheckpoint:
        if offline():
            raise self._unable("nothing may be downloaded (HF_HUB_OFFLINE is set)")
        if lacking := [name for name in ("httpx2", "rich") if find_spec(name) is None]:
            raise self._unable(f"this environment, made for older libraries, cannot download ({lacking[0]} is missing)")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock():
                if not _is_kept(self.folder):  # another job may have fetched it while this one waited
                    self._fetch()
        except OSError as error:
            raise InputError(
                f"cannot be used ({error.strerror or error})",
                file=error.filename or self.folder,
                hint="what arrived is kept; run again when there is space, or set FRAMESIFT_CHECKPOINTS to a folder"
                " where you may write",
            ) from None
        return LocalCheckpoint(self.folder, "download")

    def _fetch(self) -> None:
        files = self._files()
        missing = [file for file in files.values() if not self._is_here(file)]
        free = self._check_space(missing)
        total = sum(file.size for file in missing)
        log.info(
            "fetching %d files, %s, from %s to %s (%s free)",
            *(len(missing), size_text(total), self.repo, self.folder, size_text(free)),
        )
        with TransferProgress(total, len(missing)) as progress, ThreadPoolExecutor(self.workers) as pool:
            jobs = [pool.submit(self._get, file, progress.bytes) for file in missing]
            for done in as_completed(jobs):
                if error := done.exception():
                    pool.shutdown(wait=False, cancel_futures=True)  # what runs may finish, the rest would fail too
                    raise error
                progress.files(1)
        _write_note(self.folder, files)

    def _files(self) -> dict[str, RemoteFile]:
        """What is needed of the repository."""
        there = self.repo.files()
        for index in INDEXES:  # it says which shards there are
            if index in there and not self._is_here(there[index]):
                self._get(there[index])
        weights = weight_files(there, self.folder)
        if not weights:
            others = sorted({Path(path).suffix for path in there} - {Path(pattern).suffix for pattern in SMALL})
            raise InputError(
                "has no weights that can be used",
                file=str(self.pinned),
                field="model",
                value=others,
                expected="*.safetensors, *.bin or *.pth, not in a folder",
            )
        if unknown := [path for path in weights if path not in there]:
            raise InputError(
                f"is incomplete: its index names {', '.join(unknown[:3])}{' ...' if unknown[3:] else ''}, which it has"
                " not",
                file=str(self.pinned),
                field="revision",
                hint="take another commit of the repository",
            )
        return {path: there[path] for path in (*small_files(there), *weights)}

    def _get(self, file: RemoteFile, progress: Callable[[int], None] = lambda _: None) -> None:
        """Take a file over from the cache of Hugging Face where it is there whole, else download it."""
        target, cached = self.folder / file.path, self.pinned.snapshot / file.path
        if _has_size(cached, file.size) and content_digest(cached, file.digest) == file.digest:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(cached.resolve(), target)
            except OSError:  # another disk
                shutil.copyfile(cached, target)
            progress(file.size)
        else:
            self.repo.download(file, target, progress)

    def _is_here(self, file: RemoteFile) -> bool:
        """Whether an earlier, interrupted download left this file."""
        target = self.folder / file.path
        return _has_size(target, file.size) and content_digest(target, file.digest) == file.digest

    def _check_space(self, missing: list[RemoteFile]) -> int:
        """Refuse to begin what cannot be finished; the free bytes."""
        needed, disk = 0, self.folder.stat().st_dev
        for file in missing:
            cached = self.pinned.snapshot / file.path
            if not (_has_size(cached, file.size) and cached.stat().st_dev == disk):
                needed += max(0, file.size - arrived(partial_path(file, self.folder / file.path)))
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"the disk is too small: {size_text(needed)} are needed, {size_text(free)} are free",
                file=self.folder,
                hint="set FRAMESIFT_CHECKPOINTS to a folder on a larger disk",
            )
        return free

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One download of a checkpoint at a time."""
        from huggingface_hub.utils import WeakFileLock

        with WeakFileLock(self.folder / ".framesift.lock"):
            yield

    def _unable(self, reason: str) -> InputError:
        pinned = self.pinned
        return InputError(
            f"is needed, but {reason}",
            file=pinned.model,
            field="revision",
            value=pinned.revision,
            expected=f"its files in {self.folder} or in the cache of Hugging Face ({pinned.snapshot})",
            hint="where there is a network (and the environment envs/data.yaml),"
            " `python workflow/scripts/download_checkpoint.py"
            f" --model {pinned.model} --revision {pinned.revision} --folder {self.root}` makes the first; or give a"
            " folder with the checkpoint as `model`",
        )
