"""Files of tensors that are checked when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from framesift.core.spec import canonical_json
from framesift.storage.files import atomic_write

if TYPE_CHECKING:
    import numpy as np


def write_tensors(path: str | Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors, with their digest in the metadata."""
    import numpy as np
    from safetensors.numpy import save

    # safetensors writes memory as it lies; unlike ascontiguousarray, this leaves a tensor without dimensions as it is
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    content = save(tensors, metadata={**metadata, "digest": _digest(tensors, metadata)})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)  # by Python, which names a full disk as such


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
    """Tensors and metadata of a file; None where it is not what was written, or not there."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
    except (SafetensorError, LookupError, TypeError, ValueError, OSError):  # whatever a flipped bit makes of the header
        return None
    digest = metadata.pop("digest", None)
    return (tensors, metadata) if digest == _digest(tensors, metadata) else None


def _digest(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """SHA-256 over names and contents: safetensors itself notices a file that is cut, but not a flipped bit."""
    digest = hashlib.sha256(canonical_json(metadata).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
