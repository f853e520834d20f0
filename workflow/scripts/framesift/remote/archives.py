"""Taking chosen files out of archives, whether these lie on disk or, unread for the most part, on the hub."""

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

from framesift.core.errors import InputError
from framesift.storage.files import atomic_write

CHUNK = 8 << 20
#: By how much deflate can pack at most is 1032; videos are hardly packed at all, subtitles by a factor of five or so.
LARGEST_RATIO = 100
#: Bytes to which the ratio is not applied: small files of one letter are no attack.
SMALL = 1 << 20
#: Bytes of the longest header of a .tar.
LONGEST_HEADER = 16 << 20


class Damaged(InputError):
    """What was read is not what was packed or announced; trying again would not help."""


class Joined(io.RawIOBase):
    """Several seekable files read as the one they were cut from."""

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self.files = list(files)
        self.ends: list[int] = []
        for file in self.files:
            self.ends.append(file.seek(0, io.SEEK_END) + (self.ends[-1] if self.ends else 0))
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.ends[-1]}[whence]
        self.position = max(0, start + offset)
        return self.position

    def read(self, size: int = -1) -> bytes:
        size = self.ends[-1] - self.position if size < 0 else size
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
        Bytes when taken out.
    offset : int
        Where its content starts in a .tar; unused for a .zip, which keeps an index of its own.
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
    """Whether an archive of this name is a .zip (or one cut into parts); else it is taken for a .tar."""
    return ".zip" in PurePosixPath(name.lower()).suffixes


def read_index(stream: BinaryIO, name: str) -> list[Member]:
    """The members of an archive: regular files. Links, folders, devices and files with holes are none.

    Of several of one name it is the last, as for every unpacker.

    Raises
    ------
    Damaged
        For a stream that is no such archive, or one whose members cannot all be what they say they are.
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
    """An archive whose members can be taken out, in a seekable stream."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream = stream
        self.name = name
        with _reading(name):
            self._zip = zipfile.ZipFile(stream) if is_zip(name) else None

    def extract(self, member: Member, target: Path, progress: Callable[[int], None] = lambda _: None) -> None:
        """Write a member where the caller says (never where its name points to), whole or not at all.

        Raises
        ------
        Damaged
            Where its content is not what was packed (a .zip has check sums), or ends too early.
        """
        with (
            _reading(self.name, f"{member.name} cannot be taken out"),
            atomic_write(target) as part,
            part.open("wb") as copy,
        ):
            if self._zip:
                with self._zip.open(member.name) as source:
                    _copy(source, copy, member.size, progress)
                    if source.read(1):  # reading to the end also makes zipfile compare the check sum
                        raise EOFError("it is longer than it says")
            else:
                self.stream.seek(member.offset)
                _copy(self.stream, copy, member.size, progress)


@contextmanager
def _reading(name: str, problem: str = "cannot be read as an archive") -> Iterator[None]:
    """Whatever a damaged or hostile archive makes the libraries raise, as one error. Those of the disk stay."""
    try:
        yield
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:  # bz2 raises a bare one for damaged data
            raise
        raise Damaged(f"{problem} ({error})", file=name) from None
    except (
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
        *(EOFError, LookupError, ValueError, ArithmeticError, NotImplementedError, RuntimeError, MemoryError),
    ) as error:
        raise Damaged(f"{problem} ({error or type(error).__name__})", file=name) from None


def _files_of_zip(stream: BinaryIO, size: int) -> Iterator[zipfile.ZipInfo]:
    packed = 0
    for item in zipfile.ZipFile(stream).infolist():
        packed += item.compress_size
        if packed > size:
            raise ValueError("its members overlap")
        if item.file_size > LARGEST_RATIO * item.compress_size + SMALL:
            raise ValueError(f"{item.filename!r} would grow from {item.compress_size:,} to {item.file_size:,} bytes")
        if not item.is_dir() and item.external_attr >> 16 & 0o170000 in (0, 0o100000):  # the Unix mode, if there is one
            yield item


def _files_of_tar(stream: BinaryIO, size: int) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=_Frugal(stream), mode="r:") as tar:
        for item in tar:
            if item.isreg() and not item.issparse():
                if not 0 <= item.size <= size - item.offset_data:
                    raise ValueError(f"{item.name!r} of {item.size:,} bytes is longer than the archive")
                yield item


class _Frugal(io.RawIOBase):
    """A stream for tarfile, which reads long headers (names, attributes) at once, however long they say they are."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
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
