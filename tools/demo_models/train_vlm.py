"""Train the demo's answerer in three phases: see, practise on ideal frame tokens, then on real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from demo_models.pool import Pool, training_pool
from demo_models.settings import TrainingSettings
from demo_models.training import TargetNotReached, TrainingLog, pick_device, render_pools, write_spec_file
from demo_models.vision import fit_vision
from demo_models.vlm_language import KINDS, LanguagePhase, fit_language, measure
from demo_models.vlm_model import build_model, frame_tokens, save_model, vision_embeddings
from demo_models.vlm_tokens import AttributeTables, RealTokens

PRACTICE = LanguagePhase("practice", planned_steps=1500, peak_rate=1.5e-3, target=0.0, move_words=False)
REAL = LanguagePhase("real frames", planned_steps=2500, peak_rate=1.2e-3, target=0.92, move_words=True)
REPORTED_FRAMES = (4, 8, 16, 32)
HELD_OUT_REPEATS = 2  # held-out frames per combination, so that every question can be posed


def train_vlm(spec: TrainingSettings, folder: Path) -> dict:
    """Train, validate and write the answerer; returns the validation figures reached."""
    progress = TrainingLog("vlm", spec.max_minutes)
    device = pick_device()
    pools = render_pools(spec, progress)
    model, tokenizer = build_model(spec.seed)
    model.to(device).train()
    tables = AttributeTables(model, tokenizer, spec.seed)
    accuracy = fit_vision(
        "vlm",
        lambda pixels: frame_tokens(model, pixels),
        tables.read,
        tables.loss,
        [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()],
        vision_embeddings(model).patch_embedding,
        pools,
        spec,
        progress,
    )
    fit_language(model, tokenizer, PRACTICE, tables.noisy, tables.noisy, spec, progress)
    seen = RealTokens(model, pools[0], np.random.default_rng([spec.seed, 8]))
    held_out = RealTokens(model, held_out_pool(spec), np.random.default_rng([spec.seed, 9]))
    fit_language(model, tokenizer, REAL, seen, held_out, spec, progress)
    reached = {"vision": accuracy}
    for frames in REPORTED_FRAMES:
        reached[f"frames_{frames}"] = measure(model, tokenizer, held_out, frames, 200)
    reached["event_absent_8"] = measure(model, tokenizer, held_out, 8, 200, absent=True)
    progress.say(f"reached {reached}")
    worst = min(reached[f"frames_{frames}"][kind] for frames in (8, 16) for kind in KINDS)
    if worst < spec.vlm_target:
        raise TargetNotReached(
            f"vlm: worst accuracy over question kinds at 8 and 16 frames is {worst}, expected at least "
            f"{spec.vlm_target} (vlm_target). Hint: raise max_steps or max_minutes."
        )
    save_model(model, tokenizer, folder)
    write_spec_file(folder, "vlm", spec, reached, progress)
    return reached


def held_out_pool(spec: TrainingSettings) -> Pool:
    """Frames the answerer never saw, with every combination present."""
    return training_pool(spec.seed + 2_000_003, HELD_OUT_REPEATS, 300)
