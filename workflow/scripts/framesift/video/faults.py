"""Whose fault it is that a video cannot be decoded: the content's, or the machine's.

What is wrong with the content excludes the video. A machine may be well again in a minute (its disk is back, memory is
free), so its faults end the job, and nothing is written down about the video. A decoder often says of both that data is
invalid. So a failure is the content's only if it comes again at the same frame of a file that can be read to its end
and is the one that was indexed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from framesift.core.errors import MachineError, VideoError
from framesift.storage.checksums import file_digest

if TYPE_CHECKING:
    import av

Item = TypeVar("Item")

#: Numbers of the operating system by which FFmpeg speaks of content; of memory, too, since headers ask for terabytes.
ABOUT_CONTENT = {
    errno.EINVAL, errno.ERANGE, errno.EDOM, errno.EAGAIN, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOMEM,
    errno.EPERM,  # from hardware that does not decode a codec
}  # fmt: skip
#: Bytes that a machine with enough memory can always give.
SPARE = 1 << 28


def failure(error: av.FFmpegError, path: object, problem: str) -> VideoError | MachineError:
    """What an error of FFmpeg is about, as an exception to raise."""
    if error.errno in errno.errorcode and error.errno not in ABOUT_CONTENT:
        return unreadable(path, error)
    return VideoError(f"{problem} ({error.strerror})")


def unreadable(path: object, error: OSError | MemoryError) -> MachineError:
    """The error for a video that the machine does not let us read."""
    reason = getattr(error, "strerror", None) or "no memory"
    return MachineError(
        f"cannot be read now ({reason})",
        file=path,
        hint="is its disk mounted and healthy? Run again when the file is there: finished videos and answers are kept",
    )


def check_readable(path: str | Path, digest: str) -> None:
    """Make sure that a failure to decode is not the machine's.

    Parameters
    ----------
    path : path
    digest : str
        SHA-256 of the file when it was indexed; empty if it is being indexed.

    Raises
    ------
    MachineError
        If the file cannot be read to its end, has other content than when it was indexed, or memory is short.
    """
    try:
        bytearray(SPARE)
        found = file_digest(path)
    except (OSError, MemoryError) as error:
        raise unreadable(path, error) from None
    if digest and found != digest:
        raise MachineError(
            "is not the file that was indexed: its content has changed since",
            file=path,
            value=found,
            expected=digest,
            hint="run again, and it is indexed anew; if its size and date are still the same, touch it first",
        )


def repeated(read: Callable[[int], Iterator[Item]], path: str | Path, digest: str) -> Iterator[Item]:
    """What `read` gives; a failure must come again at the same item to count.

    Parameters
    ----------
    read : callable
        Takes how many items to leave out at the start.
    path, digest
        As for `check_readable`.

    Raises
    ------
    VideoError
        If the content cannot be decoded.
    MachineError
        If it is the machine's fault.
    """
    done, failed_at = 0, -1
    while True:
        try:
            for item in read(done):
                yield item
                done += 1
            return
        except (VideoError, MachineError):
            check_readable(path, digest)
            if done == failed_at:
                raise
            failed_at = done
