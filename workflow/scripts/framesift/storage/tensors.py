"""Files of tensors with a checksum, which is verified when they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from framesift.core.spec import canonical_json
from framesift.storage.checksums import digest_of
from framesift.storage.files import atomic_write


def write_tensors(path: str | Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors, with their checksum in the metadata.

    Parameters
    ----------
    path : path
    tensors : mapping
        Arrays by name.
    metadata : mapping
        Texts by name.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(f"{folder}/v1.safetensors", {"scores": np.ones(2)}, {"video": "v1"})
    ...     read_tensors(f"{folder}/v1.safetensors")
    ({'scores': array([1., 1.])}, {'video': 'v1'})
    """
    from safetensors.numpy import save

    # safetensors writes memory in its own order; unlike ascontiguousarray, this keeps a tensor without dimensions
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    content = save(tensors, metadata={**metadata, "digest": digest_of(_parts(tensors, metadata))})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)  # by Python, whose error for a full disk says so


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
    """Tensors and metadata of a file; None if it is damaged or missing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
    # a flipped bit in the header raises any of these
    except (SafetensorError, LookupError, TypeError, ValueError, OSError):
        return None
    digest = metadata.pop("digest", None)
    return (tensors, metadata) if digest == digest_of(_parts(tensors, metadata)) else None


def _parts(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Iterator[bytes]:
    """Names and contents: safetensors itself notices a file that is cut off, but not a flipped bit."""
    yield canonical_json(metadata).encode()
    for name in sorted(tensors):
        yield f"{name} {tensors[name].dtype} {tensors[name].shape}".encode()
        yield tensors[name].tobytes()
