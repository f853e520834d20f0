"""Second phase of the answerer: fit the language model on frame tokens and questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import LlavaOnevisionForConditionalGeneration, PreTrainedTokenizerFast

from demo_models.settings import TrainingSettings
from demo_models.training import TrainingLog, build_optimiser, descend, set_rate
from demo_models.vlm_batches import KINDS, BatchMaker, VlmBatch
from demo_models.vlm_model import WIDTH
from framesift.demo.text import LETTERS

FRAME_COUNTS = (4, 6, 8, 8, 8, 12, 16, 24, 32)  # frames of a training batch, drawn at random
TOKENS_PER_STEP = 3000  # so that batches with many frames cost about as much as batches with few
CHECK_EVERY = 100
LOOKUP_LAYER, CHOICE_LAYER = 2, 3  # hidden states that the throw-away heads read

Realise = Callable[[np.ndarray], Tensor]
"""Turns labels (n, frames, 4) into frame tokens (n, frames, WIDTH)."""


@dataclass
class LanguagePhase:
    """One run of optimiser steps: where it starts to check its target, its peak rate, and whether words move."""

    name: str
    planned_steps: int
    peak_rate: float
    target: float
    move_words: bool


class ThrowAwayHeads(nn.Module):
    """Heads that spell out the two inner steps, looking up and comparing; they are not shipped."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.lookup = nn.Linear(WIDTH, words)
        self.choice = nn.Linear(WIDTH, 1)


def _gather(states: Tensor, positions: np.ndarray, offset: int) -> Tensor:
    """States (n, length, WIDTH) at positions (n, ...), counted after the frames."""
    index = torch.from_numpy(positions).to(states.device) + offset
    rows = torch.arange(len(states), device=states.device).view(-1, *[1] * (index.ndim - 1))
    return states[rows, index]


def run_model(
    model: LlavaOnevisionForConditionalGeneration, batch: VlmBatch, frames: Tensor, letters: Tensor | None
) -> tuple[tuple[Tensor, ...], Tensor, int]:
    """Hidden states of all layers, word logits after the prompt's last word (n, 1 or 2, words), and the text's offset.

    With ``letters`` (the ids of A to D) the right letter is fed as well, and logits after it are returned too.
    Padding stands on the right of a causal model, so it needs no mask.
    """
    language = model.model.language_model
    device = frames.device
    words = torch.from_numpy(batch.words).to(device)
    steps = batch.last[:, None]
    if letters is not None:
        words = functional.pad(words, (0, 1))
        right = letters.to(device)[torch.from_numpy(batch.letter).to(device)]
        words[torch.arange(len(words)), torch.from_numpy(batch.last).to(device) + 1] = right
        steps = np.concatenate([steps, steps + 1], axis=1)
    newline = model.model.image_newline.expand(len(frames), 1, -1)
    embedded = torch.cat([frames, newline, language.embed_tokens(words)], dim=1)
    output = language(inputs_embeds=embedded, output_hidden_states=True, use_cache=False)
    offset = frames.shape[1] + 1
    return output.hidden_states, model.lm_head(_gather(output.last_hidden_state, steps, offset)), offset


def fit_language(
    model: LlavaOnevisionForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    phase: LanguagePhase,
    train: Realise,
    validation: Realise,
    spec: TrainingSettings,
    progress: TrainingLog,
) -> dict[int, dict[str, float]]:
    """Fit the language model until the phase's target is met at 8 and 16 frames; returns the last accuracies."""
    language = model.model.language_model
    language.embed_tokens.weight.requires_grad_(phase.move_words)
    heads = ThrowAwayHeads(language.embed_tokens.num_embeddings).to(language.embed_tokens.weight.device)
    optimiser = build_optimiser(
        [*language.parameters(), model.model.image_newline, *heads.parameters()], phase.peak_rate
    )
    rng = np.random.default_rng([spec.seed, 6, phase.planned_steps])
    maker = BatchMaker(tokenizer, rng)
    letters = torch.tensor(tokenizer.convert_tokens_to_ids(LETTERS))
    accuracy: dict[int, dict[str, float]] = {}
    for step in range(spec.max_steps):
        set_rate(optimiser, phase.peak_rate, step, phase.planned_steps)
        count = int(rng.choice(FRAME_COUNTS))
        batch = maker.draw(TOKENS_PER_STEP // (count + 35), count)
        parts = batch_losses(model, heads, batch, train(batch.labels), letters, tokenizer.eos_token_id)
        descend(sum(parts.values()), optimiser)
        if (step + 1) % CHECK_EVERY == 0:
            accuracy = {frames: measure(model, tokenizer, validation, frames, 100) for frames in (8, 16)}
            progress.say(
                f"{phase.name} step {step + 1} "
                + " ".join(f"{name} {value.item():.3f}" for name, value in parts.items())
                + " | 8 frames "
                + " ".join(f"{kind} {value:.3f}" for kind, value in accuracy[8].items())
            )
            worst = min(min(kinds.values()) for kinds in accuracy.values())
            if progress.expired() or (step + 1 >= phase.planned_steps and worst >= phase.target):
                break
    return accuracy


def batch_losses(
    model: LlavaOnevisionForConditionalGeneration,
    heads: ThrowAwayHeads,
    batch: VlmBatch,
    frames: Tensor,
    letters: Tensor,
    end: int,
) -> dict[str, Tensor]:
    """Losses of one batch: the letter, the end mark, and the two throw-away heads."""
    device = frames.device
    states, logits, offset = run_model(model, batch, frames, letters)
    letter = letters.to(device)[torch.from_numpy(batch.letter).to(device)]
    looked_up = heads.lookup(_gather(states[LOOKUP_LAYER], batch.lookups, offset))
    found = torch.from_numpy(batch.found).to(device)
    compared = heads.choice(_gather(states[CHOICE_LAYER], batch.choices, offset)).squeeze(-1)
    right = torch.from_numpy(batch.right).to(device).float()
    return {
        "letter": functional.cross_entropy(logits[:, 0], letter),
        "end": 0.1 * functional.cross_entropy(logits[:, 1], torch.full_like(letter, end)),
        "lookup": functional.cross_entropy(looked_up.flatten(0, 1), found.flatten()),
        "choice": 2 * functional.binary_cross_entropy_with_logits(compared, right),
    }


@torch.no_grad()
def measure(
    model: LlavaOnevisionForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    realise: Realise,
    frames: int,
    per_kind: int,
    absent: bool = False,
) -> dict[str, float]:
    """Accuracy per question kind on fresh questions about ``frames`` frames (the same questions every time)."""
    model.eval()
    maker = BatchMaker(tokenizer, np.random.default_rng([frames, int(absent)]))
    right = []
    for _ in range(0, per_kind, 20):
        batch = maker.draw(20 * len(KINDS), frames, absent=absent)
        _, logits, _ = run_model(model, batch, realise(batch.labels), None)
        guess = logits[:, 0, tokenizer.convert_tokens_to_ids(LETTERS)].argmax(1).cpu().numpy()
        right.append((guess == batch.letter).reshape(-1, len(KINDS)))
    model.train()
    return dict(zip(KINDS, np.concatenate(right).mean(0).round(4).tolist(), strict=False))
