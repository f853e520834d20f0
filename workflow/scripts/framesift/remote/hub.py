"""Repositories of the Hugging Face hub: list their files, and download them, verified and resumed.

The endpoint (HF_ENDPOINT), the token (HF_TOKEN, or ``hf auth login``) and offline mode (HF_HUB_OFFLINE) are those of
huggingface_hub.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from framesift.core.errors import InputError
from framesift.program.cli import log
from framesift.storage.checksums import DamagedError, file_digest

ATTEMPTS = 5
#: Bytes of one request when a part of a file is read.
BLOCK = 8 << 20

Kind = Literal["dataset", "model"]
#: The setting that names a repository, and what a user can do without the hub.
FIELDS = {"dataset": "repo", "model": "model"}
ALTERNATIVES = {
    "dataset": "or put files that you already have into data_dir",
    "model": "or set `model` to a folder with the checkpoint",
}


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository at one commit.

    Attributes
    ----------
    path : str
        Within the repository.
    size : int
        Bytes.
    digest : str
        ``sha256:...`` for a large file, ``git:...`` (its git blob id) for a small one.
    """

    path: str
    size: int
    digest: str


class Repo:
    """A repository at one commit.

    Parameters
    ----------
    name : str
        ``organisation/name``.
    revision : str or None
        The commit; None for the head of `main`, whose commit is then in `commit`.
    kind : str
        ``dataset`` or ``model``.

    Examples
    --------
    >>> str(Repo("lmms-lab/Video-MME", "ead1408f75b618502df9a1d8e0950166bf0a2a0b"))
    'lmms-lab/Video-MME@ead1408f75b6'
    """

    def __init__(self, name: str, revision: str | None, kind: Kind = "dataset") -> None:
        self.name = name
        self.revision = revision
        self.kind = kind
        self._files: dict[str, RemoteFile] | None = None

    def __str__(self) -> str:
        return f"{self.name}@{(self.revision or 'main')[:12]}"

    @property
    def commit(self) -> str:
        """The commit; from the hub if none is pinned."""
        if self.revision is None:
            from huggingface_hub import HfApi

            with hub_errors(self.name, "main", self.kind):
                self.revision = str(HfApi().repo_info(self.name, repo_type=self.kind).sha)
            log.warning("%s is not pinned; using commit %s (set `revision` to it)", self.name, self.revision)
        return self.revision

    def files(self) -> dict[str, RemoteFile]:
        """Every file of the repository, by path."""
        if self._files is None:
            from huggingface_hub import HfApi
            from huggingface_hub.hf_api import RepoFile

            with hub_errors(self.name, self.commit, self.kind):
                tree = HfApi().list_repo_tree(self.name, recursive=True, revision=self.commit, repo_type=self.kind)
                self._files = {
                    item.path: RemoteFile(
                        item.path, item.size, f"sha256:{item.lfs.sha256}" if item.lfs else f"git:{item.blob_id}"
                    )
                    for item in tree
                    if isinstance(item, RepoFile)
                }
            for path in self._files:
                _refuse_escape(path, self)
        return self._files

    def file(self, path: str) -> RemoteFile:
        """One file.

        Raises
        ------
        InputError
            If the repository has no such file.
        """
        if path not in self.files():
            near = [name for name in self.files() if Path(name).suffix == Path(path).suffix]
            raise InputError(
                f"does not contain {path}",
                file=str(self),
                expected=f"for example {', '.join(sorted(near)[:5])}" if near else None,
                hint=f"check {FIELDS[self.kind]} and revision of the {self.kind}, and the name of the file",
            )
        return self.files()[path]

    def download(self, file: RemoteFile, target: Path, progress: Callable[[int], None] = lambda _: None) -> None:
        """Download a file, verify it, and move it to `target`.

        An interrupted download (in a hidden file next to `target`, named by the content's digest) is continued;
        huggingface_hub itself would start the file again.

        Parameters
        ----------
        file : RemoteFile
        target : path
        progress : callable
            Called with the number of new bytes, again and again; negative if bytes had to be discarded.

        Raises
        ------
        InputError
            If the file cannot be downloaded.
        DamagedError
            If its content twice is not what the hub announces.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        part = partial_path(file, target)
        for last_try in (False, True):
            with part.open("ab") as stream:
                progress(stream.tell())
                self._fill(file, stream, progress)
            found = content_digest(part, file.digest)
            if found == file.digest:
                os.replace(part, target)
                return
            part.unlink()
            progress(-file.size)
            if last_try:
                raise DamagedError(
                    "its content twice was not what the hub announces",
                    file=f"{self}: {file.path}",
                    value=found,
                    expected=file.digest,
                    hint="a proxy or mirror (HF_ENDPOINT) may serve a damaged copy; partial files were discarded",
                )
            log.warning("%s: %s arrived damaged; downloading it again", self, file.path)

    def _fill(self, file: RemoteFile, stream: BinaryIO, progress: Callable[[int], None]) -> None:
        """Append the missing rest of the file to `stream`; a broken connection is resumed where it broke."""
        from httpx2 import TransportError
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        bar = _progress_bar(progress)
        url = hf_hub_url(self.name, file.path, repo_type=self.kind, revision=self.commit)
        attempt = 0
        with hub_errors(self.name, self.commit, self.kind):
            while (done := stream.tell()) < file.size:
                try:
                    http_get(
                        url,
                        stream,
                        resume_size=done,
                        headers=build_hf_headers(),
                        expected_size=file.size,
                        tqdm_class=bar,
                    )
                except (TransportError, OSError) as error:
                    attempt = 0 if stream.tell() > done else attempt + 1  # progress resets the count
                    if attempt == ATTEMPTS or not _is_transient(error):
                        raise
                    log.warning("%s: %s; resuming after a pause", file.path, str(error).split("\n")[0])
                    time.sleep(min(2**attempt, 30))

    def open(self, file: RemoteFile) -> BinaryIO:
        """The file as a seekable stream that downloads only what is read."""
        from huggingface_hub import HfFileSystem, constants

        with hub_errors(self.name, self.commit, self.kind):
            # no read-ahead: an archive is read in small steps for its index, then in large ones for its members
            return HfFileSystem(endpoint=constants.ENDPOINT).open(
                f"{_prefix(self.kind)}{self.name}@{self.commit}/{file.path}", "rb", cache_type="none", block_size=BLOCK
            )


def offline() -> bool:
    """Whether the user turned off access to the hub (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def partial_path(file: RemoteFile, target: Path) -> Path:
    """Where the beginning of an unfinished download is stored.

    Examples
    --------
    >>> partial_path(RemoteFile("v/a.mp4", 9, "sha256:0123456789abcdef"), Path("data/a.mp4")).as_posix()
    'data/.a.mp4.0123456789ab.part'
    """
    return target.with_name(f".{target.name}.{file.digest.split(':')[1][:12]}.part")


def content_digest(path: Path, like: str) -> str:
    """Digest of a file in the form of another digest (``sha256:...`` or ``git:...``).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     content_digest(Path(file.name), "git:")
    'git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    kind = like.split(":")[0]
    if kind == "sha256":
        return f"sha256:{file_digest(path)}"
    content = path.read_bytes()  # only small files are known by their git blob id
    blob = b"blob %d\0" % len(content) + content
    return f"git:{hashlib.sha1(blob, usedforsecurity=False).hexdigest()}"


@contextmanager
def hub_errors(repo: str, revision: str, kind: Kind = "dataset") -> Iterator[None]:
    """Turn errors of the hub into errors that say what to do."""
    from httpx2 import TransportError
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{_prefix(kind)}{repo}"
    try:
        yield
    except errors.GatedRepoError as error:
        known = error.response is not None and error.response.status_code == 403
        raise InputError(
            "is gated, and your account does not have access" if known else "is gated, and you are not logged in",
            file=repo,
            hint=f"accept the terms at {page}, make a token at {constants.ENDPOINT}/settings/tokens, and log in with"
            f" `hf auth login` or set HF_TOKEN, {ALTERNATIVES[kind]}",
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError("there is no such revision", file=repo, field="revision", value=revision) from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            "does not exist, or you don't have access",
            file=repo,
            field=FIELDS[kind],
            hint=f"look at {page}; for a private repository log in with `hf auth login` or set HF_TOKEN",
        ) from None
    except errors.EntryNotFoundError as error:
        raise InputError(f"a file does not exist ({error})".splitlines()[0], file=repo, field=revision) from None
    except errors.HFValidationError as error:
        raise InputError(f"is not the name of a repository ({error})", file=repo, field=FIELDS[kind]) from None
    except errors.OfflineModeIsEnabled:
        raise InputError(
            "is needed, but access to the hub is turned off (HF_HUB_OFFLINE is set)",
            file=repo,
            hint=f"unset HF_HUB_OFFLINE, {ALTERNATIVES[kind]}",
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise InputError(
            f"the hub cannot serve it now (status {status})",
            file=repo,
            hint="downloaded data is kept; run again to continue",
        ) from None
    except TransportError as error:
        raise InputError(
            f"the hub cannot be reached ({type(error).__name__}: {error})",
            file=page,
            hint="downloaded data is kept; run again to continue. On a machine without network set HF_HUB_OFFLINE=1",
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot be downloaded ({error})", file=repo, hint="downloaded data is kept; run again to continue"
        ) from None


def _prefix(kind: Kind) -> str:
    """What precedes a repository's name in its address; empty for a model."""
    from huggingface_hub import constants

    return constants.REPO_TYPES_URL_PREFIXES.get(kind, "")


def _refuse_escape(path: str, repo: Repo) -> None:
    """Reject a file that would be written outside of its folder: git has no such names, but a server may send them."""
    parts = path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\\" in path or not path.isprintable():
        raise InputError("lists a file outside of its folder", file=str(repo), value=path)


def _is_transient(error: Exception) -> bool:
    """Whether trying again may help: the network failed, or the server is busy."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response is not None and error.response.status_code in (408, 429, 500, 502, 503, 504)
    return getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def _progress_bar(progress: Callable[[int], None]) -> type:
    """A progress bar for huggingface_hub that passes its updates on and shows nothing itself."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            progress(int(n or 0))

    return Bar
