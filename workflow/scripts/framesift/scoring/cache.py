"""What was computed of each video, kept: one safetensors file a video, named by its content."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from framesift.core.spec import canonical_json, spec_id
from framesift.core.versions import versions_of
from framesift.program.cli import log
from framesift.scoring.encoders import Encoder
from framesift.storage.tensors import read_tensors, write_tensors
from framesift.video.table import Video


class VideoCache:
    """The cache of one encoder or scorer.

    It is addressed by content: encoder, weights, declared versions, candidate rule, decoder and video. A job that was
    killed, retried or divided differently finds every finished video again.

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
            "made_with": versions_of("decoding", "scoring", encoder),
        }
        if decoder != "pyav":
            self.identity["decoder"] = decoder
        self.folder = root / f"{encoder.kind}-{spec_id(self.identity)}"
        self._encoder, self._place = encoder, (grid, decoder, root)

    @cached_property
    def features(self) -> VideoCache | None:
        """Where the features are kept, if they are another encoder's."""
        feature_encoder = self._encoder.feature_encoder()
        return VideoCache(feature_encoder, *self._place) if feature_encoder is not self._encoder else None

    def path(self, video: Video) -> Path:
        return self.folder / f"{video.digest}.safetensors"

    def read(self, video: Video) -> dict[str, np.ndarray]:
        """What is known of a video; nothing where the file is not whole, so that it is made anew."""
        return (self.features.read(video) if self.features else {}) | self._read(video)

    def _read(self, video: Video) -> dict[str, np.ndarray]:
        path = self.path(video)
        if not path.is_file():
            return {}
        content = read_tensors(path)
        if content is None:
            log.warning("%s is damaged; the video is scored again", path)
            path.unlink(missing_ok=True)
            return {}
        return content[0]

    def write(self, video: Video, tensors: dict[str, np.ndarray]) -> None:
        if self.features:
            if not self.features.path(video).is_file():
                self.features.write(video, {"features": tensors["features"]})
            tensors = {name: tensor for name, tensor in tensors.items() if name != "features"}
        metadata = {"made_by": canonical_json(self.identity), "video_id": video.video_id}
        write_tensors(self.path(video), tensors, metadata)
