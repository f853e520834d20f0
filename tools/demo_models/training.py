"""What the three training programs share: clock and caps, learning-rate schedule, augmentation, shipping."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from demo_models.pool import (
    CLASSES,
    DIGIT,
    INPUT_SIZE,
    PATCH,
    SHAPE,
    Pool,
    contrast_frames,
    training_pool,
    validation_pool,
)
from demo_models.settings import TrainingSettings
from framesift.checkpoints import component as models

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's constants, which are the processors' defaults too
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
GENERAL_DIRECTIONS, SHAPE_DIRECTIONS = 24, 28  # rows of the patch embedding; the rest start at digits
CONTRASTS = 3000  # pairs of frames per kind of contrast


class TargetNotReached(RuntimeError):
    """A model did not reach its validation target within its caps."""


class TrainingLog:
    """Prints plain progress lines and knows when the time cap is spent."""

    def __init__(self, model: str, max_minutes: float) -> None:
        self.model = model
        self.wall, self.cpu = time.time(), time.process_time()
        self.deadline = self.wall + 60 * max_minutes

    def say(self, line: str) -> None:
        """Print one line with the seconds so far."""
        wall, cpu = time.time() - self.wall, time.process_time() - self.cpu
        print(f"[{self.model} wall {wall:.0f} s cpu {cpu:.0f} s] {line}", flush=True)

    def expired(self) -> bool:
        """Whether the time cap is spent."""
        return time.time() > self.deadline

    def seconds(self) -> dict[str, float]:
        """Seconds so far, for the spec file."""
        return {
            "wall_seconds": round(time.time() - self.wall, 1),
            "cpu_seconds": round(time.process_time() - self.cpu, 1),
        }


def pick_device() -> torch.device:
    """CUDA if there is one, else the CPU with a single thread (the models are too small to share out)."""
    device = models.pick_device("auto")
    if device == "cpu":
        torch.set_num_threads(1)
    return torch.device(device)


def render_pools(spec: TrainingSettings, progress: TrainingLog) -> tuple[Pool, Pool]:
    """Training and validation frames of a spec."""
    train = training_pool(spec.seed, spec.frames_per_combination, spec.empty_frames)
    validation = validation_pool(spec.seed, spec.validation_frames)
    progress.say(f"rendered {len(train.frames)} training and {len(validation.frames)} validation frames")
    return train, validation


def to_pixels(frames: np.ndarray, device: torch.device) -> Tensor:
    """Frames (n, H, W, 3) uint8 as normalised pixels (n, 3, H, W)."""
    mean = torch.tensor(PIXEL_MEAN, device=device).view(1, 3, 1, 1)
    std = torch.tensor(PIXEL_STD, device=device).view(1, 3, 1, 1)
    pixels = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float()
    return torch.addcmul(-mean / std, pixels, 1 / (255 * std))


def augmented_pixels(frames: np.ndarray, rng: np.random.Generator, device: torch.device) -> Tensor:
    """As ``to_pixels``, shifted by up to one pixel and a little changed in brightness and colour balance."""
    pixels = to_pixels(np.roll(frames, rng.integers(-1, 2, 2), axis=(1, 2)), device)
    count = len(pixels)
    gain = 1 + 0.15 * (torch.rand(count, 1, 1, 1, device=device) - 0.5)
    offset = 0.15 * (torch.rand(count, 3, 1, 1, device=device) - 0.5)
    return torch.addcmul(offset, pixels, gain)


def to_patches(pixels: Tensor) -> Tensor:
    """Flat patches (4 * n, 3 * PATCH * PATCH) of pixels (n, 3, H, W)."""
    return functional.unfold(pixels, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3 * PATCH * PATCH)


def _main_directions(frames: Tensor, count: int) -> Tensor:
    """Principal directions (count, 3 * PATCH * PATCH) of the patches of frames (n, 3, H, W)."""
    patches = to_patches(frames)
    _, _, directions = torch.svd_lowrank(patches - patches.mean(0), q=count + 16, niter=3)
    return directions[:, :count].T


@torch.no_grad()
def start_patch_embedding(patch_embedding: nn.Conv2d, pool: Pool, seed: int) -> None:
    """Start the patch embedding at directions that carry digits and shapes.

    A patch is one quarter of a frame: thousands of numbers that are mostly background, so random weights, and even
    the principal components of the frames, hardly see a digit. Principal components of *differences* between frames
    that are alike but for the digit (or the shape) do.
    """
    device = patch_embedding.weight.device
    pixels = to_pixels(pool.frames[:3000], device)
    directions = [_main_directions(pixels, GENERAL_DIRECTIONS)]
    left = patch_embedding.weight.shape[0] - GENERAL_DIRECTIONS - SHAPE_DIRECTIONS
    for column, count in ((SHAPE, SHAPE_DIRECTIONS), (DIGIT, left)):
        differences = torch.from_numpy(contrast_frames(seed, CONTRASTS, column)).to(device).permute(0, 3, 1, 2)
        directions.append(_main_directions(differences, count))
    weights = torch.cat(directions)
    patches = to_patches(pixels)
    patches = patches - patches.mean(0)
    seen = patches @ weights.T
    scatter = seen.T @ seen / len(seen)
    spread, axes = torch.linalg.eigh(scatter)
    weights = axes @ torch.diag(1 / torch.sqrt(spread.clamp(min=0) + 1e-2)) @ axes.T @ weights
    patch_embedding.weight.copy_(weights.reshape_as(patch_embedding.weight))
    if patch_embedding.bias is not None:
        patch_embedding.bias.copy_(-weights @ to_patches(pixels).mean(0))


class AttributeHeads(nn.ModuleList):
    """Throw-away linear classifiers of colour, shape, digit and border from a frame's feature."""

    def __init__(self, width: int) -> None:
        super().__init__([nn.Linear(width, classes) for classes in CLASSES])

    def loss(self, feature: Tensor, labels: Tensor) -> Tensor:
        """Sum of the cross-entropies; feature (n, width), labels (n, 4)."""
        return sum(functional.cross_entropy(head(feature), labels[:, k]) for k, head in enumerate(self))


def build_optimiser(parameters: Sequence[nn.Parameter], rate: float, decay: float = 0.05) -> torch.optim.AdamW:
    """AdamW that decays matrices only."""
    matrices = [p for p in parameters if p.requires_grad and p.ndim > 1]
    others = [p for p in parameters if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def set_rate(optimiser: torch.optim.Optimizer, peak: float, step: int, planned: int, warmup: int = 60) -> None:
    """Linear warm-up, then a half cosine down to 3 per cent of the peak; steps past the plan keep that rate."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / planned)))
    rate = peak * min(1.0, (step + 1) / warmup) * (0.97 * cosine + 0.03)
    for group in optimiser.param_groups:
        group["lr"] = rate


def descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """One optimiser step with clipped gradients."""
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], 1.0)
    optimiser.step()


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive scores above a negative (ties split by order)."""
    ranks = np.argsort(np.argsort(np.concatenate([positive, negative])))[: len(positive)]
    count = len(positive)
    return float((ranks.sum() - count * (count - 1) / 2) / (count * len(negative)))


def write_spec_file(folder: Path, model: str, spec: TrainingSettings, reached: dict, progress: TrainingLog) -> None:
    """Write spec.json beside the weights and make every file readable by all (safetensors writes 0600)."""
    import transformers

    record = {
        "model": model,
        "spec": spec.model_dump(mode="json"),
        "input_size": INPUT_SIZE,
        "reached": reached,
        "training": progress.seconds(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": np.__version__,
        },
    }
    (folder / "spec.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
