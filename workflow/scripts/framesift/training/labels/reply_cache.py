"""Replies of a labelling model about one video, stored one by one, so that nothing is asked twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framesift.core.spec import spec_digest, spec_id
from framesift.core.versions import STAGES
from framesift.program.in_parallel import in_parallel
from framesift.scoring.mllm_selector.label_prompts import LabelRequest
from framesift.scoring.mllm_selector.label_settings import LocalModel, ServedModel
from framesift.storage.journal import Journal
from framesift.training.labels.labeller import Labeller, ModelReply


class ReplyCache:
    """The replies of one model about one video.

    They are in a folder of the model and the video's content. Everything that was sent (question, frame, explanation,
    captions) addresses a reply, so another question asks only for what is missing. The declared version of labelling is
    part of the address (`framesift.core.versions`).

    Parameters
    ----------
    cache : path
    model : LocalModel or ServedModel
    digest : str
        SHA-256 of the video.
    max_side : int or None
        Longest side to which frames are scaled down.
    writer : str
        See `framesift.storage.journal.Journal`.
    """

    def __init__(
        self, cache: Path, model: LocalModel | ServedModel, digest: str, max_side: int | None, writer: str
    ) -> None:
        self.folder = folder_of(cache, model) / digest
        self._max_side = max_side
        self._journal = Journal(self.folder, writer)

    def get(self, request: LabelRequest) -> ModelReply | None:
        """The reply to a request; None before it is there."""
        record = self._journal.get(self._key(request))
        if record is None:
            return None
        return ModelReply(**{name: record[name] for name in ModelReply.__dataclass_fields__})

    def __getitem__(self, request: LabelRequest) -> ModelReply:
        reply = self.get(request)
        if reply is None:
            raise KeyError(request)
        return reply

    def unknown(self, requests: Iterable[LabelRequest]) -> list[LabelRequest]:
        """The requests without a reply, each once."""
        return [request for request in dict.fromkeys(requests) if self.get(request) is None]

    def ask(
        self, labeller: Labeller, requests: Iterable[LabelRequest], pictures: Mapping[int, np.ndarray] | None = None
    ) -> Counter:
        """Send the requests without a reply, and store each reply as soon as it is there.

        Returns
        -------
        Counter
            `asked`, the number of requests sent, and the counts of the server.

        Raises
        ------
        InputError
            If the model cannot be asked. Earlier replies are kept.
        """
        unknown, counts = self.unknown(requests), Counter[str]()
        size = labeller.batch_size
        parts = [
            kind[start : start + size]
            for kind in (
                [request for request in unknown if request.reply_start is None],
                [request for request in unknown if request.reply_start is not None],
            )
            for start in range(0, len(kind), size)
        ]

        def send(part: Sequence[LabelRequest]) -> None:
            call = labeller.replies if part[0].reply_start is None else labeller.verdicts
            for request, reply in zip(part, call(part, pictures or {}), strict=True):
                self._journal.add(self._key(request), _record(reply))

        in_parallel(send, parts, labeller.parallel)
        for request in unknown:
            counts.update(self[request].usage, asked=1)
        return counts

    def close(self) -> None:
        self._journal.close()

    def _key(self, request: LabelRequest) -> str:
        frame = None if request.frame is None else [request.frame, self._max_side]
        return spec_digest([STAGES["labelling"], request.turns, request.reply_start, request.max_tokens, frame])


def folder_of(cache: Path, model: LocalModel | ServedModel) -> Path:
    """The folder of a model's replies."""
    return cache / f"{model.kind}-{spec_id(model.made_by())}"


def _record(reply: ModelReply) -> dict[str, Any]:
    # a server may send half of a surrogate pair, which no tokenizer accepts
    text = reply.text.encode("utf-8", "replace").decode()
    return {"text": text, "log_true": reply.log_true, "log_false": reply.log_false, "usage": dict(reply.usage)}
