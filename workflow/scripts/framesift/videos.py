"""The table of a dataset's videos: where each lies, what it is, and its candidate frames.

Everything later reads videos from this table, so a broken or missing video is found once, here, and costs only its
own questions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from framesift.code import code_digest
from framesift.errors import InputError, VideoError
from framesift.files import file_digest, whole, write_json
from framesift.spec import canonical_json, spec_id
from framesift.video.grid import CandidateGrid
from framesift.video.index import index_video


@dataclass(frozen=True)
class Video:
    """One row of the table.

    Attributes
    ----------
    video_id, path : str
        `path` is empty for a missing file.
    error : str or None
        Why the video cannot be used; all that follows is then empty.
    digest : str
        SHA-256 of the file.
    codec : str
    width, height, n_frames : int
    fps, duration : float
        Frames per second; seconds.
    complete : bool
        False for a file that is cut short.
    frames, stamps : list of int
        Index and presentation time stamp of each candidate frame, ascending.
    times : list of float
        Seconds of each candidate frame after the first frame of the video.
    keyframes : list of int
        Time stamps at which decoding can start.
    """

    video_id: str
    path: str
    error: str | None = None
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
            For a frame that is no candidate of this video.
        """
        known = dict(zip(self.frames, self.stamps, strict=True))
        frames = list(frames)
        if unknown := [frame for frame in frames if frame not in known]:
            raise VideoError(f"{self.video_id}: frame {unknown[0]} is not a candidate of this video")
        return [known[frame] for frame in frames]


def describe_video(video_id: str, path: Path | None, grid: CandidateGrid, cache: Path | None = None) -> Video:
    """Make the row of one video; an unusable one gets a row that says why.

    Parameters
    ----------
    cache : path, optional
        Folder that remembers the row of a file by its path, size and modification time, so that a long index that
        was interrupted goes on where it stopped.
    """
    if path is None:
        return Video(video_id, "", error="no video file was found")
    stat = path.stat()
    key = [str(path), stat.st_size, stat.st_mtime_ns, video_id, grid, code_digest(__name__)]
    entry = cache / f"{spec_id(key)}.json" if cache else None
    if entry and entry.is_file():
        return Video(**json.loads(entry.read_text()))
    try:
        index = index_video(path)
    except VideoError as error:
        return Video(video_id, str(path), error=str(error))
    frames = grid.frames(index.n_frames, index.fps)
    video = Video(
        video_id=video_id,
        path=str(path),
        digest=file_digest(path),
        codec=index.codec,
        width=index.width,
        height=index.height,
        n_frames=index.n_frames,
        fps=index.fps,
        duration=index.duration,
        complete=index.complete,
        frames=frames,
        stamps=[index.pts[frame] for frame in frames],
        times=[round(index.seconds(frame), 6) for frame in frames],
        keyframes=index.keyframes,
    )
    if entry:
        write_json(entry, asdict(video))
    return video


def write_videos(path: str | Path, videos: Iterable[Video], spec: object) -> None:
    """Write the table as parquet, sorted by video id; the spec goes into its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [asdict(video) for video in sorted(videos, key=lambda video: video.video_id)]
    schema = pa.schema(
        [
            *[(name, pa.string()) for name in ("video_id", "path", "error", "digest", "codec")],
            *[(name, pa.int32()) for name in ("width", "height", "n_frames")],
            *[(name, pa.float64()) for name in ("fps", "duration")],
            ("complete", pa.bool_()),
            *[(name, pa.list_(pa.int64())) for name in ("frames", "stamps", "keyframes")],
            ("times", pa.list_(pa.float64())),
        ],
        metadata={"spec": canonical_json(spec)},
    )
    with whole(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")


def read_videos(path: str | Path) -> dict[str, Video]:
    """The table by video id."""
    import pyarrow.parquet as pq

    if not os.path.isfile(path):
        raise InputError("there is no such table of videos", file=path, hint="index_videos.py makes it")
    return {row["video_id"]: Video(**row) for row in pq.read_table(path).to_pylist()}
