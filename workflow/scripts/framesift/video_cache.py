"""What was computed of each video, kept: one safetensors file a video, named by its content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framesift.cli import log
from framesift.code import code_digest
from framesift.encoders import Encoder
from framesift.files import whole
from framesift.spec import canonical_json, spec_id
from framesift.videos import Video

if TYPE_CHECKING:
    import numpy as np


class VideoCache:
    """The cache of one encoder or scorer.

    It is addressed by content: encoder, weights, the code that computes, candidate rule, decoder and video. Killed,
    retried or divided differently, a job finds every finished video again.

    Parameters
    ----------
    encoder : Encoder
    grid : object
        The spec of the candidate grid.
    decoder : str
    root : path
        Folder of all caches.
    """

    def __init__(self, encoder: Encoder, grid: object, decoder: str, root: Path) -> None:
        self.identity: dict[str, Any] = {
            "scorer": encoder.spec(),
            "weights": encoder.weights(),
            "candidates": grid,
            "code": code_digest("framesift.scoring", encoder.module),
        }
        if decoder != "pyav":
            self.identity["decoder"] = decoder
        self.folder = root / f"{encoder.kind}-{spec_id(self.identity)}"

    def path(self, video: Video) -> Path:
        return self.folder / f"{video.digest}.safetensors"

    def read(self, video: Video) -> dict[str, np.ndarray]:
        """What is known of a video; nothing where the file is not whole, so that it is made anew."""
        path = self.path(video)
        if not path.is_file():
            return {}
        tensors = _verified(path)
        if tensors is None:
            log.warning("%s is damaged; the video is scored again", path)
            path.unlink(missing_ok=True)
        return tensors or {}

    def write(self, video: Video, tensors: dict[str, np.ndarray]) -> None:
        from safetensors.numpy import save_file

        metadata = {
            "made_by": canonical_json(self.identity),
            "video_id": video.video_id,
            "digest": _digest(tensors),
        }
        with whole(self.path(video)) as temporary:
            save_file(tensors, temporary, metadata=metadata)


def damaged(path: Path) -> bool:
    """Whether a file of the cache is not what was written."""
    return _verified(path) is None


def _verified(path: Path) -> dict[str, np.ndarray] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            digest = (file.metadata() or {}).get("digest")
    except (SafetensorError, ValueError, OSError):
        return None
    return tensors if digest == _digest(tensors) else None


def _digest(tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 over names and contents: safetensors itself notices a file that is cut, but not a flipped bit."""
    import numpy as np

    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()
