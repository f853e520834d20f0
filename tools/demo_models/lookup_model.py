"""The tiny language model that the demo's selector starts from: two blocks that begin as a look-up.

It reads 256 frames, a question and the score query. Block 1 gathers the question's words at the query, one head those
of a first and one those of a second thing that is asked for; block 2 looks for frames that show the same, each head for
its thing, and reads their places. Fitting this from random weights spends most of its steps on finding this start. All
of it is trained afterwards.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

from demo_models.tokenizer import build_tokenizer
from framesift.demo.world import COLOUR_NAMES, DIGITS, SHAPES

FRAMES, TEXT_TOKENS = 256, 40
WIDTH, HEADS, INNER = 144, 2, 64
#: What each dimension starts as: what a frame shows, or words of the first thing that is asked for; words of the
#: second; the place of a frame; whether a word names something; whether this is text; whether it stands early there.
FIRST, SECOND, PLACE = slice(0, 24), slice(24, 48), slice(48, 120)
WORD, TEXT, EARLY = 120, 121, 122
EARLY_WORDS = 8  # "which digits are on the red star and": what comes later is the second thing

WORDS = [*COLOUR_NAMES, *SHAPES, *DIGITS]


def build_model(seed: int) -> tuple[GPT2Model, PreTrainedTokenizerFast]:
    """A language model without head, before it starts as a look-up, and its tokenizer."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(answers=False)
    config = GPT2Config(
        vocab_size=-(-len(tokenizer) // 8) * 8,
        n_positions=FRAMES + TEXT_TOKENS,
        n_embd=WIDTH,
        n_layer=2,
        n_head=HEADS,
        n_inner=INNER,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return GPT2Model(config), tokenizer


def word_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Tokens of the words that a frame can show, in the order of `WORDS`."""
    return tokenizer.convert_tokens_to_ids(WORDS)


def _orthogonal(rows: int, columns: int) -> Tensor:
    size = max(rows, columns)
    return torch.linalg.qr(torch.randn(size, size))[0][:rows, :columns]


@torch.no_grad()
def start_as_lookup(trunk: GPT2Model, query: nn.Parameter, words: list[int]) -> None:
    """Set embeddings and attention so that the query reads the places of the frames that show the question's words."""
    places, tokens = trunk.wpe.weight, trunk.wte.weight
    waves = (PLACE.stop - PLACE.start) // 2
    # uneven steps, so that no two places look alike
    rates = (torch.arange(waves) + torch.rand(waves)) * (math.pi / 2 / waves)
    angles = torch.arange(FRAMES)[:, None] * rates
    places.zero_()
    places[:FRAMES, PLACE] = torch.cat([angles.sin(), angles.cos()], 1)
    places[FRAMES : FRAMES + EARLY_WORDS, EARLY], places[FRAMES + EARLY_WORDS :, EARLY] = 1.0, -1.0
    tokens.zero_()
    tokens[:, TEXT] = 3.0
    tokens[words, FIRST] = 5.0 * _orthogonal(len(words), FIRST.stop - FIRST.start)
    tokens[words, WORD], tokens[words, TEXT] = 3.0, 1.0
    query.zero_()
    query[TEXT] = 1.0

    size = WIDTH // HEADS
    gather, find = (block.attn for block in trunk.h)
    for layer in (gather.c_attn, gather.c_proj, find.c_attn, find.c_proj):
        layer.weight.normal_(0, 0.02)
    for head, (own, early) in enumerate(((FIRST, 1.0), (SECOND, -1.0))):
        asks, keys, values = (slice(part * WIDTH + head * size, part * WIDTH + (head + 1) * size) for part in range(3))
        output = slice(head * size, (head + 1) * size)
        gather.c_attn.bias[asks.start] = 8.0
        gather.c_attn.weight[WORD, keys.start] = 2.0
        gather.c_attn.weight[EARLY, keys.start] = early
        turn = _orthogonal(FIRST.stop - FIRST.start, size)
        gather.c_attn.weight[FIRST, values] += turn
        gather.c_proj.weight[output, own] += turn.T

        content = slice(asks.start, asks.stop - 1), slice(keys.start, keys.stop - 1)
        turn = 1.4 * _orthogonal(FIRST.stop - FIRST.start, size - 1)
        find.c_attn.weight[own, content[0]] += turn
        find.c_attn.weight[FIRST, content[1]] += turn
        # the last dimension of a head keeps it from looking at text
        find.c_attn.weight[:, [content[0].stop, content[1].stop]] = 0.0
        find.c_attn.bias[content[0].stop] = 200.0
        find.c_attn.weight[TEXT, content[1].stop] = -1.0
        turn = _orthogonal(PLACE.stop - PLACE.start, size)
        find.c_attn.weight[PLACE, values] += turn
        find.c_proj.weight[output, PLACE] += 3.0 * turn.T


@torch.no_grad()
def start_head(head: nn.Sequential, trunk: GPT2Model) -> None:
    """Set the score head (of width 256) so that a slot's logit tells how much of its place was read."""
    into, out = head[1], head[3]
    for layer in (into, out):
        layer.weight.normal_(0, 0.01)
        layer.bias.zero_()
    places = trunk.wpe.weight[:FRAMES]
    into.weight[:FRAMES] += places * (8.0 / 3.0 / places.square().sum(1, keepdim=True))
    out.weight += torch.eye(*out.weight.shape)
    out.bias.fill_(-4.0)
