"""Extract chosen files from archives, on disk or on the hub, where only the pieces that are needed are read."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from framesift.remote.seekable import SeekableReader
from framesift.storage.checksums import DamagedError
from framesift.storage.files import atomic_write

CHUNK = 8 << 20
#: Largest ratio of unpacked to packed size. Deflate reaches 1032; videos hardly shrink, subtitles about fivefold.
MAX_RATIO = 100
#: Unpacked bytes to which the ratio does not apply: a small file of one repeated letter is not an attack.
MAX_SMALL = 1 << 20
#: Bytes of the longest header of a .tar.
MAX_HEADER = 16 << 20


class JoinedFile(SeekableReader):
    """Several seekable files read as the one they were split from.

    Examples
    --------
    >>> JoinedFile([io.BytesIO(b"fra"), io.BytesIO(b"mes")]).read()
    b'frames'
    """

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self.files = list(files)
        self.ends: list[int] = []
        for file in self.files:
            self.ends.append(file.seek(0, io.SEEK_END) + (self.ends[-1] if self.ends else 0))
        super().__init__(self.ends[-1])

    def read(self, size: int = -1) -> bytes:
        size = self.size - self.position if size < 0 else size
        pieces = []
        for number, end in enumerate(self.ends):
            if size <= 0 or self.position >= end:
                continue
            file = self.files[number]
            file.seek(self.position - (self.ends[number - 1] if number else 0))
            piece = file.read(min(size, end - self.position))
            pieces.append(piece)
            self.position += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        for file in self.files:
            file.close()
        super().close()


@dataclass(frozen=True)
class Member:
    """A regular file in an archive.

    Attributes
    ----------
    name : str
        Its path there.
    size : int
        Bytes when unpacked.
    offset : int
        Where its content starts in a .tar; unused for a .zip, which has an index of its own.

    Examples
    --------
    >>> member = Member("videos/a.MP4", 10)
    >>> member.stem, member.suffix
    ('a', '.mp4')
    """

    name: str
    size: int
    offset: int = 0

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()


def is_zip(name: str) -> bool:
    """Whether an archive of this name is a .zip, or a .zip split into parts; any other counts as a .tar.

    Examples
    --------
    >>> is_zip("videos.zip.001"), is_zip("videos.tar.part.aa")
    (True, False)
    """
    return ".zip" in PurePosixPath(name.lower()).suffixes


def read_index(stream: BinaryIO, name: str) -> list[Member]:
    """The members of an archive: its regular files, without links, folders, devices and sparse files.

    If several have the same name, the last one counts, as for every unpacker.

    Parameters
    ----------
    stream : BinaryIO
        Seekable.
    name : str
        Name of the archive, which says whether it is a .zip.

    Raises
    ------
    DamagedError
        If the stream is not such an archive, or states sizes that cannot be true.

    Examples
    --------
    >>> stream = io.BytesIO()
    >>> with zipfile.ZipFile(stream, "w") as archive:
    ...     archive.writestr("a.srt", "hello")
    >>> read_index(stream, "subtitles.zip")
    [Member(name='a.srt', size=5, offset=0)]
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    with _reading(name):
        if is_zip(name):
            members = [Member(item.filename, item.file_size) for item in _files_of_zip(stream, size)]
        else:
            members = [Member(item.name, item.size, item.offset_data) for item in _files_of_tar(stream, size)]
    return list({member.name: member for member in members}.values())


class Archive:
    """An archive in a seekable stream, whose members can be extracted.

    Examples
    --------
    >>> import tempfile
    >>> stream = io.BytesIO()
    >>> with zipfile.ZipFile(stream, "w") as archive:
    ...     archive.writestr("a.srt", "hello")
    >>> (member,) = read_index(stream, "subtitles.zip")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Archive(stream, "subtitles.zip").extract(member, Path(folder, "a.srt"))
    ...     Path(folder, "a.srt").read_text()
    'hello'
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream = stream
        self.name = name
        with _reading(name):
            self._zip = zipfile.ZipFile(stream) if is_zip(name) else None

    def extract(self, member: Member, target: Path, progress: Callable[[int], None] = lambda _: None) -> None:
        """Write a member to `target` (never to where its name points), completely or not at all.

        Parameters
        ----------
        member : Member
        target : path
        progress : callable
            Called with the number of new bytes, again and again.

        Raises
        ------
        DamagedError
            If its content is not what was packed (a .zip has checksums), or ends early.
        """
        with (
            _reading(self.name, f"{member.name} cannot be extracted"),
            atomic_write(target) as part,
            part.open("wb") as copy,
        ):
            if self._zip:
                with self._zip.open(member.name) as source:
                    _copy(source, copy, member.size, progress)
                    if source.read(1):  # reading to the end also makes zipfile compare the checksum
                        raise EOFError("it is longer than stated")
            else:
                self.stream.seek(member.offset)
                _copy(self.stream, copy, member.size, progress)


@contextmanager
def _reading(name: str, problem: str = "cannot be read as an archive") -> Iterator[None]:
    """Raise one error for whatever the libraries raise for a damaged or hostile archive; errors of the disk stay."""
    try:
        yield
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:  # bz2 raises a bare one for damaged data
            raise
        raise DamagedError(f"{problem} ({error})", file=name) from None
    except (
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
        *(EOFError, LookupError, ValueError, ArithmeticError, NotImplementedError, RuntimeError, MemoryError),
    ) as error:
        raise DamagedError(f"{problem} ({error or type(error).__name__})", file=name) from None


def _files_of_zip(stream: BinaryIO, size: int) -> Iterator[zipfile.ZipInfo]:
    packed = 0
    for item in zipfile.ZipFile(stream).infolist():
        packed += item.compress_size
        if packed > size:
            raise ValueError("its members overlap")
        if item.file_size > MAX_RATIO * item.compress_size + MAX_SMALL:
            raise ValueError(f"{item.filename!r} would grow from {item.compress_size:,} to {item.file_size:,} bytes")
        if not item.is_dir() and item.external_attr >> 16 & 0o170000 in (0, 0o100000):  # the Unix mode, if there is one
            yield item


def _files_of_tar(stream: BinaryIO, size: int) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=_LimitedReader(stream), mode="r:") as tar:
        for item in tar:
            if item.isreg() and not item.issparse():
                if not 0 <= item.size <= size - item.offset_data:
                    raise ValueError(f"{item.name!r} of {item.size:,} bytes is longer than the archive")
                yield item


class _LimitedReader(io.RawIOBase):
    """A stream for tarfile, which reads a long header (names, attributes) at once, however long it claims to be."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise ValueError(f"a header of {size:,} bytes")
        return self.stream.read(size)


def _copy(source: BinaryIO | IO[bytes], copy: BinaryIO, size: int, progress: Callable[[int], None]) -> None:
    left = size
    while left:
        piece = source.read(min(CHUNK, left))
        if not piece:
            raise EOFError(f"ends after {size - left} of {size} bytes")
        copy.write(piece)
        left -= len(piece)
        progress(len(piece))
