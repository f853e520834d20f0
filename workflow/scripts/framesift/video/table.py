"""The table of a dataset's videos: where each is, what it contains, and its candidate frames.

Later stages read videos from this table, so a broken or missing video is found once, here, and only its own questions
are excluded.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from framesift.core.code_digest import code_digest
from framesift.core.errors import InputError, VideoError
from framesift.core.spec import canonical_json, spec_id
from framesift.storage.cached_values import cached_digest, read_cached, write_cached
from framesift.storage.files import atomic_write
from framesift.storage.parquet import read_rows
from framesift.video.faults import check_readable, repeated, unreadable
from framesift.video.grid import CandidateGrid
from framesift.video.index import VideoIndex, index_video
from framesift.video.reader import read_frames

if TYPE_CHECKING:
    import pyarrow as pa

#: A file is too short if less than this share of its announced length can be decoded.
MIN_SHARE = 0.9
#: Seconds by which a video's length may always differ from the labels, which round it.
LENGTH_SLACK = 3.0
#: Frames at the end among which the last key frame is looked for.
LAST_FRAMES = 2000


@dataclass(frozen=True)
class Video:
    """One row of the table.

    Attributes
    ----------
    video_id, path : str
        `path` is empty for a missing file.
    error : str or None
        Why the video cannot be used; candidates and everything else that is unknown are then empty.
    reason : str
        The same in one word: ``missing``, ``broken``, ``short``, ``mislabelled`` or ``ambiguous``; else empty.
    digest : str
        SHA-256 of the file.
    codec : str
    width, height, n_frames : int
    fps, duration : float
        Frames per second; seconds.
    complete : bool
        False for a file that is cut off.
    frames, stamps : list of int
        Index and presentation time stamp of each candidate frame, ascending.
    times : list of float
        Seconds of each candidate frame after the first frame of the video.
    keyframes : list of int
        Time stamps at which decoding can start.

    Examples
    --------
    >>> video = Video("v1", "v1.mp4", frames=[0, 25, 50], stamps=[0, 12800, 25600], times=[0.0, 1.0, 2.0])
    >>> video.stamps_of([50, 0])
    [25600, 0]
    """

    video_id: str
    path: str
    error: str | None = None
    reason: str = ""
    digest: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    n_frames: int = 0
    fps: float = 0.0
    duration: float = 0.0
    complete: bool = False
    frames: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)

    def stamps_of(self, frames: Iterable[int]) -> list[int]:
        """Time stamps of candidate frames.

        Raises
        ------
        VideoError
            If a frame is not a candidate of this video.
        """
        known = dict(zip(self.frames, self.stamps, strict=True))
        frames = list(frames)
        if unknown := [frame for frame in frames if frame not in known]:
            raise VideoError(f"{self.video_id}: frame {unknown[0]} is not a candidate of this video")
        return [known[frame] for frame in frames]


def describe_video(video: tuple[str, Path | None], grid: CandidateGrid, cache: Path | None = None) -> Video:
    """The row of one video; that of an unusable video says why.

    Parameters
    ----------
    video : (str, path or None)
        Its id and its file; None if there is none.
    grid : CandidateGrid
    cache : path, optional
        Folder that remembers rows by path, size and modification time of the file, so that a long job that was
        interrupted continues.

    Raises
    ------
    MachineError
        If the file is there, but cannot be read.
    """
    video_id, path = video
    if path is None:
        return Video(video_id, "", error="no video file was found", reason="missing")
    try:
        stat = path.stat()
    except OSError as error:
        if path.is_symlink() and error.errno in (errno.ENOENT, errno.ELOOP):
            return Video(video_id, str(path), error="is a link that leads nowhere", reason="missing")
        raise unreadable(path, error) from None
    key = [str(path.absolute()), stat.st_size, stat.st_mtime_ns, video_id, grid.spec(), code_digest(__name__)]
    name = spec_id(key)
    entry = cache / name[:2] / f"{name}.json" if cache else None
    if entry and (known := read_cached(entry)):
        return Video(**known)
    row = _examine(video_id, path, grid, cache)
    if entry and row.reason != "broken":  # a disk that fails today may work tomorrow
        write_cached(entry, asdict(row))
    return row


def _examine(video_id: str, path: Path, grid: CandidateGrid, cache: Path | None) -> Video:
    try:
        index = next(repeated(lambda _: _indexed(path), path, digest=""))
    except VideoError as error:
        return Video(video_id, str(path), error=str(error), reason="broken")
    video = Video(
        video_id=video_id,
        path=str(path),
        digest=cached_digest(path, cache),
        codec=index.codec,
        width=index.width,
        height=index.height,
        n_frames=index.n_frames,
        fps=index.fps,
        duration=index.duration,
        complete=index.complete,
    )
    if not index.complete and index.duration < MIN_SHARE * index.announced:
        left = f"{index.duration:.1f} of {index.announced:.1f} seconds can be decoded"
        return replace(video, error=f"is cut off: {left}", reason="short")
    frames = grid.frames(index)
    return replace(
        video,
        frames=frames,
        stamps=[index.pts[frame] for frame in frames],
        times=[round(index.seconds(frame), 6) for frame in frames],
        keyframes=index.keyframes,
    )


def _indexed(path: Path) -> Iterator[VideoIndex]:
    """The index of a file whose frames can be decoded."""
    index = index_video(path)
    if not index.complete:  # or its end could not be read for a moment
        check_readable(path, digest="")
        index = index_video(path)
    # the first frame and the last key frame: there may be intact packets, but no decoder for them
    last = [stamp for stamp in index.keyframes[-1:] if stamp in index.pts[-LAST_FRAMES:] and stamp > index.pts[0]]
    for _ in read_frames(path, [index.pts[0], *last], index.keyframes):
        pass
    yield index


def checked_length(video: Video, labelled: float | None, tolerance: float | None) -> Video:
    """The row, made unusable if the video's length contradicts the labels: another video, or a part of one.

    Parameters
    ----------
    video : Video
    labelled : float or None
        Seconds according to the labels; None if they do not say.
    tolerance : float or None
        Share of the length by which it may differ (three seconds are always allowed); None to allow anything.

    Examples
    --------
    >>> checked_length(Video("v1", "v1.mp4", duration=50.0), labelled=100.0, tolerance=0.1).reason
    'short'
    """
    if video.error or labelled is None or tolerance is None:
        return video
    if abs(video.duration - labelled) <= max(LENGTH_SLACK, tolerance * labelled):
        return video
    return replace(
        video,
        error=f"is {video.duration:.1f} seconds long, but the labels say {labelled:.1f}",
        reason="short" if video.duration < labelled else "mislabelled",
        frames=[],
        stamps=[],
        times=[],
        keyframes=[],
    )


def write_videos(path: str | Path, videos: Iterable[Video], spec: object) -> None:
    """Write the table as parquet, sorted by video id; the spec goes into its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [asdict(video) for video in sorted(videos, key=lambda video: video.video_id)]
    schema = _schema().with_metadata({"spec": canonical_json(spec)})
    with atomic_write(path, checked=True) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")


def read_videos(path: str | Path) -> dict[str, Video]:
    """The table by video id.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another form.
    """
    if not os.path.isfile(path):
        raise InputError("there is no such table of videos", file=path, hint="make it with index_videos.py")
    videos = [Video(**row) for row in read_rows(path, _schema(), optional=("error",))]
    for video in videos:
        if not len(video.frames) == len(video.stamps) == len(video.times):
            raise InputError("has candidate lists of different lengths", file=path, field=f"video {video.video_id}")
    return {video.video_id: video for video in videos}


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            *[(name, pa.string()) for name in ("video_id", "path", "error", "reason", "digest", "codec")],
            *[(name, pa.int32()) for name in ("width", "height", "n_frames")],
            *[(name, pa.float64()) for name in ("fps", "duration")],
            ("complete", pa.bool_()),
            *[(name, pa.list_(pa.int64())) for name in ("frames", "stamps", "keyframes")],
            ("times", pa.list_(pa.float64())),
        ]
    )
