"""Decode chosen frames. A frame is found by its time stamp, never by counting decoded frames."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framesift.core.errors import MachineError, VideoError
from framesift.video.faults import failure

if TYPE_CHECKING:
    import av
    import numpy as np


#: Codecs whose decoders can skip single frames (the one of AV1 keeps its first setting).
SKIPPABLE = ("h264", "hevc", "vp9", "mpeg4", "mpeg2video")


def read_frames(
    path: str | Path, stamps: Sequence[int], keyframes: Sequence[int], hwaccel: str | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode the frames shown at `stamps`, in one pass through the file.

    If the stream allows it, other frames are not decoded: the parts of the file up to the last key frame before a
    wanted frame, and in between all frames that no other frame refers to. Memory holds one frame.

    Parameters
    ----------
    path : path
        The video.
    stamps : sequence of int
        Ascending presentation time stamps, from the video's index.
    keyframes : sequence of int
        Ascending time stamps of the key frames, from the index.
    hwaccel : str, optional
        FFmpeg's name of the hardware to decode on, such as ``cuda``; an unsupported codec is an error.

    Yields
    ------
    stamp : int
        In the order of `stamps`.
    image : ndarray of uint8, shape (height, width, 3)
        RGB, upright.

    Raises
    ------
    VideoError
        If a frame cannot be decoded.
    MachineError
        If the file cannot be read.
    """
    import av
    from av.codec.hwaccel import HWAccel

    if not stamps:
        return
    keys, wanted = list(keyframes), list(stamps)
    to_rgb = RgbConverter()
    hardware = HWAccel(hwaccel, allow_software_fallback=False) if hwaccel else None
    try:
        with av.open(str(path), hwaccel=hardware) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"  # jobs use the cores, not threads, which a killed job would leave behind
            can_skip = stream.codec_context.name in SKIPPABLE
            start, skipping = keyframe_before(keys, wanted[0]), can_skip
            while wanted:
                found = False
                container.seek(start, stream=stream, backward=True)
                for frame in _decoded(container, stream, set(wanted) if skipping else None):
                    if frame.pts is None or frame.pts < wanted[0]:
                        continue
                    if frame.pts > wanted[0]:
                        break
                    yield wanted.pop(0), to_rgb(frame)
                    found = True
                    if not wanted:
                        return
                    if keyframe_before(keys, wanted[0]) > frame.pts:
                        break
                if found:
                    start, skipping = keyframe_before(keys, wanted[0]), can_skip
                elif skipping:
                    skipping = False  # packets and frames of this stream have different time stamps
                elif start > keys[0]:
                    start = keys[0]  # some containers seek past the key frame; decode from the start instead
                else:
                    raise VideoError(f"the frame at time stamp {wanted[0]} cannot be decoded")
    except av.FFmpegError as error:
        raise failure(error, path, "decoding failed") from None


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream, wanted: Collection[int] | None
) -> Iterator[av.VideoFrame]:
    """Frames from here on; with `wanted`, other frames are skipped if no frame refers to them."""
    context = stream.codec_context
    for packet in container.demux(stream):
        skip = wanted is not None and packet.pts is not None and packet.pts not in wanted
        context.skip_frame = "NONREF" if skip else "DEFAULT"
        yield from packet.decode()


def keyframe_before(keyframes: list[int], stamp: int) -> int:
    """The last key frame at or before a time stamp, or else the first one.

    Examples
    --------
    >>> keyframe_before([0, 250, 500], 499)
    250
    """
    return keyframes[max(0, bisect.bisect_right(keyframes, stamp) - 1)]


def decode(path: str | Path, *, tolerant: bool = False) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode every frame of a video, in the order shown.

    Parameters
    ----------
    path : path
    tolerant : bool
        End at content that cannot be decoded instead of raising an error.

    Yields
    ------
    stamp : int
    frame : av.VideoFrame

    Raises
    ------
    VideoError
        If a frame cannot be decoded.
    MachineError
        If the file cannot be read.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            for frame in container.decode(stream):
                if frame.pts is not None:
                    yield frame.pts, frame
    except av.FFmpegError as error:
        found = failure(error, path, "decoding failed")
        if not tolerant or isinstance(found, MachineError):
            raise found from None


class RgbConverter:
    """Convert frames to RGB with a filter graph.

    PyAV before 17 converts BT.709 video with the BT.601 matrix in `VideoFrame.to_ndarray`; FFmpeg's scale filter
    reads the matrix from the frame and gives the same pixels on every PyAV, and the same as decord.
    """

    def __init__(self) -> None:
        self._shape: tuple | None = None
        self._graph: Any = None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """The frame as uint8 RGB, shape (height, width, 3), rotated as the file says."""
        import numpy as np

        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:  # a stream may change its size
            self._graph, self._shape = self._make(frame), shape
        self._graph.push(frame)
        image = self._graph.pull().to_ndarray(format="rgb24")
        quarters = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image

    @staticmethod
    def _make(frame: av.VideoFrame) -> av.filter.Graph:
        import av.filter

        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
        )
        # bilinear, as decord: with 10 bits (not with 8) it decides how colour planes are enlarged
        scale, rgb, sink = graph.add("scale", "flags=bilinear"), graph.add("format", "rgb24"), graph.add("buffersink")
        for left, right in zip((source, scale, rgb), (scale, rgb, sink), strict=True):
            left.link_to(right)
        graph.configure()
        return graph
