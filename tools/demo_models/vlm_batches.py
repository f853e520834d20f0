"""Random questions about random selections of frames: what the answerer's language model is fitted to.

A batch is made of labels only (which event each frame shows); turning labels into frame tokens is the caller's
business, so the same batches serve ideal tokens and tokens of rendered frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo_models.pool import COLOUR, DIGIT, EDGE, NO_COLOUR, NO_DIGIT, NO_SHAPE, SHAPE
from demo_models.tokenizer import build_prompt
from framesift.demo.text import (
    LETTERS,
    SHARES,
    border_question,
    colour_question,
    digit_question,
    shape_question,
    two_digits_question,
)
from framesift.demo.world import COLOUR_NAMES, COLOURS_PER_VIDEO, DIGITS, SHAPES, SHAPES_PER_VIDEO

KINDS = ("digit", "colour", "shape", "two", "border")
CAST = 8  # events of an imagined video, of which the first (two) are asked about
EMPTY, DECOY = -1, -2  # cast numbers of frames without an event and with the asked event's decoy


@dataclass(frozen=True)
class VlmBatch:
    """Questions with their frames.

    Attributes
    ----------
    labels : (n, frames, 4) what each frame shows
    words : (n, length) token ids of the prompt, padded on the right
    lookups : (n, 2) positions of the words where the frames have been looked up (twice the same for one event)
    found : (n, 2) token ids of the looked-up answers
    choices : (n, 4, 2) positions of the words of each option (twice the same for one word)
    right : (n, 4, 2) whether that word of the option is right
    last : (n,) position of the prompt's last word
    letter : (n,) number of the right option
    """

    labels: np.ndarray
    words: np.ndarray
    lookups: np.ndarray
    found: np.ndarray
    choices: np.ndarray
    right: np.ndarray
    last: np.ndarray
    letter: np.ndarray


class BatchMaker:
    """Draws batches of questions.

    Parameters
    ----------
    tokenizer : the answerer's tokenizer
    rng : source of randomness
    """

    def __init__(self, tokenizer, rng: np.random.Generator) -> None:
        self.rng = rng
        self.ids = {word: tokenizer.convert_tokens_to_ids(word) for word in tokenizer.get_vocab()}
        self.templates = {kind: self._template(tokenizer, kind) for kind in KINDS}

    @staticmethod
    def _template(tokenizer, kind: str) -> list[str]:
        """Words of a prompt of this kind, as the tokenizer splits the real prompt."""
        question, option = {
            "digit": (digit_question("red", "star"), "0"),
            "colour": (colour_question("0"), "red"),
            "shape": (shape_question("0"), "star"),
            "two": (two_digits_question(("red", "star"), ("blue", "cross")), "0 and 1"),
            "border": (border_question("red"), "never"),
        }[kind]
        prompt = build_prompt(question, [f"{letter}. {option}" for letter in LETTERS])
        return tokenizer.tokenize(prompt)

    def draw(self, count: int, frames: int, kinds: tuple[str, ...] = KINDS, absent: bool = False) -> VlmBatch:
        """``count`` questions, kinds taken in turn, each about ``frames`` frames.

        With ``absent`` the asked events are in none of the frames (border questions are left as they are).
        """
        cast = self._cast(count)
        parts = [self._one(kinds[k % len(kinds)], cast[k], frames, absent) for k in range(count)]
        longest = max(len(part["words"]) for part in parts)
        for part in parts:
            part["words"] = part["words"] + [self.ids["<pad>"]] * (longest - len(part["words"]))
        return VlmBatch(**{name: np.array([part[name] for part in parts]) for name in parts[0]})

    def _cast(self, count: int) -> np.ndarray:
        """Labels (count, CAST, 3) of the events of imagined videos: distinct looks and distinct digits."""
        rng = self.rng
        colours = rng.random((count, len(COLOUR_NAMES))).argsort(1)[:, :COLOURS_PER_VIDEO]
        shapes = rng.random((count, len(SHAPES))).argsort(1)[:, :SHAPES_PER_VIDEO]
        looks = rng.random((count, COLOURS_PER_VIDEO * SHAPES_PER_VIDEO)).argsort(1)[:, :CAST]
        digits = rng.random((count, len(DIGITS))).argsort(1)[:, :CAST]
        rows = np.arange(count)[:, None]
        return np.stack(
            [colours[rows, looks // SHAPES_PER_VIDEO], shapes[rows, looks % SHAPES_PER_VIDEO], digits], axis=2
        )

    def _one(self, kind: str, cast: np.ndarray, frames: int, absent: bool) -> dict:
        asked = {"two": 2, "border": 0}.get(kind, 1)
        labels = self._frames(kind, cast, frames, asked, absent)
        words = list(self.templates[kind])
        start = words.index("?") + 1  # the options begin here
        if kind == "border":
            colour, share = self._paint_border(labels)
            words[start - 2] = COLOUR_NAMES[colour]
            options = [[name] for name in self.rng.permutation(SHARES)]
            answer, lookups = [SHARES[share]], [start - 2, start - 2]
        elif kind == "two":
            spots = [k for k, word in enumerate(words) if word in ("star", "cross")]
            for spot, (colour, shape, _) in zip(spots, cast, strict=False):
                words[spot - 1], words[spot] = COLOUR_NAMES[colour], SHAPES[shape]
            seen = [DIGITS[digit] for digit in cast[:4, 2]]
            options = [[seen[a], seen[b]] for a in (0, 2) for b in (1, 3)]
            options = [options[k] for k in self.rng.permutation(4)]
            answer, lookups = seen[:2], spots
        else:
            column = (COLOUR, SHAPE, DIGIT)[("colour", "shape", "digit").index(kind)]
            names = (COLOUR_NAMES, SHAPES, DIGITS)[column]
            spot = start - 2
            if kind == "digit":
                words[spot - 1], words[spot] = COLOUR_NAMES[cast[0, 0]], SHAPES[cast[0, 1]]
            else:
                words[words.index("0")] = DIGITS[cast[0, 2]]
                spot = words.index(DIGITS[cast[0, 2]])
            others = list(dict.fromkeys(int(v) for v in cast[1:, column] if v != cast[0, column]))
            unseen = [v for v in self.rng.permutation(len(names)) if v not in others and v != cast[0, column]]
            picked = [int(cast[0, column]), *[others[k] for k in self.rng.permutation(len(others))], *unseen][:4]
            options = [[names[v]] for v in self.rng.permutation(picked)]
            answer, lookups = [names[cast[0, column]]], [spot, spot]
        return self._fill_options(words, start, options, answer, lookups) | {"labels": labels}

    def _fill_options(self, words: list[str], start: int, options: list[list[str]], answer: list[str], lookups) -> dict:
        choices, right, place = [], [], start
        for option in options:
            first = place + 2  # after the letter and the full stop
            spots = [first] if len(option) == 1 else [first, first + 2]  # "and" stands between two words
            for spot, word in zip(spots, option, strict=False):
                words[spot] = str(word)
            choices.append([spots[0], spots[-1]])
            flags = [word == wanted for word, wanted in zip(option, answer, strict=False)]
            right.append([flags[0], flags[-1]])
            place = spots[-1] + 1
        return {
            "words": [self.ids[word] for word in words],
            "lookups": lookups,
            "found": [self.ids[answer[0]], self.ids[answer[-1]]],
            "choices": choices,
            "right": right,
            "last": len(words) - 1,
            "letter": [list(map(str, option)) for option in options].index(answer),
        }

    def _frames(self, kind: str, cast: np.ndarray, frames: int, asked: int, absent: bool) -> np.ndarray:
        """Labels (frames, 4): asked events in a few frames, the rest empty, decoys or other events."""
        rng = self.rng
        shown = rng.integers(asked, CAST, frames)
        fate = rng.random(frames)
        empty = rng.uniform(0.1, 0.75)
        decoy = rng.choice([0.0, 0.3]) if kind in ("digit", "two") else 0.0
        shown[fate < empty] = EMPTY
        shown[(fate >= empty) & (fate < empty + decoy)] = DECOY
        if asked and not absent:
            repeats = rng.integers(1, max(2, min(4, frames // (2 * asked) + 1)), asked)
            places = rng.permutation(frames)
            shown[places[: repeats.sum()]] = np.repeat(np.arange(asked), repeats)
        labels = np.empty((frames, 4), np.int64)
        labels[:, :3] = cast[shown]
        labels[shown == EMPTY, :3] = NO_COLOUR, NO_SHAPE, NO_DIGIT
        owner = cast[rng.integers(0, max(1, asked))]
        labels[shown == DECOY, :3] = owner[COLOUR], owner[SHAPE], NO_DIGIT
        pair = rng.integers(0, len(COLOUR_NAMES), 2)
        labels[:, EDGE] = pair[(rng.random(frames) < rng.random()).astype(int)]
        return labels

    def _paint_border(self, labels: np.ndarray) -> tuple[int, int]:
        """Give the frames border colours; returns the asked colour and the number of the right share word.

        Between 'seldom' and 'mostly' a gap is left open: the demo's videos never ask a close call.
        """
        rng = self.rng
        frames = len(labels)
        asked, other, third = rng.permutation(len(COLOUR_NAMES))[:3]
        share = int(rng.integers(4))
        few = int(rng.integers(max(1, round(0.12 * frames)), max(2, int(0.42 * frames) + 1)))
        count = (0, few, frames - few, frames)[share]
        colours = np.full(frames, other)
        if rng.random() < 0.3:
            colours[rng.random(frames) < 0.5] = third
        colours[rng.permutation(frames)[:count]] = asked
        labels[:, EDGE] = colours
        return int(asked), share
