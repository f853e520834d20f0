"""Bringing a dataset to its folder: what is there is used, what is missing comes from the hub, and nothing else.

Of an archive only the members that are wanted are fetched, by reading the pieces of it that hold them; an archive of
which everything is wanted is fetched as a whole, which can be verified and resumed byte by byte.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from framesift.core.errors import InputError
from framesift.data.benchmarks import VIDEO_SUFFIXES, Dataset, VideoFolder
from framesift.data.download_records import (
    RECORDS,
    DownloadRecord,
    read_download_record,
    remove_download_record,
    write_download_record,
)
from framesift.data.labels import convert
from framesift.data.questions import NORMALISED
from framesift.program.cli import log
from framesift.program.progress import TransferProgress, size_text
from framesift.remote.archives import Archive, Damaged, Joined, Member, is_zip, read_index
from framesift.remote.hub import RemoteFile, Repo, content_digest, hub_errors, offline, partial_path
from framesift.storage.files import cached_digest, file_digest, read_json, write_json

#: The end of the name of a part that an archive was cut into: x.tar.part.aa, x.zip.001, x.tar.aa ...
PART = re.compile(r"\.(part)?[._]?([a-z]{2}|\d{2,3})$")
#: Members that one job takes out of an archive on the hub; small, so that many work on one archive.
MEMBERS_A_JOB = 8


@dataclass(frozen=True)
class MissingFiles:
    """A kind of files that is missing from the folder.

    Attributes
    ----------
    names : frozenset of str
        What is missing; each is the stem of a file's name, or with `whole_names` all of it.
    suffixes : tuple of str
        What its files end in.
    patterns : tuple of str
        Files of the repository that are, or hold, them.
    folder : path
        Where they belong.
    """

    names: frozenset[str]
    suffixes: tuple[str, ...]
    patterns: tuple[str, ...]
    folder: Path
    whole_names: bool = False

    def target(self, path: str) -> Path | None:
        """Where a file of the repository or of an archive goes; None for one that is not wanted."""
        name = PurePosixPath(path)
        if name.suffix.lower() not in self.suffixes:
            return None
        return self.folder / name.name if (name.name if self.whole_names else name.stem) in self.names else None


@dataclass(frozen=True)
class Container:
    """An archive of the repository: its name, and the files that, joined, are it."""

    name: str
    parts: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Transfer:
    """Something to fetch: a single file, or members of an archive (fetched `whole`, or piece by piece)."""

    source: RemoteFile | Container
    targets: Mapping[Member, Path]
    whole: bool = False


def download_dataset(dataset: Dataset, cache: Path | None = None, workers: int = 8) -> dict[str, Any]:
    """Make sure that the labels and the videos (and subtitles) of the chosen questions are in `data_dir`.

    Parameters
    ----------
    dataset : Dataset
    cache : path, optional
        Folder that remembers digests of files which did not come from the hub.
    workers : int
        Downloads at a time.

    Returns
    -------
    dict
        The manifest: repository and commit, every file with size and SHA-256, and the names that are missing.

    Raises
    ------
    InputError
        Where labels are missing and cannot be had, the hub refuses or cannot be reached, or the disk is too small. A
        video that the repository does not have, or has in a damaged form, is reported and left out.
    """
    return Downloader(dataset, cache, workers).run()


class Downloader:
    def __init__(self, dataset: Dataset, cache: Path | None, workers: int) -> None:
        self.dataset = dataset
        self.cache = cache
        self.workers = workers
        self.repo = Repo(dataset.repo, dataset.revision) if dataset.downloads and dataset.repo else None
        self.why_not = "`download` is false, or no `repo` is set" if self.repo is None else ""
        note = self._note_of(dataset.labels_file)
        if self.repo and self.repo.revision is None and note and note.repo == self.repo.name:
            self.repo.revision = note.revision  # not pinned: stay with what was the newest at the first download
        if self.repo and offline():
            self.repo, self.why_not = None, "HF_HUB_OFFLINE is set"

    def run(self) -> dict[str, Any]:
        try:
            self._fetch_labels()
            questions = [record[NORMALISED] for record in convert(self.dataset, self.dataset.labels_file)]
            self._fetch_videos(questions)
            return self._manifest(questions)
        except OSError as error:
            raise InputError(
                f"cannot be used ({error.strerror or error})",
                file=error.filename or self.dataset.data_dir,
                hint="what arrived is kept; run again when there is space, or set data_dir to where you may write",
            ) from None

    def _fetch_videos(self, questions: list[Mapping[str, Any]]) -> None:
        if self.repo and any(item.names for item in self._wanted(questions)):
            with self._lock():
                self._remove_leftovers()
                # asked again: another job may have fetched some while this one waited
                self._fetch([item for item in self._wanted(questions) if item.names])

    def _fetch_labels(self) -> None:
        if self._have_labels():
            return
        target = self.dataset.labels_file
        if self.repo is None:
            raise InputError(
                f"the labels are not there, and nothing may be downloaded ({self.why_not})",
                file=target,
                hint="put them there, or set data_dir and labels of the dataset to where they are",
            )
        with self._lock():
            if self._have_labels():
                return
            file = self._label_file()
            if not target.is_file() or content_digest(target, file.digest) != file.digest:
                log.info("fetching the labels: %s of %s", file.path, self.repo)
                self.repo.download(file, target)
            self._write_note(target, file.path)

    # What is there, and what is missing

    def _have_labels(self) -> bool:
        target = self.dataset.labels_file
        note = self._note_of(target)
        return target.is_file() and (self.repo is None or note is None or note.revision == self.repo.revision)

    def _label_file(self) -> RemoteFile:
        """The labels in the repository: at the same path, or else the one file of the same name."""
        assert self.repo
        path = self.dataset.labels
        same = [file for name, file in self.repo.files().items() if PurePosixPath(name).name == path.name]
        exact = [file for file in same if file.path == path.as_posix()]
        return exact[0] if exact else same[0] if len(same) == 1 else self.repo.file(path.as_posix())

    def _wanted(self, questions: Iterable[Mapping[str, Any]]) -> list[MissingFiles]:
        """What the chosen questions need and the folder lacks."""
        dataset = self.dataset
        folder = VideoFolder(dataset.video_dir)
        names = {dataset.file_name(question["video_id"]) for question in questions}
        lacking = {name for name in names if not (paths := folder.named(name)) or self._outdated(paths[0])}
        wanted = [MissingFiles(frozenset(lacking), VIDEO_SUFFIXES, dataset.video_files, dataset.video_dir)]
        if dataset.subtitle_dir:
            texts = {question["subtitles"] for question in questions if question["subtitles"]}
            lacking = {name for name in texts if not (dataset.subtitle_dir / name).is_file()}
            wanted.append(
                MissingFiles(
                    *(frozenset(lacking), dataset.subtitle_suffixes, dataset.subtitle_files, dataset.subtitle_dir),
                    whole_names=True,
                )
            )
        return wanted

    def _outdated(self, path: Path) -> bool:
        """Whether we fetched this file from a commit in which it was another one than in the commit that is wanted."""
        note = self._note_of(path)
        if note is None or self.repo is None or note.revision == self.repo.commit:
            return False
        files = self.repo.files()
        if all(name in files and files[name].digest == digest for name, digest in note.source.items()):
            self._write_note(path, *note.source)
            return False
        return True

    # Fetching

    def _fetch(self, wanted: list[MissingFiles]) -> None:
        jobs = [job for item in wanted for job in self._jobs(item)]
        self._check_space(jobs)
        total, n_files = sum(map(self._download_size, jobs)), sum(len(job.targets) for job in jobs)
        log.info("fetching %d files, %s, from %s", n_files, size_text(total), self.repo)
        with TransferProgress(total, n_files) as progress, ThreadPoolExecutor(self.workers) as pool:
            for done in as_completed([pool.submit(self._do, job, progress) for job in jobs]):
                error = done.exception()
                if isinstance(error, Damaged):
                    log.warning("%s", error)
                elif error is not None:
                    pool.shutdown(wait=False, cancel_futures=True)  # what runs may finish, the rest would fail too
                    raise error  # at once: as_completed is not told of what was cancelled, and would wait for ever

    def _jobs(self, wanted: MissingFiles) -> Iterator[Transfer]:
        """Where the missing files are, and how they are fetched best."""
        assert self.repo
        files = [
            file for path, file in self.repo.files().items() if any(fnmatch(path, item) for item in wanted.patterns)
        ]
        left = set(wanted.names)
        for file in files:
            if target := wanted.target(file.path):
                left.discard(target.name if wanted.whole_names else target.stem)
                yield Transfer(file, {Member(file.path, file.size): target})
        if not left:
            return
        containers = _containers(file for file in files if Path(file.path).suffix.lower() not in wanted.suffixes)
        with ThreadPoolExecutor(self.workers) as pool:
            indexes = list(pool.map(self._index, containers))
        for container, members in zip(containers, indexes, strict=True):
            targets = {}
            for member in members:
                target = wanted.target(member.name)
                name = (target.name if wanted.whole_names else target.stem) if target else None
                if target and name in left:  # the first of several of one name
                    left.discard(name)
                    targets[member] = target
            here = self._is_here(container)
            everything = len(targets) == sum(member.suffix in wanted.suffixes for member in members)
            if targets and (here or everything):
                yield Transfer(container, targets, whole=True)
            else:
                items = iter(targets.items())
                while some := dict(islice(items, MEMBERS_A_JOB)):
                    yield Transfer(container, some)
        if left:
            log.warning("%s has none of %s", self.repo, _some(left))

    def _index(self, container: Container) -> list[Member]:
        """The members of an archive; the index of a .tar is spread over all of it, so it is remembered."""
        note = self._notes / f"index-{container.parts[0].digest.split(':')[1][:16]}.json"
        if note.is_file():
            return [Member(*item) for item in read_json(note)]
        for last_try in (False, True):
            try:
                with self._opened(container) as stream:
                    members = read_index(stream, container.name)
                break
            except Damaged as error:  # pieces of a file arrive unverified
                log.warning("%s%s", error, "" if last_try else "; once more")
        else:
            return []
        if not is_zip(container.name):
            write_json(note, [[member.name, member.size, member.offset] for member in members])
        return members

    def _do(self, job: Transfer, progress: TransferProgress) -> None:
        assert self.repo
        source = job.source
        if isinstance(source, RemoteFile):
            ((_, target),) = job.targets.items()
            self.repo.download(source, target, progress.bytes)
            self._write_note(target, source.path)
            progress.files(1)
            return
        if job.whole:
            for part in source.parts:
                if not self._has(part):
                    self.repo.download(part, self._local(part), progress.bytes)
                    self._write_note(self._local(part), part.path)
        counted: Callable[[int], None] = (lambda _: None) if job.whole else progress.bytes
        with self._opened(source) as stream:
            archive = Archive(stream, source.name)
            for member, target in job.targets.items():
                try:
                    archive.extract(member, target, counted)
                except Damaged as error:
                    log.warning("%s", error)
                    continue
                self._write_note(target, *(part.path for part in source.parts))
                progress.files(1)
        if job.whole and not self.dataset.keep_archives:
            for path in map(self._local, source.parts):
                if self._note_of(path):  # those that the user put there stay
                    path.unlink()
                    remove_download_record(self.dataset.data_dir, path)

    @contextmanager
    def _opened(self, container: Container) -> Iterator[BinaryIO]:
        """An archive as one stream, from disk where it is there."""
        assert self.repo
        with ExitStack() as stack, hub_errors(self.repo.name, self.repo.commit):
            here = self._is_here(container)
            streams: list[BinaryIO] = [
                stack.enter_context(self._local(part).open("rb") if here else self.repo.open(part))
                for part in container.parts
            ]
            yield streams[0] if len(streams) == 1 else Joined(streams)  # type: ignore[misc]

    def _check_space(self, jobs: list[Transfer]) -> None:
        """Refuse to begin what cannot be finished."""
        taken_out = sum(member.size for job in jobs for member in job.targets)
        archives = sorted((self._missing_bytes(job.source) for job in jobs if job.whole), reverse=True)
        single = sum(self._missing_bytes(job.source) for job in jobs if isinstance(job.source, RemoteFile))
        taken_out -= sum(job.source.size for job in jobs if isinstance(job.source, RemoteFile))
        at_once = archives if self.dataset.keep_archives else archives[: self.workers]
        needed = taken_out + single + sum(at_once)
        self.dataset.data_dir.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.dataset.data_dir).free
        if needed > free:
            raise InputError(
                f"the disk is too small: {size_text(needed)} are needed, {size_text(free)} are free",
                file=self.dataset.data_dir,
                hint="choose fewer questions (limit, groups, video_ids), or set data_dir to a larger disk",
            )

    def _download_size(self, job: Transfer) -> int:
        """Bytes that will be counted as they arrive; of a file that was begun, those that are there too."""
        if isinstance(job.source, RemoteFile):
            return job.source.size
        if job.whole:
            return sum(part.size for part in job.source.parts if not self._has(part))
        return sum(member.size for member in job.targets)

    def _missing_bytes(self, source: RemoteFile | Container) -> int:
        parts = source.parts if isinstance(source, Container) else (source,)
        missing = 0
        for part in parts:
            begun = partial_path(part, self._local(part))
            missing += 0 if self._has(part) else part.size - (begun.stat().st_size if begun.is_file() else 0)
        return missing

    def _local(self, file: RemoteFile) -> Path:
        return self.dataset.data_dir / file.path

    def _has(self, file: RemoteFile) -> bool:
        path = self._local(file)
        return path.is_file() and path.stat().st_size == file.size

    def _is_here(self, container: Container) -> bool:
        return all(map(self._has, container.parts))

    # Notes about files that were fetched

    @property
    def _notes(self) -> Path:
        return self.dataset.data_dir / RECORDS

    def _note_of(self, path: Path) -> DownloadRecord | None:
        return read_download_record(self.dataset.data_dir, path)

    def _write_note(self, path: Path, *sources: str) -> None:
        assert self.repo
        stat, old = path.stat(), self._note_of(path)
        note = DownloadRecord(
            repo=self.repo.name,
            revision=self.repo.commit,
            source={name: self.repo.files()[name].digest for name in sources},
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            sha256=old.sha256 if old and old.fits(path) else file_digest(path),
        )
        write_download_record(self.dataset.data_dir, path, note)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One download into a folder at a time."""
        from huggingface_hub.utils import WeakFileLock

        self._notes.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(self._notes / "lock"):
            yield

    def _remove_leftovers(self) -> None:
        """Half-written members of a run that was killed (half-downloaded files are kept and continued)."""
        for folder in (self.dataset.video_dir, self.dataset.subtitle_dir):
            for path in folder.glob(".*.tmp*") if folder and folder.is_dir() else ():
                path.unlink(missing_ok=True)

    # The manifest

    def _manifest(self, questions: list[Mapping[str, Any]]) -> dict[str, Any]:
        dataset = self.dataset
        folder = VideoFolder(dataset.video_dir)
        names = sorted({dataset.file_name(question["video_id"]) for question in questions})
        found = {name: folder.named(name) for name in names}
        paths = [dataset.labels_file, *(path for same in found.values() for path in same)]
        if dataset.subtitle_dir:
            texts = {question["subtitles"] for question in questions if question["subtitles"]}
            paths += [path for text in sorted(texts) if (path := dataset.subtitle_dir / text).is_file()]
        with ThreadPoolExecutor(self.workers) as pool:
            files = dict(zip(map(self._relative, paths), pool.map(self._describe, paths), strict=True))
        missing = [name for name, same in found.items() if not same]
        if missing:
            log.warning("%d of %d videos are missing: %s", len(missing), len(names), _some(missing))
            if self.why_not:
                log.warning("nothing was downloaded: %s", self.why_not)
        return {
            "kind": dataset.kind,
            "repo": self.repo.name if self.repo else None,
            "revision": self.repo.revision if self.repo else None,
            "questions": len(questions),
            "videos": len(names),
            "files": files,
            "missing": missing,
        }

    def _describe(self, path: Path) -> dict[str, Any]:
        size, note = path.stat().st_size, self._note_of(path)
        if note is None:
            return {"size": size, "sha256": cached_digest(path, self.cache), "from": "given"}
        digest = note.sha256 if note.fits(path) else file_digest(path)
        origin = f"{note.repo}@{note.revision}: {', '.join(note.source)}"
        if digest != note.sha256:
            log.warning("%s is no longer what was downloaded; it is used as it is (remove it to fetch it again)", path)
            origin = "given"
        return {"size": size, "sha256": digest, "from": origin}

    def _relative(self, path: Path) -> str:
        inside = path.is_relative_to(self.dataset.data_dir)
        return (path.relative_to(self.dataset.data_dir) if inside else path).as_posix()


def _containers(files: Iterable[RemoteFile]) -> list[Container]:
    """Archives, those that were cut into parts put together in the order of their names."""
    groups: dict[str, list[RemoteFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        groups.setdefault(PART.sub("", file.path), []).append(file)
    return [Container(name, tuple(parts)) for name, parts in groups.items()]


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:5]) + (f" and {len(ordered) - 5} more" if len(ordered) > 5 else "")
