"""Decoders of candidate frames. `pyav` is the default; the others are options, and check it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from framesift.core.errors import InputError, VideoError
from framesift.video.faults import repeated
from framesift.video.reader import read_frames

if TYPE_CHECKING:
    import numpy as np

    from framesift.video.table import Video

Decoder = Literal["pyav", "decord", "torchcodec", "nvdec"]


def read_candidates(video: Video, decoder: str) -> Iterator[np.ndarray]:
    """Decode the candidate frames of a video, in order.

    Parameters
    ----------
    video : Video
    decoder : str
        ``pyav``, ``decord``, ``torchcodec`` or ``nvdec``.

    Yields
    ------
    ndarray of uint8, shape (height, width, 3)
        RGB. The pixels of ``nvdec`` differ by rounding; those of the others are equal.

    Raises
    ------
    VideoError
        If a frame cannot be decoded.
    MachineError
        If the file cannot be read.
    """
    yield from repeated(lambda done: _READERS[decoder](_rest(video, done)), video.path, video.digest)


def _rest(video: Video, done: int) -> Video:
    """A video without its first candidates."""
    return replace(video, frames=video.frames[done:], stamps=video.stamps[done:]) if done else video


def check_decoder(decoder: str) -> None:
    """Reject a decoder that does not work on this machine.

    Raises
    ------
    InputError
        With the reason.
    """
    try:
        if decoder == "nvdec":
            from av.codec import Codec
            from av.codec.hwaccel import HWAccel

            HWAccel("cuda", allow_software_fallback=False).create(Codec("h264", "r"))
        else:
            importlib.import_module({"pyav": "av"}.get(decoder, decoder))
    except Exception as error:  # a library that does not fit this machine may raise anything
        raise InputError(
            f"cannot be used here ({str(error).splitlines()[0] if str(error) else type(error).__name__})",
            field="decoder",
            value=decoder,
            hint="decoder: pyav works everywhere",
        ) from None


def _pyav(video: Video) -> Iterator[np.ndarray]:
    for _, image in read_frames(video.path, video.stamps, video.keyframes):
        yield image


def _nvdec(video: Video) -> Iterator[np.ndarray]:
    for _, image in read_frames(video.path, video.stamps, video.keyframes, hwaccel="cuda"):
        yield image


def _decord(video: Video) -> Iterator[np.ndarray]:
    """One by one, as AKS reads; decord decodes ahead without limit, so its memory grows with the video."""
    import decord

    try:
        reader = decord.VideoReader(video.path, num_threads=1)
        _check_count(video, "decord", len(reader))
        for frame in video.frames:
            yield reader[frame].asnumpy()
    except (decord.DECORDError, RuntimeError) as error:
        raise VideoError(f"decoding failed ({str(error).strip().splitlines()[-1]})") from None


def _torchcodec(video: Video) -> Iterator[np.ndarray]:
    from torchcodec.decoders import VideoDecoder

    try:
        reader = VideoDecoder(video.path, seek_mode="exact", dimension_order="NHWC", num_ffmpeg_threads=1)
        _check_count(video, "torchcodec", len(reader))
        for frame in video.frames:
            yield reader.get_frame_at(frame).data.numpy()
    except (RuntimeError, ValueError) as error:
        raise VideoError(f"decoding failed ({str(error).strip().splitlines()[0]})") from None


def _check_count(video: Video, decoder: str, count: int) -> None:
    """These libraries find frames by number, so both must count the same frames."""
    if count != video.n_frames:
        raise VideoError(f"{decoder} counts {count} frames, but the file has {video.n_frames} packets")


_READERS: dict[str, Callable[[Video], Iterator[np.ndarray]]] = {
    "pyav": _pyav,
    "decord": _decord,
    "torchcodec": _torchcodec,
    "nvdec": _nvdec,
}
