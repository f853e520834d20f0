"""Videos as lists of words: what the demo's selector learns to read before it sees a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo_models.lookup_model import FRAMES, WORDS
from framesift.demo.text import colour_question, digit_question, shape_question, two_digits_question
from framesift.demo.world import COLOUR_NAMES, DECOY_SECONDS, DIGITS, EVENT_SECONDS, SHAPES
from framesift.scoring.mllm_selector.sampling import first_shown, slots

SECONDS = (180, 330, 600)
DECOYS = 3
QUESTIONS = 8  # a list


@dataclass(frozen=True)
class WordList:
    """What the frames in the slots of a video show.

    Attributes
    ----------
    shown : float32 array, shape (FRAMES, words)
        1 for the `WORDS` that a frame shows.
    mask : bool array, shape (FRAMES,)
        Slots that show a frame for the first time.
    questions : list of str
    targets : float32 array, shape (questions, FRAMES)
        1 for the frames that a question asks about.
    """

    shown: np.ndarray
    mask: np.ndarray
    questions: list[str]
    targets: np.ndarray


def draw_list(rng: np.random.Generator) -> WordList:
    """A list with 7 to 10 events, some decoys, and questions about random ones."""
    seconds = int(rng.choice(SECONDS))
    places = slots(seconds, FRAMES)
    looks = [
        (str(colour), str(shape))
        for colour in rng.permutation(COLOUR_NAMES)[:4]
        for shape in rng.permutation(SHAPES)[:4]
    ]
    count = int(rng.integers(7, 11))
    looks = [looks[k] for k in rng.permutation(len(looks))[:count]]
    digits = [str(digit) for digit in rng.permutation(DIGITS)[:count]]
    shown = np.zeros((FRAMES, len(WORDS)), np.float32)

    def show(words: tuple[str, ...], length: float) -> np.ndarray:
        start = rng.uniform(0, seconds - length)
        on = (places >= start) & (places < start + length)
        shown[np.ix_(on, [WORDS.index(word) for word in words])] += 1
        return on

    on = [show((*look, digit), rng.uniform(*EVENT_SECONDS)) for look, digit in zip(looks, digits, strict=True)]
    for decoy in rng.permutation(count)[:DECOYS]:
        show(looks[decoy], rng.uniform(*DECOY_SECONDS))

    questions, targets = [], []
    for kind in rng.integers(0, 5, QUESTIONS):
        one, other = rng.permutation(count)[:2]
        questions.append(
            {
                0: digit_question(*looks[one]),
                1: colour_question(digits[one]),
                2: shape_question(digits[one]),
            }.get(int(kind), two_digits_question(looks[one], looks[other]))
        )
        targets.append(on[one] if kind < 3 else on[one] | on[other])
    return WordList(shown, first_shown(places), questions, np.array(targets, np.float32))
