"""Scoring videos: one decode pass for all questions of a video, kept in a cache a video at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framesift.cli import log
from framesift.code import code_digest
from framesift.errors import VideoError
from framesift.files import whole
from framesift.models import model_digest
from framesift.questions import Question
from framesift.scorers import Scorer
from framesift.scores import QuestionScores
from framesift.spec import canonical_json, spec_id
from framesift.video.reader import read_frames
from framesift.videos import Video

if TYPE_CHECKING:
    import numpy as np


class VideoScorer:
    """A scorer with its cache. The checkpoint is loaded when the first video needs it.

    The cache holds one safetensors file a video and is addressed by content: scorer, weights, the code that scores,
    candidate rule and video. Killed, retried or sharded differently, a job finds every finished video again.

    Parameters
    ----------
    scorer : Scorer
    grid : object
        The spec of the candidate grid.
    cache : path
        Folder of the cache.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, scorer: Scorer, grid: object, cache: Path, device: str) -> None:
        self.scorer = scorer
        self.device = device
        self.identity = {
            "scorer": scorer.spec(),
            "weights": model_digest(scorer.model, scorer.revision),
            "candidates": grid,
            "code": code_digest(__name__, scorer.module),
        }
        self.folder = cache / f"{scorer.kind}-{spec_id(self.identity)}"

    @cached_property
    def loaded(self) -> Any:
        return self.scorer.load(self.device)

    def score(self, video: Video, questions: Sequence[Question]) -> list[QuestionScores]:
        """Scores of all questions of one video; a video that cannot be decoded gives rows with the error."""
        error = video.error
        texts = {question.question_id: self.scorer.query(question) for question in questions}
        known: dict[str, np.ndarray] = {}
        if error is None:
            try:
                known = self._scores(video, sorted(set(texts.values())))
            except VideoError as failure:
                error = str(failure)
        return [
            QuestionScores(question.question_id, video.video_id, error, [], [])
            if error is not None
            else QuestionScores(
                question.question_id, video.video_id, None, video.frames, known[texts[question.question_id]].tolist()
            )
            for question in questions
        ]

    def _scores(self, video: Video, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Scores by text, from the cache as far as it goes."""
        path = self.folder / f"{video.digest}.safetensors"
        tensors = self._read(path)
        missing = [text for text in texts if _key(text) not in tensors]
        if missing:
            tensors |= self._compute(video, missing, tensors.get("features"))
            self._write(path, tensors, video)
        return {text: tensors[_key(text)] for text in texts}

    def _compute(self, video: Video, texts: list[str], features: np.ndarray | None) -> dict[str, np.ndarray]:
        import numpy as np

        if features is not None:  # a question was added: the frames need not be seen again
            import torch

            return _by_text(texts, self.scorer.scores(self.loaded, torch.from_numpy(features), texts))
        kept, scores = [], []
        frames = read_frames(video.path, video.stamps, video.keyframes)
        while batch := list(islice(frames, self.scorer.batch_size)):
            batch_features = self.scorer.features(self.loaded, [image for _, image in batch])
            if self.scorer.keeps_features:
                kept.append(batch_features.numpy())
            else:
                scores.append(self.scorer.scores(self.loaded, batch_features, texts))
        if not self.scorer.keeps_features:
            return _by_text(texts, np.concatenate(scores))
        features = np.concatenate(kept)
        return {"features": features} | self._compute(video, texts, features)

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        """What the cache knows of a video; nothing where the file is not whole, so that it is made anew."""
        if not path.is_file():
            return {}
        tensors = _verified(path)
        if tensors is None:
            log.warning("%s is damaged; the video is scored again", path)
        return tensors or {}

    def _write(self, path: Path, tensors: dict[str, np.ndarray], video: Video) -> None:
        from safetensors.numpy import save_file

        metadata = {
            "made_by": canonical_json(self.identity),
            "video_id": video.video_id,
            "digest": _digest(tensors),
        }
        with whole(path) as temporary:
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


def _key(text: str) -> str:
    """Name of a text's scores in a cache file."""
    return "scores/" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _by_text(texts: Sequence[str], scores: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a (candidates, texts) array by their key, each contiguous float32."""
    import numpy as np

    return {_key(text): np.ascontiguousarray(scores[:, i], dtype=np.float32) for i, text in enumerate(texts)}
