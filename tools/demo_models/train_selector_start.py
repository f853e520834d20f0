"""What the demo's selector starts from: it learns to look things up in lists of words, then what its frames show.

A selector of real size starts from a language model that can read, and learns from instructions how pictures fit in
(stage 1 of arXiv 2502.19680). This is that for a language model of two blocks, in minutes: lists of words stand for
videos, and then the projector learns to say in the words' place what the demo's CLIP sees in rendered frames. Of
labels of videos it knows nothing; rule train_selector goes on from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor
from transformers import AutoModel

from demo_models.lookup_model import FIRST, FRAMES, WIDTH, build_model, start_as_lookup, start_head, word_ids
from demo_models.pool import NO_COLOUR, NO_DIGIT, Pool, training_pool
from demo_models.settings import SelectorStartSettings
from demo_models.training import (
    TargetNotReached,
    TrainingLog,
    descend,
    pick_device,
    set_rate,
    to_pixels,
    write_spec_file,
)
from demo_models.word_lists import WordList, draw_list
from framesift.checkpoints.component import pretrained
from framesift.core.spec import spec_of
from framesift.demo.world import COLOUR_NAMES, SHAPES
from framesift.scoring.encoders.patches import Patches
from framesift.scoring.mllm_selector.checkpoint import new_selector, save_pretrained
from framesift.scoring.mllm_selector.losses import importance_loss
from framesift.scoring.mllm_selector.network import SelectorNetwork
from framesift.scoring.mllm_selector.settings import LanguageModel, SelectorSettings
from framesift.training.validation import recall_at

SHIPPED = Path("resources/demo")
LISTS, LIST_RATE, CHECK_EVERY, CHECKED = 12, 1e-3, 100, 20
FRAMES_A_STEP, FRAME_RATE = 512, 3e-3
BUDGET = 8


def settings() -> SelectorSettings:
    """Those of the demo's selector, wherever it is trained."""
    return SelectorSettings(
        vision=Patches(model=(SHIPPED / "clip").as_posix(), pool=1, frames=FRAMES),
        llm=LanguageModel(model=(SHIPPED / "selector_start" / "llm").as_posix()),
        read_out=-1,
        head_width=256,
        text="question",
    )


def train_selector_start(spec: SelectorStartSettings, folder: Path) -> dict:
    """Train, validate and write the selector; returns the validation figures reached."""
    progress = TrainingLog("selector_start", spec.max_minutes)
    device = pick_device()
    pool = training_pool(spec.seed, spec.frames_per_combination, spec.empty_frames)
    seen = look_at(pool, device)
    trunk, tokenizer = build_model(spec.seed)
    network = SelectorNetwork(settings(), trunk, len(trunk.h), seen.shape[1])
    words = word_ids(tokenizer)
    start_as_lookup(trunk, network.query, words)
    start_head(network.head, trunk)
    network.to(device).train()
    recall = learn_lists(network, tokenizer, words, spec, progress)
    if recall < spec.target:
        raise TargetNotReached(
            f"selector_start: recall at {BUDGET} is {recall}, expected at least {spec.target} (target). "
            "Hint: raise max_steps or max_minutes."
        )
    explained = learn_frames(network, seen, meanings(pool, network, words), spec, progress)
    reached = {"recall": recall, "explained": explained}
    progress.say(f"reached {reached}")
    save(network, tokenizer, folder)
    write_spec_file(folder, "selector_start", spec, reached, progress)
    return reached


# Lists of words


def learn_lists(
    network: SelectorNetwork, tokenizer: Any, words: list[int], spec: SelectorStartSettings, progress: TrainingLog
) -> float:
    """Train all but the projector on lists of words; returns the recall on lists that it has not seen."""
    rng, device = np.random.default_rng([spec.seed, 20]), network.query.device
    fitted = [one for name, one in network.named_parameters() if not name.startswith("projector")]
    optimiser = torch.optim.AdamW(fitted, lr=LIST_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    held_out = [draw_list(np.random.default_rng([spec.seed, 21, number])) for number in range(CHECKED)]
    for step in range(1, spec.max_steps + 1):
        set_rate(optimiser, LIST_RATE, step - 1, spec.max_steps)
        lists = [draw_list(rng) for _ in range(LISTS)]
        # how clearly a frame shows something differs, so that what is hardly seen counts too
        clear = rng.uniform(0.1, 1.0, (LISTS, 1, 1))
        noise = rng.uniform(0.05, 0.75, (LISTS, 1, 1)) * rng.standard_normal((LISTS, FRAMES, FIRST.stop))
        logits = ask(network, tokenizer, words, lists, clear, noise)
        targets = torch.from_numpy(np.concatenate([one.targets for one in lists])).to(device)
        masks = np.concatenate([np.tile(one.mask, (len(one.questions), 1)) for one in lists])
        loss = importance_loss(logits, targets, torch.from_numpy(masks).to(device))
        descend(loss, optimiser)
        if step % CHECK_EVERY == 0 or step == spec.max_steps:
            recall = check_lists(network, tokenizer, words, held_out)
            progress.say(f"lists step {step} loss {loss.item():.4f} recall {recall}")
            if progress.expired():
                break
    return recall


def ask(
    network: SelectorNetwork,
    tokenizer: Any,
    words: list[int],
    lists: list[WordList],
    clear: np.ndarray,
    noise: np.ndarray,
) -> Tensor:
    """Logits (questions, FRAMES) of the questions about lists, of which noise (lists, FRAMES, content) is part."""
    device = network.query.device
    shown = torch.from_numpy(np.stack([one.shown for one in lists]) * clear).float().to(device)
    content = shown @ network.trunk.wte.weight[words, FIRST] + torch.from_numpy(noise).float().to(device)
    visual = functional.pad(content, (0, WIDTH - FIRST.stop))
    questions = [question for one in lists for question in one.questions]
    texts = [torch.tensor(ids, device=device) for ids in tokenizer(questions, add_special_tokens=False)["input_ids"]]
    of = torch.tensor([number for number, one in enumerate(lists) for _ in one.questions], device=device)
    return network.logits_after(network.trunk(inputs_embeds=visual, use_cache=True).past_key_values, texts, of)


@torch.no_grad()
def check_lists(network: SelectorNetwork, tokenizer: Any, words: list[int], lists: list[WordList]) -> float:
    """Mean recall at BUDGET over the questions of lists that show everything clearly."""
    clear, noise = np.ones((len(lists), 1, 1)), np.zeros((len(lists), FRAMES, FIRST.stop))
    logits = ask(network, tokenizer, words, lists, clear, noise)
    masks = [one.mask for one in lists for _ in one.questions]
    targets = np.concatenate([one.targets for one in lists])
    found = [
        recall_at(scores[mask], wanted[mask], BUDGET)
        for scores, mask, wanted in zip(logits.cpu().numpy(), masks, targets, strict=True)
    ]
    return round(float(np.mean([one for one in found if one is not None])), 4)


# Frames


@torch.inference_mode()
def look_at(pool: Pool, device: torch.device) -> Tensor:
    """Features (frames, width) of rendered frames, by the frozen vision encoder."""
    vision = settings().vision
    model = pretrained(AutoModel, vision.model, vision.revision, dtype=getattr(torch, vision.dtype))
    tower = model.vision_model.to(device).eval()
    parts = np.array_split(pool.frames, -(-len(pool.frames) // 256))
    return torch.cat([vision.features((tower, None), to_pixels(part, device))[:, 0].float() for part in parts]).to(
        device
    )


def meanings(pool: Pool, network: SelectorNetwork, words: list[int]) -> Tensor:
    """What the words for what frames show add up to: (frames, WIDTH)."""
    shown = np.zeros((len(pool.labels), len(words)), np.float32)
    for column, (first, nothing) in enumerate(
        ((0, NO_COLOUR), (len(COLOUR_NAMES), len(SHAPES)), (len(COLOUR_NAMES) + len(SHAPES), NO_DIGIT))
    ):
        there = np.flatnonzero(pool.labels[:, column] != nothing)
        shown[there, first + pool.labels[there, column]] = 1
    content = torch.from_numpy(shown).to(network.query.device) @ network.trunk.wte.weight[words, FIRST].detach()
    return functional.pad(content, (0, WIDTH - FIRST.stop))


def learn_frames(
    network: SelectorNetwork, seen: Tensor, meant: Tensor, spec: SelectorStartSettings, progress: TrainingLog
) -> float:
    """Train the projector to turn features into what is meant; returns the share of the variance that it explains."""
    rng, projector = np.random.default_rng([spec.seed, 22]), network.projector
    held_out = len(seen) // 10
    mean, spread = seen.mean(0), seen.std(0)
    features = (seen - mean) / spread
    optimiser = torch.optim.AdamW(projector.parameters(), lr=FRAME_RATE, weight_decay=0.0)
    for step in range(1, spec.frame_steps + 1):
        set_rate(optimiser, FRAME_RATE, step - 1, spec.frame_steps)
        chosen = torch.from_numpy(rng.integers(held_out, len(seen), FRAMES_A_STEP))
        loss = functional.mse_loss(projector(features[chosen]), meant[chosen])
        descend(loss, optimiser)
    with torch.no_grad():
        left = functional.mse_loss(projector(features[:held_out]), meant[:held_out])
        explained = round(1 - (left / meant[:held_out].var(0, correction=0).mean()).item(), 4)
        progress.say(f"frames step {spec.frame_steps} loss {loss.item():.4f} explained {explained}")
        # from now on features come as they are
        projector[0].weight /= spread
        projector[0].bias -= projector[0].weight @ mean
    return explained


def save(network: SelectorNetwork, tokenizer: Any, folder: Path) -> None:
    """Write the language model to ``llm``, and beside it the rest, as a selector around it."""
    folder.mkdir(parents=True)
    network.trunk.half().save_pretrained(folder / "llm")
    tokenizer.save_pretrained(folder / "llm")
    here = settings().model_copy(update={"llm": LanguageModel(model=(folder / "llm").as_posix())})
    selector = new_selector(here, seed=0, dtype=torch.float32, replies=False)
    selector.network.load_state_dict(network.own_state(), strict=False)
    selector.settings = settings()
    selector.config = selector.config.model_copy(update={"settings": spec_of(settings())})
    save_pretrained(selector, folder / "selector", trained="none", dtype=torch.float16)
