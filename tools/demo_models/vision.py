"""First phase of every demo model: fit its vision tower to name what a rendered frame shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from demo_models.pool import Pool
from demo_models.settings import TrainingSettings
from demo_models.training import (
    TargetNotReached,
    TrainingLog,
    augmented_pixels,
    build_optimiser,
    descend,
    set_rate,
    start_patch_embedding,
    to_pixels,
)

PLANNED_STEPS = 1500
BATCH = 128
PEAK_RATE = 2e-3
CHECK_EVERY = 100
ATTRIBUTES = ("colour", "shape", "digit", "border")

Encode = Callable[[Tensor], Tensor]
"""Pixels (n, 3, H, W) to a feature (n, width) or (n, tokens, width)."""


@torch.no_grad()
def encode_frames(encode: Encode, frames: np.ndarray, device: torch.device) -> Tensor:
    """Features of frames (n, H, W, 3), in slices that fit a small machine."""
    return torch.cat([encode(to_pixels(frames[k : k + 250], device)) for k in range(0, len(frames), 250)])


def fit_vision(
    name: str,
    encode: Encode,
    read: Callable[[Tensor], list[Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    parameters: Sequence[nn.Parameter],
    patch_embedding: nn.Conv2d,
    pools: tuple[Pool, Pool],
    spec: TrainingSettings,
    progress: TrainingLog,
) -> list[float]:
    """Fit a tower until it reads all four attributes off held-out frames.

    Parameters
    ----------
    name : model name, for messages
    encode : pixels to the feature that is read
    read : feature (n, width) to the four logits (n, classes)
    loss : feature (n, width) and labels (n, 4) to a scalar
    parameters : what is fitted
    patch_embedding : the tower's first layer, see ``start_patch_embedding``
    pools : training and validation frames
    spec, progress : targets, caps, clock

    Returns
    -------
    list of float
        Validation accuracies of colour, shape, digit and border.
    """
    train, validation = pools
    device = patch_embedding.weight.device
    rng = np.random.default_rng([spec.seed, 4])
    start_patch_embedding(patch_embedding, train, spec.seed)
    optimiser = build_optimiser(parameters, PEAK_RATE)
    labels, held_out = (torch.from_numpy(pool.labels).to(device) for pool in pools)
    accuracy, step = [0.0], 0
    for step in range(1, spec.max_steps + 1):
        set_rate(optimiser, PEAK_RATE, step - 1, PLANNED_STEPS)
        chosen = rng.integers(0, len(labels), BATCH)
        feature = encode(augmented_pixels(train.frames[chosen], rng, device))
        value = loss(feature, labels[torch.from_numpy(chosen).to(device)])
        descend(value, optimiser)
        if step % CHECK_EVERY == 0 or step == spec.max_steps:
            logits = read(encode_frames(encode, validation.frames, device))
            accuracy = [(part.argmax(1) == held_out[:, k]).float().mean().item() for k, part in enumerate(logits)]
            named = " ".join(f"{attribute} {share:.4f}" for attribute, share in zip(ATTRIBUTES, accuracy, strict=False))
            progress.say(f"vision step {step} loss {value.item():.3f} validation accuracy {named}")
            if progress.expired() or (step >= PLANNED_STEPS and min(accuracy) >= spec.vision_target):
                break
    if min(accuracy) < spec.vision_target:
        raise TargetNotReached(
            f"{name}: worst frame attribute accuracy is {min(accuracy):.4f}, expected at least {spec.vision_target} "
            f"(vision_target) after {step} steps. Hint: raise max_steps, max_minutes or frames_per_combination."
        )
    return [round(share, 4) for share in accuracy]
