"""Taking chosen files out of archives, whether these lie on disk or, unread for the most part, on the hub."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from framesift.errors import InputError
from framesift.files import whole

CHUNK = 8 << 20


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
    """The members of an archive. Links, folders and devices are none.

    Raises
    ------
    Damaged
        For a stream that is no such archive.
    """
    try:
        if is_zip(name):
            return [
                Member(item.filename, item.file_size) for item in zipfile.ZipFile(stream).infolist() if _is_file(item)
            ]
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            return [Member(item.name, item.size, item.offset_data) for item in tar if item.isreg()]
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise Damaged(f"cannot be read as an archive ({error})", file=name) from None


class Archive:
    """An archive whose members can be taken out, in a seekable stream."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream = stream
        self.name = name
        try:
            self._zip = zipfile.ZipFile(stream) if is_zip(name) else None
        except zipfile.BadZipFile as error:
            raise Damaged(f"cannot be read as an archive ({error})", file=name) from None

    def extract(self, member: Member, target: Path, progress: Callable[[int], None] = lambda _: None) -> None:
        """Write a member where the caller says (never where its name points to), whole or not at all.

        Raises
        ------
        Damaged
            Where its content is not what was packed (a .zip has check sums), or ends too early.
        """
        try:
            with whole(target) as temporary, temporary.open("wb") as copy:
                if self._zip:
                    with self._zip.open(member.name) as source:
                        _copy(source, copy, member.size, progress)
                        if source.read(1):  # reading to the end also makes zipfile compare the check sum
                            raise EOFError("it is longer than it says")
                else:
                    self.stream.seek(member.offset)
                    _copy(self.stream, copy, member.size, progress)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
            raise Damaged(f"{member.name} cannot be taken out ({error})", file=self.name) from None


def _copy(source: BinaryIO | IO[bytes], copy: BinaryIO, size: int, progress: Callable[[int], None]) -> None:
    left = size
    while left:
        piece = source.read(min(CHUNK, left))
        if not piece:
            raise EOFError(f"ends after {size - left} of {size} bytes")
        copy.write(piece)
        left -= len(piece)
        progress(len(piece))


def _is_file(item: zipfile.ZipInfo) -> bool:
    kind = item.external_attr >> 16 & 0o170000  # of the Unix mode, where there is one
    return not item.is_dir() and kind in (0, 0o100000)
