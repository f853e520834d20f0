"""Embeddings of a dataset's candidate frames and questions, for selectors.

Embeddings of frames stay in the cache of scored videos; the file of a shard says where. Embeddings of questions are in
that file itself, where the encoder can read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from framesift.core.errors import InputError
from framesift.core.spec import canonical_json
from framesift.storage.tensors import read_tensors, write_tensors

#: By video: where its embeddings are, or why there are none.
_VIDEOS = TypeAdapter(dict[str, dict[str, str]])


def write_embeddings(
    path: str | Path, videos: Mapping[str, Mapping[str, str]], queries: Mapping[str, np.ndarray], spec: object
) -> None:
    """Write what is known of a shard.

    Parameters
    ----------
    path : path
    videos : mapping
        By video id: ``{"file": ...}`` with the tensor `features`, or ``{"error": ...}``.
    queries : mapping
        Embeddings by question id.
    spec : object
        What made them.
    """
    metadata = {"videos": json.dumps(videos, sort_keys=True), "spec": canonical_json(spec)}
    write_tensors(path, {name: np.ascontiguousarray(vector) for name, vector in queries.items()}, metadata)


class Embeddings:
    """The embeddings of a dataset; those of frames are read when they are asked for.

    Parameters
    ----------
    files : iterable of path
        From `write_embeddings`, of all shards.
    """

    def __init__(self, files: Iterable[str | Path]) -> None:
        self._videos: dict[str, dict[str, str]] = {}
        self._queries: dict[str, np.ndarray] = {}
        for path in files:
            content = read_tensors(path)
            if content is None:
                raise InputError("is no file of embeddings, or damaged", file=path, hint="embed_frames.py makes it")
            queries, metadata = content
            try:
                self._videos |= _VIDEOS.validate_json(metadata.get("videos", ""))
            except ValidationError:
                raise InputError("does not say where embeddings are", file=path, field="metadata: videos") from None
            self._queries |= queries
        self._frames = lru_cache(maxsize=1)(self._read)  # questions of a video come one after the other

    def error(self, video: str) -> str | None:
        """Why a video has no embeddings."""
        return self._videos[video].get("error") if video in self._videos else "there are no embeddings of it"

    def frames(self, video: str) -> np.ndarray:
        """Embeddings of a video's candidates: float64, shape (candidates, dimensions).

        Raises
        ------
        InputError
            Where they were removed from the cache.
        """
        return self._frames(video)

    def query(self, question: str) -> np.ndarray:
        """Embedding of a question: float64, shape (dimensions,); empty where the encoder cannot read."""
        return np.asarray(self._queries.get(question, ()), dtype=np.float64)

    def _read(self, video: str) -> np.ndarray:
        return read_features(self._videos[video]["file"], video).astype(np.float64)


def read_features(path: str | Path, video: str) -> np.ndarray:
    """What an encoder made of a video's frames, from the cache.

    Raises
    ------
    InputError
        Where it is not there any more.
    """
    content = read_tensors(path)
    if content is None or "features" not in content[0]:
        raise InputError(
            "the embeddings of a video are gone or damaged",
            file=path,
            field=f"video {video}",
            hint="make them again: snakemake --forcerun embed_frames ...",
        )
    return content[0]["features"]
