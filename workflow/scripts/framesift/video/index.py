"""Find the frames of a video without decoding it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framesift.core.errors import MachineError, VideoError
from framesift.video.faults import failure, unreadable
from framesift.video.reader import decode


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video, from one pass over its packets.

    Attributes
    ----------
    pts : list of int
        Presentation time stamps in the stream's time base, ascending: frame j of the video is shown at ``pts[j]``.
    keyframes : list of int
        The time stamps at which decoding can start, ascending.
    time_base : float
        Seconds a tick.
    fps : float
        Average frames per second as the container states it, else frames / duration.
    width, height : int
        Pixels.
    codec : str
        Name of the codec, e.g. ``h264``.
    complete : bool
        False if the file is cut off; `pts` then holds the frames that can be decoded.
    announced : float
        Duration in seconds according to the container; 0 if it does not state one.

    Examples
    --------
    >>> index = VideoIndex([0, 512, 1024], [0], 1 / 12800, 25.0, 640, 360, "h264", True, 0.12)
    >>> index.n_frames, index.seconds(2), round(index.duration, 2)
    (3, 0.08, 0.12)
    """

    pts: list[int]
    keyframes: list[int]
    time_base: float
    fps: float
    width: int
    height: int
    codec: str
    complete: bool
    announced: float

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.pts)

    def seconds(self, frame: int) -> float:
        """Seconds from the first frame to this one."""
        return (self.pts[frame] - self.pts[0]) * self.time_base

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return self.seconds(self.n_frames - 1) + 1 / self.fps


def index_video(path: str | Path) -> VideoIndex:
    """Index a video from its packets (decoding only if the file is damaged).

    Parameters
    ----------
    path : path

    Raises
    ------
    VideoError
        If the file is empty or not a video, or none of its frames can be decoded.
    MachineError
        If there is no such file, or it cannot be read.
    """
    import av

    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise VideoError("the file is empty")
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError("the file does not have a video stream")
            stream = container.streams.video[0]
            pts, keyframes, complete = _packets(path, container, stream)
            if not complete:
                pts, keyframes = _decodable(path, keyframes)
            if not pts:
                raise VideoError("no frame can be decoded")
            time_base = float(stream.time_base)
            seconds = (pts[-1] - pts[0]) * time_base
            fps = float(stream.average_rate or 0) or ((len(pts) - 1) / seconds if seconds else 1.0)
            return VideoIndex(
                pts=pts,
                keyframes=keyframes or pts[:1],
                time_base=time_base,
                fps=fps,
                width=stream.codec_context.width,
                height=stream.codec_context.height,
                codec=stream.codec_context.name,
                complete=complete,
                announced=max(0.0, _announced_end(container, stream) - pts[0] * time_base),
            )
    except av.FFmpegError as error:
        raise failure(error, path, "the file cannot be read as a video") from None


def _packets(path: Path, container, stream) -> tuple[list[int], list[int], bool]:
    """Time stamps of all packets, those of key frames, and whether the stream is complete."""
    import av

    pts, keyframes, complete, count = [], [], True, 0
    try:
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            count += 1
            complete = complete and not packet.is_corrupt
            if packet.is_keyframe:
                keyframes.append(packet.pts)
            if not packet.is_discard:  # an edit list hides some packets: decoded, but never shown
                pts.append(packet.pts)
    except av.FFmpegError as error:
        if isinstance(found := failure(error, path, ""), MachineError):
            raise found from None
        complete = False
    # A file that is cut off can end without an error; its container still announces the missing frames or seconds.
    if count < stream.frames or (pts and _announced_end(container, stream) > max(pts) * stream.time_base + 2):
        complete = False
    return sorted(set(pts)), sorted(set(keyframes)), complete


def _announced_end(container, stream) -> float:
    """Second at which the video ends according to the container; 0 if it does not say."""
    import av

    if stream.duration:
        return float((stream.start_time or 0) + stream.duration) * float(stream.time_base)
    return ((container.start_time or 0) + (container.duration or 0)) / av.time_base


def _decodable(path: Path, keyframes: list[int]) -> tuple[list[int], list[int]]:
    """The time stamps that decoding yields, for a damaged file."""
    pts = sorted({stamp for stamp, _ in decode(path, tolerant=True)})
    return pts, [stamp for stamp in keyframes if pts and stamp <= pts[-1]]
