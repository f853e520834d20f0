"""Repositories of the Hugging Face hub: list their files, and download them, verified and resumed.

The endpoint (HF_ENDPOINT), the token (HF_TOKEN, or ``hf auth login``) and offline mode (HF_HUB_OFFLINE) are those of
huggingface_hub.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from framesift.core.errors import InputError
from framesift.program.cli import log
from framesift.remote.partial_files import arrived, claimed, own_folder
from framesift.remote.seekable import SeekableReader
from framesift.storage.checksums import DamagedError, file_digest

if TYPE_CHECKING:
    import httpx2

ATTEMPTS = 5
#: Bytes that one request asks for at most. The hub's CDN sends no reply of more than 50 GB.
LARGEST_REQUEST = 20 * 10**9
#: Errors of the disk, which no other server and no other way helps against.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)

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
    xet : bool
        Whether the hub keeps it in Xet, its storage of chunks.
    """

    path: str
    size: int
    digest: str
    xet: bool = False


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
                        item.path,
                        item.size,
                        f"sha256:{item.lfs.sha256}" if item.lfs else f"git:{item.blob_id}",
                        bool(item.xet_hash),
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

        A file that the hub keeps in Xet comes by huggingface_hub's own fast path: in parallel, but from the beginning
        after an interruption. Any other is downloaded by us: an interrupted download (in a hidden file next to
        `target`, named by the content's digest) is continued, and there is no largest size.

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
        MissingFileError
            If the commit lists the file, and the hub does not have it.
        DamagedError
            If its content twice is not what the hub announces.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        part = partial_path(file, target)
        if file.xet and _xet_works() and not arrived(part) and self._download_by_xet(file, target, progress):
            return
        for last_try in (False, True):
            with claimed(part) as own:
                with own.open("ab") as stream:
                    progress(stream.tell())
                    self._fill(file, stream, progress=progress)
                    size = stream.tell()
                found = content_digest(own, file.digest)
                if found == file.digest:
                    os.replace(own, target)
                    return
                own.unlink()
            progress(-size)
            if last_try:
                raise DamagedError(
                    "its content twice was not what the hub announces",
                    file=f"{self}: {file.path}",
                    value=found,
                    expected=file.digest,
                    hint="a proxy or mirror (HF_ENDPOINT) may serve a damaged copy; partial files were discarded",
                )
            log.warning("%s: %s arrived damaged; downloading it again", self, file.path)

    def _download_by_xet(self, file: RemoteFile, target: Path, progress: Callable[[int], None]) -> bool:
        """Whether a file came by Xet. If it did not, the other way works or says what is wrong."""
        from huggingface_hub import hf_hub_download

        counted = 0

        def count(n: int) -> None:
            nonlocal counted
            counted += n
            progress(n)

        with own_folder(partial_path(file, target)) as folder:
            try:
                arrived_at = hf_hub_download(
                    self.name,
                    file.path,
                    repo_type=self.kind,
                    revision=self.commit,
                    local_dir=folder,
                    tqdm_class=_progress_bar(count),
                )
                if content_digest(Path(arrived_at), file.digest) == file.digest:
                    os.replace(arrived_at, target)
                    progress(file.size - counted)
                    return True
                why = "its content is not what the hub announces"
            except Exception as error:  # whatever hf_xet raises; nothing of it tells how to go on
                if getattr(error, "errno", None) in _DISK:
                    raise
                why = str(error).split("\n")[0] or type(error).__name__
        progress(-counted)
        log.warning("%s did not arrive by Xet (%s); downloading it over HTTP", file.path, why)
        return False

    def _fill(
        self,
        file: RemoteFile,
        stream: BinaryIO,
        start: int = 0,
        stop: int | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Append to `stream` what it lacks of the bytes from `start` to `stop`; resume where a connection broke."""
        from httpx2 import RequestError

        length = (file.size if stop is None else stop) - start
        most = stream.tell()
        attempt = 0
        with hub_errors(self.name, self.commit, self.kind, file.path):
            while stream.tell() < length:
                try:
                    self._request(file, stream, start, length, progress)
                except (RequestError, OSError) as error:
                    attempt = 0 if stream.tell() > most else attempt + 1  # progress resets the count
                    if attempt == ATTEMPTS or not _is_transient(error):
                        raise
                    log.warning("%s: %s; resuming after a pause", file.path, str(error).split("\n")[0])
                    time.sleep(min(2**attempt, 30))
                most = max(most, stream.tell())

    def _request(
        self, file: RemoteFile, stream: BinaryIO, start: int, length: int, progress: Callable[[int], None]
    ) -> None:
        """One request for what is missing, or for as much of it as one request may ask for."""
        from huggingface_hub import constants, hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

        done = stream.tell()
        first, end = start + done, start + min(length, done + LARGEST_REQUEST)
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if first or end < file.size:
            headers["Range"] = f"bytes={first}-{'' if length == file.size == end else end - 1}"
        with http_stream_backoff(
            "GET",
            hf_hub_url(self.name, file.path, repo_type=self.kind, revision=self.commit),
            headers=headers,
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            retry_on_exceptions=(),
            retry_on_status_codes=(408, 429),
        ) as response:
            hf_raise_for_status(response)
            if "Range" in headers and not _is_range(response, first):
                if length < file.size:
                    raise NoRangesError(f"{constants.ENDPOINT} does not serve parts of files")
                progress(-done)  # it sends the file from the beginning
                stream.seek(0)
                stream.truncate()
                end = file.size
            missing = end - start - stream.tell()
            for chunk in response.iter_bytes(constants.DOWNLOAD_CHUNK_SIZE):
                stream.write(chunk[:missing])
                progress(min(len(chunk), missing))
                missing -= len(chunk)
                if missing < 0:  # a longer file is another one; its digest will tell
                    return
            if missing:
                raise OSError(f"{file.path} ended {missing:,} bytes too early")

    def open(self, file: RemoteFile) -> BinaryIO:
        """The file as a seekable stream that downloads only what is read.

        Its methods raise `NoRangesError` if the hub serves whole files only.
        """
        return _RemoteStream(self, file)  # type: ignore[return-value]


class MissingFileError(InputError):
    """A commit lists a file that the hub does not have. Another try does not help."""


class NoRangesError(Exception):
    """A server, such as a mirror of the hub, sends whole files when asked for a part of one."""


class _RemoteStream(SeekableReader):
    """Reads a file of the hub; each read is one request, since archives are read in few and large pieces."""

    def __init__(self, repo: Repo, file: RemoteFile) -> None:
        super().__init__(file.size)
        self.repo, self.file = repo, file

    def read(self, size: int = -1) -> bytes:
        stop = self.size if size < 0 else min(self.position + size, self.size)
        with io.BytesIO() as piece:
            if stop > self.position:
                self.repo._fill(self.file, piece, self.position, stop)
                self.position = stop
            return piece.getvalue()


def _is_range(response: httpx2.Response, first: int) -> bool:
    """Whether a reply holds what was requested: the part of the file that starts at byte `first`."""
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {first}-")


def _xet_works() -> bool:
    """Whether huggingface_hub can use Xet; HF_HUB_DISABLE_XET turns it off."""
    from huggingface_hub import constants

    return find_spec("hf_xet") is not None and not constants.HF_HUB_DISABLE_XET


def offline() -> bool:
    """Whether the user turned off access to the hub (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def partial_path(file: RemoteFile, target: Path) -> Path:
    """Where the beginning of an unfinished download is stored; see `framesift.remote.partial_files`.

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
def hub_errors(repo: str, revision: str, kind: Kind = "dataset", path: str | None = None) -> Iterator[None]:
    """Turn errors of the hub, about a repository or a file in it, into errors that say what to do."""
    from httpx2 import InvalidURL, RequestError
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
    except errors.EntryNotFoundError:
        raise _missing(repo, revision, kind, path) from None
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
        if status == 404:
            raise _missing(repo, revision, kind, path) from None
        raise InputError(
            f"the hub cannot serve it now (status {status})",
            file=repo,
            field=path,
            hint="downloaded data is kept; run again to continue",
        ) from None
    except (RequestError, InvalidURL) as error:
        raise InputError(
            f"the hub cannot be reached ({type(error).__name__}: {error})",
            file=page,
            hint="downloaded data is kept; run again to continue. On a machine without network set HF_HUB_OFFLINE=1",
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot be downloaded ({error.strerror or error})",
            file=repo,
            field=path,
            hint="downloaded data is kept; run again to continue",
        ) from None
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        # huggingface_hub expects a refusal to be JSON with the fields of its own server
        raise InputError(f"the hub sent a reply that cannot be read ({error})", file=repo, field=path) from error


def _missing(repo: str, revision: str, kind: Kind, path: str | None) -> InputError:
    """Status 404; mirrors do not always say of what."""
    if path:
        return MissingFileError(
            f"commit {revision[:12]} lists this file, but the hub does not have it", file=repo, field=path
        )
    return InputError(
        "the hub has no such repository or revision",
        file=repo,
        field="revision",
        value=revision,
        hint=f"check {FIELDS[kind]} and revision of the {kind}",
    )


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
    return getattr(error, "errno", None) not in _DISK


def _progress_bar(progress: Callable[[int], None]) -> type:
    """A progress bar for huggingface_hub that passes its updates on and shows nothing itself."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            progress(int(n or 0))

        # With these two, Xet reports bytes of the file here, and to no second bar what came over the network for them.
        def update_transfer(self, n: float) -> None:
            pass

        def set_transfer_postfix_str(self, *args, **kwargs) -> None:
            pass

    return Bar
