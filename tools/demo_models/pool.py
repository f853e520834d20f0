"""Rendered single frames with known content: what the demo models are fitted to and validated on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from framesift.demo.config import DIGIT_COUNT
from framesift.demo.world import (
    BASE_SIZE,
    COLOUR_NAMES,
    DIGITS,
    SHAPES,
    Background,
    _draw_event,
    draw_border,
    draw_event,
)

NO_COLOUR, NO_SHAPE, NO_DIGIT = len(COLOUR_NAMES), len(SHAPES), DIGIT_COUNT
CLASSES = (len(COLOUR_NAMES) + 1, len(SHAPES) + 1, DIGIT_COUNT + 1, len(COLOUR_NAMES))
COLOUR, SHAPE, DIGIT, EDGE = range(4)  # columns of a label
INPUT_SIZE = 64  # pixels the models see; their patch is one quarter of the frame
PATCH = INPUT_SIZE // 2
JPEG_QUALITY = (35, 90)  # stands in for the video codec, which is too slow to run on single frames
FRAMES_PER_BACKGROUND = 25


@dataclass(frozen=True)
class Pool:
    """Frames (n, INPUT_SIZE, INPUT_SIZE, 3) uint8 and labels (n, 4): colour, shape, digit, border colour.

    A frame without an event has NO_COLOUR, NO_SHAPE, NO_DIGIT; a decoy has NO_DIGIT only.
    """

    frames: np.ndarray
    labels: np.ndarray


def all_combinations() -> np.ndarray:
    """Labels (2376, 4) of every event and decoy with every border."""
    grid = np.indices((len(COLOUR_NAMES), len(SHAPES), DIGIT_COUNT + 1, len(COLOUR_NAMES)))
    return grid.reshape(4, -1).T


def empty_labels(rng: np.random.Generator, count: int) -> np.ndarray:
    """Labels (count, 4) of frames that show no event."""
    labels = np.tile([NO_COLOUR, NO_SHAPE, NO_DIGIT, 0], (count, 1))
    labels[:, EDGE] = rng.integers(0, len(COLOUR_NAMES), count)
    return labels


def render_pool(labels: np.ndarray, seed: int) -> Pool:
    """Render one frame for each label, with random place, size, font, background and compression."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    labels = labels[order]
    frames = np.empty((len(labels), INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    for index, (colour, shape, digit, edge) in enumerate(labels):
        if index % FRAMES_PER_BACKGROUND == 0:
            background = Background(rng, 300.0)
        image = background.render(rng.uniform(0, 299), BASE_SIZE)
        if colour != NO_COLOUR:
            text = None if digit == NO_DIGIT else DIGITS[digit]
            event = _draw_event(rng, (COLOUR_NAMES[colour], SHAPES[shape]), text, 0.0, 0.0)
            draw_event(image, event, *(event.x, event.y) + rng.uniform(-0.6, 0.6, 2))
        draw_border(image, COLOUR_NAMES[edge])
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*JPEG_QUALITY))]
        image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
        frames[index] = cv2.resize(image, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA)
    return Pool(frames, labels)


def training_pool(seed: int, frames_per_combination: int, empty_frames: int) -> Pool:
    """Frames to fit the models to: every combination equally often, and frames without an event."""
    rng = np.random.default_rng([seed, 1])
    labels = np.concatenate([np.tile(all_combinations(), (frames_per_combination, 1)), empty_labels(rng, empty_frames)])
    return render_pool(labels, seed)


def validation_pool(seed: int, frames: int) -> Pool:
    """Held-out frames: random combinations, one tenth without an event."""
    rng = np.random.default_rng([seed, 2])
    everything = all_combinations()
    drawn = everything[rng.integers(0, len(everything), frames - frames // 10)]
    return render_pool(np.concatenate([drawn, empty_labels(rng, frames // 10)]), seed + 1_000_003)


def contrast_frames(seed: int, count: int, column: int) -> np.ndarray:
    """Differences (count, INPUT_SIZE, INPUT_SIZE, 3) of frames that are alike in all but one column of their label.

    Place, size, background and compression are the same in both frames, so the difference is what tells one digit
    (or one shape) from another and nothing else.
    """
    rng = np.random.default_rng([seed, 5, column])
    everything = all_combinations()
    labels = everything[rng.integers(0, len(everything), count)]
    labels[:, DIGIT] = rng.integers(0, NO_DIGIT, count)
    changed = labels.copy()
    values = NO_DIGIT if column == DIGIT else NO_SHAPE
    changed[:, column] = (labels[:, column] + rng.integers(1, values, count)) % values
    first, second = (render_pool(variant, seed).frames.astype(np.float32) for variant in (labels, changed))
    return first - second
