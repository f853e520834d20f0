"""Repositories of the Hugging Face hub: what is in one, and getting it, verified, and resumed after a stop.

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
from framesift.remote.archives import Damaged

ATTEMPTS = 5
#: Bytes asked for in one request when a part of a file is read.
BLOCK = 8 << 20

Kind = Literal["dataset", "model"]
#: The setting that names a repository, and what its user may do instead of asking the hub.
FIELDS = {"dataset": "repo", "model": "model"}
INSTEAD = {
    "dataset": "files you already have can be put into data_dir instead",
    "model": "a folder with the checkpoint can be given as `model` instead",
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
        The commit; None for the head of `main`, which `commit` then names.
    kind : str
        What it holds: ``dataset`` or ``model``.
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
        """The commit; asked of the hub where none is pinned."""
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
            Where the repository has none of this path.
        """
        if path not in self.files():
            near = [name for name in self.files() if Path(name).suffix == Path(path).suffix]
            raise InputError(
                f"has no file {path}",
                file=str(self),
                expected=f"for example {', '.join(sorted(near)[:5])}" if near else None,
                hint=f"{FIELDS[self.kind]} or revision of the {self.kind}, or the name of the file, may be mistaken",
            )
        return self.files()[path]

    def download(self, file: RemoteFile, target: Path, progress: Callable[[int], None] = lambda _: None) -> None:
        """Download a file, verify it, and move it to `target`.

        What an earlier, interrupted attempt left (in a hidden file beside `target`, named by the content's digest) is
        kept and continued: huggingface_hub itself starts a file again from zero.

        Parameters
        ----------
        file : RemoteFile
        target : path
        progress : callable
            Called with the number of new bytes, again and again; negative where bytes had to be thrown away.

        Raises
        ------
        InputError
            Where the file cannot be had, or twice arrived with another content than the hub announces.
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
                raise Damaged(
                    "arrived twice with another content than the hub announces",
                    file=f"{self}: {file.path}",
                    value=found,
                    expected=file.digest,
                    hint="a proxy or mirror (HF_ENDPOINT) may serve a damaged copy; nothing was kept",
                )
            log.warning("%s: %s arrived damaged; once more", self, file.path)

    def _fill(self, file: RemoteFile, stream: BinaryIO, progress: Callable[[int], None]) -> None:
        """Append to `stream` what it lacks of the file; a broken connection is taken up where it broke."""
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
                    attempt = 0 if stream.tell() > done else attempt + 1  # progress earns new patience
                    if attempt == ATTEMPTS or not _passes(error):
                        raise
                    log.warning("%s: %s; waiting, then going on", file.path, str(error).split("\n")[0])
                    time.sleep(min(2**attempt, 30))

    def open(self, file: RemoteFile) -> BinaryIO:
        """The file as a seekable stream that fetches only what is read."""
        from huggingface_hub import HfFileSystem, constants

        with hub_errors(self.name, self.commit, self.kind):
            # no read-ahead: an archive is read in small steps for its index, then in large ones for its members
            return HfFileSystem(endpoint=constants.ENDPOINT).open(
                f"{_prefix(self.kind)}{self.name}@{self.commit}/{file.path}", "rb", cache_type="none", block_size=BLOCK
            )


def offline() -> bool:
    """Whether the user said that the hub must not be asked."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def partial_path(file: RemoteFile, target: Path) -> Path:
    """Where the beginning of an unfinished download lies."""
    return target.with_name(f".{target.name}.{file.digest.split(':')[1][:12]}.part")


def content_digest(path: Path, like: str) -> str:
    """Digest of a file in the form of another digest (``sha256:...`` or ``git:...``)."""
    kind = like.split(":")[0]
    with open(path, "rb") as stream:
        if kind == "sha256":
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        content = stream.read()  # only small files are known by their git blob id
    blob = b"blob %d\0" % len(content) + content
    return f"git:{hashlib.sha1(blob, usedforsecurity=False).hexdigest()}"


@contextmanager
def hub_errors(repo: str, revision: str, kind: Kind = "dataset") -> Iterator[None]:
    """Turn what the hub refuses into errors that say what to do."""
    from httpx2 import TransportError
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{_prefix(kind)}{repo}"
    try:
        yield
    except errors.GatedRepoError as error:
        known = error.response is not None and error.response.status_code == 403
        raise InputError(
            "is gated, and your account has no access to it" if known else "is gated, and you are not logged in",
            file=repo,
            hint=f"accept the terms at {page}, make a token at {constants.ENDPOINT}/settings/tokens, and log in with"
            f" `hf auth login` or set HF_TOKEN; {INSTEAD[kind]}",
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError("has no such revision", file=repo, field="revision", value=revision) from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            "is not on the hub, or not for you to see",
            file=repo,
            field=FIELDS[kind],
            hint=f"look at {page}; for a private repository log in with `hf auth login` or set HF_TOKEN",
        ) from None
    except errors.EntryNotFoundError as error:
        raise InputError(f"lacks a file ({error})".splitlines()[0], file=repo, field=revision) from None
    except errors.HFValidationError as error:
        raise InputError(f"is no name of a repository ({error})", file=repo, field=FIELDS[kind]) from None
    except errors.OfflineModeIsEnabled:
        raise InputError(
            "is needed, but the hub must not be asked (HF_HUB_OFFLINE is set)",
            file=repo,
            hint=f"unset HF_HUB_OFFLINE; or {INSTEAD[kind]}",
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise InputError(
            f"the hub does not serve it now (status {status})",
            file=repo,
            hint="what arrived is kept; run again to continue",
        ) from None
    except TransportError as error:
        raise InputError(
            f"the hub cannot be reached ({type(error).__name__}: {error})",
            file=page,
            hint="what arrived is kept; run again to continue. On a machine without network set HF_HUB_OFFLINE=1",
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot be downloaded ({error})", file=repo, hint="what arrived is kept; run again to continue"
        ) from None


def _prefix(kind: Kind) -> str:
    """What stands before a repository's name in its address; nothing for a model."""
    from huggingface_hub import constants

    return constants.REPO_TYPES_URL_PREFIXES.get(kind, "")


def _refuse_escape(path: str, repo: Repo) -> None:
    """Refuse a file that would be written outside of its folder: git has no such names, but a server may send them."""
    parts = path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\\" in path or not path.isprintable():
        raise InputError("lists a file that leaves its folder", file=str(repo), value=path)


def _passes(error: Exception) -> bool:
    """Whether waiting may help: the network, or a server that is busy."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response is not None and error.response.status_code in (408, 429, 500, 502, 503, 504)
    return getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def _progress_bar(progress: Callable[[int], None]) -> type:
    """A bar for huggingface_hub that passes on what it is told and shows nothing itself."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            progress(int(n or 0))

    return Bar
