"""Videos whose every frame carries its own index as a 4 x 4 barcode, and the way back from pixels to indices."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from framesift.video.grid import CandidateGrid
from framesift.video.table import Video, describe_video

H264 = {"crf": "18", "preset": "ultrafast", "threads": "1", "g": "30", "bf": "2"}


def write_video(
    path: Path,
    n_frames: int,
    rate: int | Fraction,
    size: tuple[int, int] = (160, 120),
    *,
    codec: str = "libx264",
    options: dict[str, str] = H264,
    pixels: str = "yuv420p",
) -> None:
    """Write a video, by default H.264 with B-frames and a key frame every 30 frames; `size` is (width, height)."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.options = dict(options)
        for index in range(n_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image_of(index, size), format="rgb24")))
        container.mux(stream.encode())


def described_videos(folder: Path, *lengths: int) -> list[Video]:
    """Videos v0, v1, ... of so many frames, 10 a second, with their candidates, one a second."""
    rows = []
    for number, n_frames in enumerate(lengths):
        path = folder / f"v{number}.mp4"
        write_video(path, n_frames, 10)
        rows.append(describe_video((path.stem, path), CandidateGrid()))
    return rows


def image_of(index: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 RGB image, shape (height, width, 3): 15 bits of the index and their parity."""
    bits = [(index >> bit) & 1 for bit in range(15)]
    cells = np.array([*bits, sum(bits) % 2], dtype=np.uint8).reshape(4, 4) * 215 + 20
    width, height = size
    grey = np.kron(cells, np.ones((height // 4, width // 4), dtype=np.uint8))
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_indices(frames: Sequence) -> list[int]:
    """Indices in images of any scale and normalisation.

    Parameters
    ----------
    frames : tensor or array, shape (frames, channels, height, width)

    Raises
    ------
    ValueError
        For an image that is no barcode.
    """
    return [_index(np.asarray(frame[0], dtype=np.float64)) for frame in frames]


def _index(grey: np.ndarray) -> int:
    height, width = grey.shape
    cells = [
        grey[int((row + 0.25) * height / 4) : int((row + 0.75) * height / 4) + 1,
             int((column + 0.25) * width / 4) : int((column + 0.75) * width / 4) + 1].mean()
        for row in range(4)
        for column in range(4)
    ]  # fmt: skip
    middle = (max(cells) + min(cells)) / 2
    bits = [int(cell > middle) for cell in cells]
    if max(cells) == min(cells):  # frame 0: all cells are dark
        bits = [0] * 16
    if sum(bits[:15]) % 2 != bits[15]:
        raise ValueError(f"no barcode: {bits}")
    return sum(bit << place for place, bit in enumerate(bits[:15]))
