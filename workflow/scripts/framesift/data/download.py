"""Download a dataset: files in its folder are used, missing ones come from the hub, and nothing else is fetched.

From an archive only the wanted members are fetched, by reading the pieces that hold them. An archive whose every member
is wanted is fetched as a whole, which can be verified and resumed byte by byte. So is one whose pieces arrive damaged,
or come from a server that sends whole files only.

A video is left out, with the reason, for what will be the same tomorrow: the pinned commit does not hold it, or holds
it damaged in an archive that was verified. Whatever may pass ends the download with an error.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path, PurePath, PurePosixPath
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
from framesift.remote.archives import Archive, JoinedFile, Member, is_zip, read_index
from framesift.remote.hub import (
    MissingFileError,
    NoRangesError,
    RemoteFile,
    Repo,
    content_digest,
    offline,
    partial_path,
)
from framesift.remote.partial_files import arrived
from framesift.storage.cached_values import cached_digest
from framesift.storage.checksums import DamagedError, file_digest
from framesift.storage.files import read_json, write_json

#: The end of the name of a part of a split archive: x.tar.part.aa, x.zip.001, x.tar.aa ...
PART = re.compile(r"\.(part)?[._]?([a-z]{2}|\d{2,3})$")
#: Members that one transfer extracts from an archive on the hub; small, so that many work on one archive.
MEMBERS_PER_TRANSFER = 8


@dataclass(frozen=True)
class MissingFiles:
    """Files of one kind, such as videos, that the folder does not have.

    Attributes
    ----------
    names : frozenset of str
        Names of the files, without suffixes unless `with_suffix`.
    suffixes : tuple of str
        Suffixes of such files, in lower case.
    patterns : tuple of str
        Files of the repository that are such files, or archives of them.
    folder : path
        Where to store them.
    with_suffix : bool
        Whether `names` have suffixes.

    Examples
    --------
    >>> missing = MissingFiles(frozenset(["v1"]), (".mp4",), ("videos/*.zip",), Path("data/videos"))
    >>> missing.target("archive/v1.mp4").as_posix(), missing.target("archive/v2.mp4")
    ('data/videos/v1.mp4', None)
    """

    names: frozenset[str]
    suffixes: tuple[str, ...]
    patterns: tuple[str, ...]
    folder: Path
    with_suffix: bool = False

    def target(self, path: str) -> Path | None:
        """Where to store a file of the repository or of an archive; None if it is not wanted."""
        name = PurePosixPath(path)
        wanted = name.suffix.lower() in self.suffixes and self.name_of(name) in self.names
        return self.folder / name.name if wanted else None

    def name_of(self, path: PurePath) -> str:
        """The name of a file, in the form of `names`."""
        return path.name if self.with_suffix else path.stem


@dataclass(frozen=True)
class Container:
    """An archive of the repository: its name, and its parts in order."""

    name: str
    parts: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Transfer:
    """Something to fetch: a single file, or members of an archive.

    Attributes
    ----------
    source : RemoteFile or Container
    targets : dict
        Where to store the file, or each member.
    whole : bool
        Whether to fetch all of the archive, or the pieces that hold the members.
    wanted : MissingFiles or None
        What to look for in an archive whose members are known only when it has been fetched.
    """

    source: RemoteFile | Container
    targets: Mapping[Member, Path]
    whole: bool = False
    wanted: MissingFiles | None = None


def download_dataset(dataset: Dataset, cache: Path | None = None, workers: int = 8, attempt: int = 0) -> dict[str, Any]:
    """Make sure that the labels and videos (and subtitles) of the chosen questions are in `data_dir`.

    Parameters
    ----------
    dataset : Dataset
    cache : path, optional
        Folder that remembers the digests of files that were not downloaded.
    workers : int
        Downloads at a time.
    attempt : int
        Number of the attempt, for the manifest; see `framesift.data.download_records.next_attempt`.

    Returns
    -------
    dict
        The manifest: repository and commit, every file with size and SHA-256, the names that are missing and why, and
        whether a run with access to the hub could find some of these.

    Raises
    ------
    InputError
        If labels are missing and cannot be downloaded, the hub denies access or cannot be reached, or the disk is too
        small. A video that the repository does not have, or only damaged, is reported and left out.
    """
    return Downloader(dataset, cache, workers).run() | {"attempt": attempt}


class Downloader:
    """A download of one dataset; see `download_dataset`."""

    def __init__(self, dataset: Dataset, cache: Path | None, workers: int) -> None:
        self.dataset = dataset
        self.cache = cache
        self.workers = workers
        self.repo = Repo(dataset.repo, dataset.revision) if dataset.downloads and dataset.repo else None
        self.offline_reason = "`download` is false, or no `repo` is set" if self.repo is None else ""
        #: Why files were left out, by their names.
        self.reasons: dict[str, str] = {}
        self._found: set[Path] = set()
        record = self._record_of(dataset.labels_file)
        if self.repo and self.repo.revision is None and record and record.repo == self.repo.name:
            self.repo.revision = record.revision  # not pinned: stay with the commit of the first download
        #: Whether nothing but HF_HUB_OFFLINE keeps missing files from being downloaded.
        self.could_download = self.repo is not None and offline()
        if self.repo and offline():
            self.repo, self.offline_reason = None, "HF_HUB_OFFLINE is set"

    def run(self) -> dict[str, Any]:
        """Fetch what is missing; the manifest."""
        try:
            self._fetch_labels()
            questions = [record[NORMALISED] for record in convert(self.dataset, self.dataset.labels_file)]
            self._fetch_videos(questions)
            return self._manifest(questions)
        except OSError as error:
            raise InputError(
                f"cannot be used ({error.strerror or error})",
                file=error.filename or self.dataset.data_dir,
                hint="downloaded data is kept; free some space and run again, or set data_dir to another folder",
            ) from None

    def _fetch_videos(self, questions: list[Mapping[str, Any]]) -> None:
        if self.repo and any(item.names for item in self._wanted(questions)):
            with self._lock():
                self._remove_leftovers()
                # looked up again: another job may have fetched some while this one waited
                self._fetch([item for item in self._wanted(questions) if item.names])

    def _fetch_labels(self) -> None:
        if self._have_labels():
            return
        target = self.dataset.labels_file
        if self.repo is None:
            raise InputError(
                f"there are no labels, and downloads are turned off ({self.offline_reason})",
                file=target,
                hint="put the file there, or set data_dir and labels of the dataset to where it is",
            )
        with self._lock():
            if self._have_labels():
                return
            file = self._label_file()
            if not target.is_file() or content_digest(target, file.digest) != file.digest:
                log.info("fetching the labels: %s of %s", file.path, self.repo)
                self.repo.download(file, target)
            self._write_record(target, file.path)

    # What is missing

    def _have_labels(self) -> bool:
        target = self.dataset.labels_file
        record = self._record_of(target)
        return target.is_file() and (self.repo is None or record is None or record.revision == self.repo.revision)

    def _label_file(self) -> RemoteFile:
        """The labels in the repository: at the same path, or else the only file of the same name."""
        assert self.repo
        path = self.dataset.labels
        same = [file for name, file in self.repo.files().items() if PurePosixPath(name).name == path.name]
        exact = [file for file in same if file.path == path.as_posix()]
        return exact[0] if exact else same[0] if len(same) == 1 else self.repo.file(path.as_posix())

    def _wanted(self, questions: Iterable[Mapping[str, Any]]) -> list[MissingFiles]:
        """What the chosen questions need and the folder does not have."""
        dataset = self.dataset
        folder = VideoFolder(dataset.video_dir)
        names = {dataset.file_name(question["video_id"]) for question in questions}
        missing = {name for name in names if not (paths := folder.named(name)) or self._outdated(paths[0])}
        wanted = [MissingFiles(frozenset(missing), VIDEO_SUFFIXES, dataset.video_files, dataset.video_dir)]
        if dataset.subtitle_dir:
            texts = {question["subtitles"] for question in questions if question["subtitles"]}
            missing = {name for name in texts if not (dataset.subtitle_dir / name).is_file()}
            wanted.append(
                MissingFiles(
                    *(frozenset(missing), dataset.subtitle_suffixes, dataset.subtitle_files, dataset.subtitle_dir),
                    with_suffix=True,
                )
            )
        return wanted

    def _outdated(self, path: Path) -> bool:
        """Whether this file was downloaded from another commit, and is another file in the commit that is wanted."""
        record = self._record_of(path)
        if record is None or self.repo is None or record.revision == self.repo.commit:
            return False
        files = self.repo.files()
        if all(name in files and files[name].digest == digest for name, digest in record.source.items()):
            self._write_record(path, *record.source)
            return False
        return True

    # Fetching

    def _fetch(self, wanted: list[MissingFiles]) -> None:
        transfers = [transfer for item in wanted for transfer in self._transfers(item)]
        while transfers:
            doubtful: dict[Container, dict[Member, Path]] = {}
            for transfer, damaged in self._run(transfers):
                if damaged and isinstance(transfer.source, Container):
                    doubtful.setdefault(transfer.source, {}).update(damaged)
            transfers = [Transfer(container, targets, whole=True) for container, targets in doubtful.items()]

    def _run(self, transfers: list[Transfer]) -> Iterator[tuple[Transfer, Mapping[Member, Path]]]:
        """Each transfer with the members that did not arrive intact in pieces."""
        free = self._check_space(transfers)
        total, n_files = sum(map(self._download_size, transfers)), sum(len(one.targets) for one in transfers)
        log.info("fetching %d files, %s, from %s (%s free)", n_files, size_text(total), self.repo, size_text(free))
        with TransferProgress(total, n_files) as progress, ThreadPoolExecutor(self.workers) as pool:
            jobs = {pool.submit(self._do, transfer, progress): transfer for transfer in transfers}
            for done in as_completed(jobs):
                if error := done.exception():
                    pool.shutdown(wait=False, cancel_futures=True)  # running ones may finish; the rest would fail too
                    raise error  # at once: as_completed never returns for cancelled ones
                yield jobs[done], done.result()

    def _transfers(self, wanted: MissingFiles) -> Iterator[Transfer]:
        """Where the missing files are, and how to fetch them best."""
        assert self.repo
        files = [file for path, file in self.repo.files().items() if any(fnmatch(path, one) for one in wanted.patterns)]
        left = set(wanted.names)
        for file in files:
            if target := wanted.target(file.path):
                left.discard(wanted.name_of(target))
                yield Transfer(file, {Member(file.path, file.size): target})
        if left:
            archives = [file for file in files if PurePosixPath(file.path).suffix.lower() not in wanted.suffixes]
            yield from self._archive_transfers(_containers(archives), wanted, left)

    def _archive_transfers(
        self, containers: list[Container], wanted: MissingFiles, left: set[str]
    ) -> Iterator[Transfer]:
        """How to fetch members of archives; removes their names from `left`."""
        with ThreadPoolExecutor(self.workers) as pool:
            indexes = list(pool.map(self._index, containers))
        for container, members in zip(containers, indexes, strict=True):
            targets = _targets(members or (), wanted, left)
            left -= {wanted.name_of(target) for target in targets.values()}
            everything = len(targets) == sum(member.suffix in wanted.suffixes for member in members or ())
            if targets and (everything or self._is_here(container)):
                yield Transfer(container, targets, whole=True)
            else:
                items = iter(targets.items())
                while some := dict(islice(items, MEMBERS_PER_TRANSFER)):
                    yield Transfer(container, some)
        for container, members in zip(containers, indexes, strict=True):
            if members is None and left:
                yield Transfer(container, {}, whole=True, wanted=replace(wanted, names=frozenset(left)))

    def _index(self, container: Container) -> list[Member] | None:
        """The members of an archive; None if only the whole archive can tell.

        The index of a .tar is spread over all of it, so it is cached.
        """
        cached = self._records / f"index-{container.parts[0].digest.split(':')[1][:16]}.json"
        if cached.is_file():
            return [Member(*item) for item in read_json(cached)]
        for last_try in (False, True):
            try:
                members = self._members(container)
                break
            except NoRangesError as error:
                log.warning("%s: all of %s has to be fetched, %s", error, container.name, size_text(container.size))
                return None
            except DamagedError as error:  # pieces of a file arrive unverified
                log.warning("%s%s", error, "" if last_try else "; trying again")
        else:
            return None
        if not is_zip(container.name):
            write_json(cached, [[member.name, member.size, member.offset] for member in members])
        return members

    def _members(self, container: Container) -> list[Member]:
        with self._opened(container) as stream:
            return read_index(stream, container.name)

    def _do(self, transfer: Transfer, progress: TransferProgress) -> Mapping[Member, Path]:
        """Fetch; the members that did not arrive intact in pieces."""
        assert self.repo
        source, targets = transfer.source, transfer.targets
        try:
            if isinstance(source, RemoteFile):
                ((_, target),) = targets.items()
                self.repo.download(source, target, progress.bytes)
                self._write_record(target, source.path)
                progress.files(1)
                return {}
            if transfer.whole:
                self._take_whole(transfer, source, progress)
                return {}
            damaged = self._extract(source, targets, progress)
            return self._extract(source, damaged, progress) if damaged else {}
        except MissingFileError as error:
            self.reasons |= {target.stem: str(error) for target in targets.values()}
            log.warning("%s", error)
            return {}
        except NoRangesError:
            return targets

    def _take_whole(self, transfer: Transfer, container: Container, progress: TransferProgress) -> None:
        """Fetch an archive, verified, and extract what is wanted of it."""
        assert self.repo
        targets, wanted = transfer.targets, transfer.wanted
        if wanted and not (left := wanted.names - {wanted.name_of(target) for target in self._found}):
            return  # other archives held everything
        for part in container.parts:
            if not self._has(part):
                self.repo.download(part, self._local(part), progress.bytes)
                self._write_record(self._local(part), part.path)
        try:
            targets = _targets(self._members(container), wanted, left) if wanted else targets
            damaged = self._extract(container, targets, progress, counted=False)
            problems = [self.reasons[target.stem] for target in damaged.values()]
        except DamagedError as error:
            problems = [str(error)]
        if problems:
            self._verify(container)
            log.warning("%s", "\n".join(problems))
        if not self.dataset.keep_archives:
            for path in map(self._local, container.parts):
                if self._record_of(path):  # archives of the user stay
                    path.unlink()
                    remove_download_record(self.dataset.data_dir, path)

    def _extract(
        self, container: Container, targets: Mapping[Member, Path], progress: TransferProgress, counted: bool = True
    ) -> dict[Member, Path]:
        """Extract members of an archive; those that are damaged, as are all if the archive is."""
        damaged = {}
        with self._opened(container) as stream:
            for member, target in targets.items():
                try:
                    archive = Archive(stream, container.name)
                    archive.extract(member, target, progress.bytes if counted else lambda _: None)
                except DamagedError as error:
                    self.reasons[target.stem] = str(error)
                    damaged[member] = target
                    continue
                self.reasons.pop(target.stem, None)
                self._found.add(target)
                self._write_record(target, *(part.path for part in container.parts))
                progress.files(1)
        return damaged

    def _verify(self, container: Container) -> None:
        """Make sure that a damaged archive is what the commit holds, and not a bad copy."""
        for part in container.parts:
            path = self._local(part)
            if (found := content_digest(path, part.digest)) != part.digest:
                raise InputError(
                    "is damaged",
                    file=path,
                    value=found,
                    expected=part.digest,
                    hint="remove it and run again to download it",
                )

    @contextmanager
    def _opened(self, container: Container) -> Iterator[BinaryIO]:
        """An archive as one stream, from disk if it is there."""
        assert self.repo
        with ExitStack() as stack:
            here = self._is_here(container)
            streams: list[BinaryIO] = [
                stack.enter_context(self._local(part).open("rb") if here else self.repo.open(part))
                for part in container.parts
            ]
            yield streams[0] if len(streams) == 1 else JoinedFile(streams)  # type: ignore[misc]

    def _check_space(self, transfers: list[Transfer]) -> int:
        """Check that the disk has room for everything before anything is fetched; the free bytes."""
        unpacked = sum(member.size for one in transfers for member in one.targets)
        unpacked += sum(one.source.size for one in transfers if one.wanted)  # a guess: videos do not shrink
        archives = sorted((self._missing_bytes(one.source) for one in transfers if one.whole), reverse=True)
        single = sum(self._missing_bytes(one.source) for one in transfers if isinstance(one.source, RemoteFile))
        unpacked -= sum(one.source.size for one in transfers if isinstance(one.source, RemoteFile))
        at_once = archives if self.dataset.keep_archives else archives[: self.workers]
        needed = unpacked + single + sum(at_once)
        self.dataset.data_dir.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.dataset.data_dir).free
        if needed > free:
            raise InputError(
                f"the disk is too small: {size_text(needed)} are needed, {size_text(free)} are free",
                file=self.dataset.data_dir,
                hint="choose fewer questions (limit, groups, video_ids), or set data_dir to a larger disk",
            )
        return free

    def _download_size(self, transfer: Transfer) -> int:
        """Bytes that the progress counts; for an unfinished file, including those that are already there."""
        if isinstance(transfer.source, RemoteFile):
            return transfer.source.size
        if transfer.whole:
            return sum(part.size for part in transfer.source.parts if not self._has(part))
        return sum(member.size for member in transfer.targets)

    def _missing_bytes(self, source: RemoteFile | Container) -> int:
        parts = source.parts if isinstance(source, Container) else (source,)
        return sum(
            max(0, part.size - arrived(partial_path(part, self._local(part)))) for part in parts if not self._has(part)
        )

    def _local(self, file: RemoteFile) -> Path:
        return self.dataset.data_dir / file.path

    def _has(self, file: RemoteFile) -> bool:
        path = self._local(file)
        return path.is_file() and path.stat().st_size == file.size

    def _is_here(self, container: Container) -> bool:
        return all(map(self._has, container.parts))

    # Records of downloaded files

    @property
    def _records(self) -> Path:
        return self.dataset.data_dir / RECORDS

    def _record_of(self, path: Path) -> DownloadRecord | None:
        return read_download_record(self.dataset.data_dir, path)

    def _write_record(self, path: Path, *sources: str) -> None:
        assert self.repo
        stat, old = path.stat(), self._record_of(path)
        record = DownloadRecord(
            repo=self.repo.name,
            revision=self.repo.commit,
            source={name: self.repo.files()[name].digest for name in sources},
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            sha256=old.sha256 if old and old.matches(path) else file_digest(path),
        )
        write_download_record(self.dataset.data_dir, path, record)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One download into a folder at a time."""
        from huggingface_hub.utils import WeakFileLock

        self._records.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(self._records / "lock"):
            yield

    def _remove_leftovers(self) -> None:
        """Remove partial members of a run that was killed (partial downloads are kept and continued)."""
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
        texts = []
        if dataset.subtitle_dir:
            named = {question["subtitles"] for question in questions if question["subtitles"]}
            texts = [dataset.subtitle_dir / text for text in sorted(named)]
            paths += filter(Path.is_file, texts)
        with ThreadPoolExecutor(self.workers) as pool:
            files = dict(zip(map(self._relative, paths), pool.map(self._describe, paths), strict=True))
        missing = [name for name, same in found.items() if not same]
        if missing:
            log.warning("%d of %d videos are missing: %s", len(missing), len(names), _some(missing))
            if self.offline_reason:
                log.warning("nothing was downloaded: %s", self.offline_reason)
            elif absent := [name for name in missing if name not in self.reasons]:
                log.warning("%s does not have %s", self.repo, _some(absent))
        unnamed = f"not downloaded: {self.offline_reason}" if self.offline_reason else f"{self.repo} does not have it"
        return {
            "kind": dataset.kind,
            "repo": self.repo.name if self.repo else None,
            "revision": self.repo.revision if self.repo else None,
            "questions": len(questions),
            "videos": len(names),
            "files": files,
            "missing": missing,
            "reasons": {name: self.reasons.get(name, unnamed) for name in missing},
            "try_again": self.could_download and bool(missing or not all(map(Path.is_file, texts))),
        }

    def _describe(self, path: Path) -> dict[str, Any]:
        size, record = path.stat().st_size, self._record_of(path)
        digest = record.sha256 if record and record.matches(path) else cached_digest(path, self.cache)
        origin = "given"
        if record and digest == record.sha256:
            origin = f"{record.repo}@{record.revision}: {', '.join(record.source)}"
        elif record:
            log.warning("%s was changed after its download; it is used as it is (remove it to fetch it again)", path)
        return {"size": size, "sha256": digest, "from": origin}

    def _relative(self, path: Path) -> str:
        inside = path.is_relative_to(self.dataset.data_dir)
        return (path.relative_to(self.dataset.data_dir) if inside else path).as_posix()


def _containers(files: Iterable[RemoteFile]) -> list[Container]:
    """Archives; the parts of a split one are put together in the order of their names.

    Examples
    --------
    >>> files = [RemoteFile(name, 1, "git:0") for name in ("v.tar.part.ab", "v.tar.part.aa", "subtitles.zip")]
    >>> [(one.name, len(one.parts)) for one in _containers(files)]
    [('subtitles.zip', 1), ('v.tar', 2)]
    """
    groups: dict[str, list[RemoteFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        groups.setdefault(PART.sub("", file.path), []).append(file)
    return [Container(name, tuple(parts)) for name, parts in groups.items()]


def _targets(members: Iterable[Member], wanted: MissingFiles, names: Collection[str]) -> dict[Member, Path]:
    """The members that are wanted, and where to store them; the first of several with the same name."""
    left, targets = set(names), {}
    for member in members:
        target = wanted.target(member.name)
        if target and (name := wanted.name_of(target)) in left:
            left.discard(name)
            targets[member] = target
    return targets


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:5]) + (f" and {len(ordered) - 5} more" if len(ordered) > 5 else "")
