"""Frame tokens of the answerer: the vectors that spell out what a frame shows, ideal and real."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor
from transformers import LlavaOnevisionForConditionalGeneration, PreTrainedTokenizerFast

from demo_models.pool import COLOUR, DIGIT, EDGE, NO_DIGIT, SHAPE, Pool
from demo_models.vision import encode_frames
from demo_models.vlm_model import WIDTH, frame_tokens
from framesift.demo.world import COLOUR_NAMES, DIGITS, SHAPES

TOKEN_SCALE = 6.0  # a frame's token is this many times longer than a word's embedding
IDEAL_NOISE = 0.5  # standard deviation added to ideal tokens


class AttributeTables:
    """Vectors of each colour, shape, digit (the words' own embeddings) and border colour (a table of its own).

    The border has vectors of its own so that a red border and a red shape do not look alike. The last row of the
    first three tables means 'none'.
    """

    def __init__(
        self, model: LlavaOnevisionForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, seed: int
    ) -> None:
        words = model.model.language_model.embed_tokens.weight.detach()
        rng = np.random.default_rng([seed, 3])
        extra = torch.from_numpy(rng.normal(0, 0.1, (3 + len(COLOUR_NAMES), WIDTH))).to(words)
        self.tables = [
            torch.cat([words[tokenizer.convert_tokens_to_ids(names)], extra[k : k + 1]])
            for k, names in enumerate((COLOUR_NAMES, SHAPES, DIGITS))
        ]
        self.tables.append(extra[3:])
        self.device = words.device

    def ideal(self, labels: Tensor) -> Tensor:
        """The tokens (..., WIDTH) that frames with labels (..., 4) should become."""
        return TOKEN_SCALE * sum(table[labels[..., k]] for k, table in enumerate(self.tables))

    def noisy(self, labels: np.ndarray) -> Tensor:
        """Ideal tokens (..., WIDTH) with noise, to practise on before real ones."""
        tokens = self.ideal(torch.from_numpy(labels).to(self.device))
        return tokens + IDEAL_NOISE * torch.randn_like(tokens)

    def read(self, tokens: Tensor) -> list[Tensor]:
        """Logits (n, classes) of the four attributes of tokens (n, WIDTH)."""
        return [tokens @ table.T for table in self.tables]

    def loss(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Misreading of the attributes, and distance from the ideal tokens."""
        misread = sum(functional.cross_entropy(logits, labels[:, k]) for k, logits in enumerate(self.read(tokens)))
        return misread + 0.5 * (tokens - self.ideal(labels)).pow(2).mean()


class RealTokens:
    """Tokens of rendered frames, found by what the frames show.

    Parameters
    ----------
    model : the answerer, its vision tower already fitted
    pool : rendered frames
    rng : picks among the frames that show the same
    """

    def __init__(self, model: LlavaOnevisionForConditionalGeneration, pool: Pool, rng: np.random.Generator) -> None:
        device = next(model.parameters()).device
        self.rng = rng
        keys = label_keys(pool.labels)
        order = np.argsort(keys, kind="stable")
        self.tokens = encode_frames(lambda pixels: frame_tokens(model, pixels), pool.frames[order], device)
        self.keys, self.first, self.counts = np.unique(keys[order], return_index=True, return_counts=True)

    def __call__(self, labels: np.ndarray) -> Tensor:
        """Tokens (..., WIDTH) for labels (..., 4)."""
        keys = label_keys(labels)
        slot = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        missing = int((self.keys[slot] != keys).sum())
        if missing:
            raise ValueError(f"{missing} labels have no rendered frame. Hint: render every combination at least once.")
        index = self.first[slot] + (self.rng.random(labels.shape[:-1]) * self.counts[slot]).astype(np.int64)
        return self.tokens[torch.from_numpy(index).to(self.tokens.device)]


def label_keys(labels: np.ndarray) -> np.ndarray:
    """One number for each label (..., 4)."""
    shape_stride, colour_stride = NO_DIGIT + 1, (NO_DIGIT + 1) * (len(SHAPES) + 1)
    look = labels[..., COLOUR] * colour_stride + labels[..., SHAPE] * shape_stride + labels[..., DIGIT]
    return look * len(COLOUR_NAMES) + labels[..., EDGE]
