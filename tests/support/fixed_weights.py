"""Weights that are the same on every machine and with every release of torch: those of a seed are not."""

from __future__ import annotations

import zlib
from pathlib import Path


def fix_weights(folder: Path, scale: float = 1.0) -> None:
    """Replace every float tensor of a checkpoint's safetensors files by waves that its name decides.

    A small vision tower needs a large `scale` to tell pictures apart.
    """
    import torch
    from safetensors.torch import load_file, save_file

    for file in sorted(folder.rglob("*.safetensors")):
        tensors = load_file(file)
        save_file({name: _wave(name, tensor, scale, torch) for name, tensor in tensors.items()}, file, {"format": "pt"})


def _wave(name: str, tensor, scale: float, torch):
    if not tensor.is_floating_point():
        return tensor
    count, phase = tensor.numel(), zlib.crc32(name.encode()) % 1000
    wave = torch.sin(torch.arange(count, dtype=torch.float64) * 12.9898 + phase)
    if tensor.ndim <= 1:  # biases, and the weights of norms, which lie around one
        wave = 0.1 * wave + float("norm" in name.lower() and name.endswith("weight"))
    else:
        wave = wave * scale * (tensor.shape[-1] if tensor.ndim == 2 else tensor[0].numel()) ** -0.5
    return wave.reshape(tensor.shape).to(tensor.dtype).contiguous()
