"""What the answerers of the Qwen-VL family share: one video of the selected frames, their true times, their check.

A grid step of these models holds two pictures. Of an odd number of pictures the last is therefore shown twice, whoever
makes a video of them (qwen-vl-utils and transformers both do so).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from framesift.answering.answerers import AnswerRequest, Given, LocalAnswerer, given
from framesift.answering.lmms.task import Frames

if TYPE_CHECKING:
    from PIL.Image import Image

#: Pictures a grid step.
STEP = 2
#: Grey levels by which the cells of two pictures may differ that come out of a processor as one and the same.
SAME = 8.0

SMALLEST = "Smallest picture, in pixels; smaller ones are enlarged."
LARGEST = "Largest picture, in pixels; larger ones are reduced."
MRope = Literal["paper", "transformers"]
MROPE = (
    "Position ids after a video: `paper` continues at the largest id of the video plus one, as the model was trained;"
    " `transformers` does what the installed release does (5.3 to 5.23 go on after the largest row or column)."
)


class QwenVL(LocalAnswerer):
    """Fields of all answerers of the family, with the defaults of lmms-eval's classes for Qwen2.5-VL and Qwen3-VL."""

    libraries: ClassVar[tuple[str, ...]] = (*LocalAnswerer.libraries, "qwen-vl-utils")

    min_pixels: int = Field(default=256 * 28 * 28, ge=1, description=SMALLEST)
    max_pixels: int = Field(default=1605632, ge=1, description=LARGEST)

    @model_validator(mode="after")
    def _ordered(self) -> QwenVL:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} exceeds max_pixels {self.max_pixels}")
        return self


def check_type(folder: str, *types: str) -> None:
    """Refuse a checkpoint of another type: transformers would go on with random weights."""
    found = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["model_type"]
    if found not in types:
        raise ValueError(f"the checkpoint is of type {found!r}, not {' or '.join(map(repr, types))}")


class OneVideo:
    """The processor of a model of lmms-eval, told the true times of the pictures.

    lmms-eval makes a tensor of the pictures with qwen-vl-utils, which says of any list that it was taken at 2 frames
    a second.

    Parameters
    ----------
    processor : transformers.ProcessorMixin
    asked : callable
        The question that is being asked.
    """

    def __init__(self, processor: Any, asked: Callable[[], AnswerRequest | None]) -> None:
        self._processor = processor
        self._asked = asked
        # qwen-vl-utils has limited the pictures already; unset, the processor says so once and may change its mind
        processor.video_processor.cap_pixels_per_frame = False
        # lmms-eval gives the limits of pixels to the tokenizer too, which would pass them on with a warning
        for limit in ("min_pixels", "max_pixels"):
            processor.tokenizer.init_kwargs.pop(limit, None)
        logging.getLogger("qwen_vl_utils.vision_process").addFilter(_no_limit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, images: Any = None, videos: Any = None, **inputs: Any) -> Any:
        if images is not None or videos is None or len(videos) != 1:
            raise TypeError("the model must be given one video, made of the selected frames, and nothing else")
        asked = self._asked()
        assert asked is not None
        times = asked.frames.times
        # a clock of one tick a second: `frames_indices` over `fps` are then our times, of any frame rate
        clock = {"fps": 1.0, "frames_indices": list(times), "total_num_frames": len(times)}
        made = self._processor(images=None, videos=videos, **{**inputs, "video_metadata": [clock]})
        if "second_per_grid_ts" in made:
            seconds = made["second_per_grid_ts"]
            made["second_per_grid_ts"] = seconds.new_tensor([seconds_per_step(times)])
        return made


def _no_limit(record: logging.LogRecord) -> bool:
    """Leave out what qwen-vl-utils says of every video: that its own limit is below lmms-eval's `max_pixels`."""
    return "exceeds limit" not in record.getMessage()


def seconds_per_step(times: Sequence[float]) -> float:
    """Seconds that a grid step stands for: twice the mean spacing of the pictures.

    The model knows one number a video. The mean spacing keeps the time from the first picture to the last true, in
    whatever order they are shown; gaps of different length become equal. No time passes in a single picture: its one
    grid step is at 0 whatever this number is.

    Parameters
    ----------
    times : sequence of float
        Seconds of the pictures.
    """
    return STEP * (max(times) - min(times)) / max(len(times) - 1, 1)


def given_video(frames: Frames, inputs: Mapping[str, Any]) -> Given:
    """What a network of the family gets, from the keyword arguments of its `generate`.

    A picture that got lost on the way would leave an odd number, of which the last is repeated, and so the same number
    of grid steps. Therefore also the run of equal pictures at the end is compared.

    Raises
    ------
    RuntimeError
        Where these are not the frames as one video.
    """
    pixels, grids = inputs["pixel_values_videos"], inputs["video_grid_thw"].tolist()
    if inputs.get("pixel_values") is not None or len(grids) != 1:
        raise RuntimeError(f"the network was given {len(grids)} videos, or single pictures")
    [[steps, rows, columns]] = grids
    # patches of a grid step x colours x pictures of the step x pixels of a patch
    patches = pixels.reshape(steps, rows * columns, 3, STEP, -1)
    shown = STEP * steps
    fill = len(frames) % STEP
    end = _run(lambda back: bool((patches[-1, :, :, -1] == _picture(patches, shown - 1 - back)).all()), shown)
    expected = _run(lambda back: _alike(frames[-1], frames[-1 - back]), len(frames)) + fill
    if end > expected:
        raise RuntimeError(f"the last {end} pictures of the video are the same, and {expected} are to be: one is lost")
    return given(frames, pixels, shown - fill if end > fill else shown)


def _run(same: Callable[[int], bool], length: int) -> int:
    """How many items at the end are the same as the last one; `same` tells it of the item so many places before."""
    return next((back for back in range(1, length) if not same(back)), length)


def _picture(patches: Any, index: int) -> Any:
    return patches[index // STEP, :, :, index % STEP]


def _alike(one: Image, other: Image) -> bool:
    """Whether two pictures may become the same picture when they are made smaller."""
    from PIL.Image import Resampling

    cells = [np.asarray(image.convert("RGB").resize((8, 8), Resampling.BOX), dtype=float) for image in (one, other)]
    return float(np.abs(cells[0] - cells[1]).max()) <= SAME
