"""Beginnings of files that are being downloaded. A process claims one by renaming it to a name of its own.

A rename has one winner on every file system. A lock may have several: on Lustre, GPFS and some NFS mounts, ``flock``
can succeed for everyone.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import socket
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Seconds after which a claimed file that does not grow counts as left by a process on another machine that died.
ABANDONED = 900.0


@contextmanager
def claimed(part: Path) -> Iterator[Path]:
    """Give this process a file of its own, which begins with what `part` or a process that died left behind.

    The caller moves the file to its final place or removes it. Otherwise it becomes `part` again, for the next claim.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     part = Path(folder, ".a.mp4.part")
    ...     _ = part.write_text("begin")
    ...     with claimed(part) as own:
    ...         print(part.exists(), own.read_text())
    ...     part.read_text()
    False begin
    'begin'
    """
    own = _own(part, ".part")
    for left in _left(part):
        with suppress(FileNotFoundError):  # another process was faster
            if own.exists():
                left.unlink()
            else:
                os.utime(left)  # first, so that nobody takes the file under its new name for an abandoned one
                os.rename(left, own)
    own.touch()
    try:
        yield own
    finally:
        with suppress(FileNotFoundError):
            if own.stat().st_size > arrived(part):
                os.replace(own, part)
            else:
                own.unlink()


@contextmanager
def own_folder(part: Path) -> Iterator[Path]:
    """A new folder of this process's own beside `part`, removed in the end, as are those of processes that died.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with own_folder(Path(folder, ".a.mp4.part")) as own:
    ...         print(own.parent == Path(folder), own.is_dir())
    ...     own.exists()
    True True
    False
    """
    for left in part.parent.glob(f"{glob.escape(part.stem)}.*-*-*.new"):
        if _is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    own = _own(part, ".new")
    own.mkdir()
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def arrived(part: Path) -> int:
    """Bytes that a claim of `part` would start with.

    Examples
    --------
    >>> arrived(Path("no-such-folder/.a.mp4.part"))
    0
    """
    return max((_size(left) for left in _left(part)), default=0)


def _own(part: Path, suffix: str) -> Path:
    """A name that says whose it is."""
    return part.with_name(f"{part.stem}.{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}{suffix}")


def _left(part: Path) -> list[Path]:
    """Files that nobody writes to, the largest first."""
    others = part.parent.glob(f"{glob.escape(part.stem)}.*-*-*.part")
    return sorted([part] * part.is_file() + [path for path in others if _is_abandoned(path)], key=_size, reverse=True)


def _is_abandoned(path: Path) -> bool:
    machine, process, _ = path.suffixes[-2].removeprefix(".").split("-", 2)
    try:
        if machine == _machine() and not _runs(int(process)):
            return True
        newest = max(one.stat().st_mtime for one in (path, *path.rglob("*")))
        return time.time() - newest > ABANDONED
    except (FileNotFoundError, ValueError, OverflowError):
        return False


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
