"""What a labelling model said about one video: kept item by item, so that nothing is asked twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framesift.core.spec import canonical_json, spec_id
from framesift.core.versions import STAGES
from framesift.program.in_parallel import in_parallel
from framesift.scoring.mllm_selector.label_prompts import Ask
from framesift.scoring.mllm_selector.label_settings import LocalModel, ServedModel
from framesift.storage.journal import Journal
from framesift.training.labels.labeller import Labeller, ModelReply

if TYPE_CHECKING:
    import numpy as np


class Records:
    """The records of one video by one model.

    They lie in a folder of the model and, in it, of the video's content; a record is addressed by all that was sent
    (question, frame, explanation, captions), so another question asks only for what is missing. The declared version
    of labelling is part of the address (`framesift.core.versions`).

    Parameters
    ----------
    cache : path
    model : LocalModel or ServedModel
    digest : str
        SHA-256 of the video.
    max_side : int or None
        To what frames are scaled down.
    writer : str
        See `framesift.storage.journal.Journal`.
    """

    def __init__(
        self, cache: Path, model: LocalModel | ServedModel, digest: str, max_side: int | None, writer: str
    ) -> None:
        self.folder = folder_of(cache, model) / digest
        self._max_side = max_side
        self._journal = Journal(self.folder, writer)

    def get(self, ask: Ask) -> ModelReply | None:
        """What was said; None where it was not asked yet."""
        record = self._journal.get(self._key(ask))
        return (
            None if record is None else ModelReply(**{name: record[name] for name in ModelReply.__dataclass_fields__})
        )

    def __getitem__(self, ask: Ask) -> ModelReply:
        said = self.get(ask)
        if said is None:
            raise KeyError(ask)
        return said

    def unknown(self, asks: Iterable[Ask]) -> list[Ask]:
        """Those that were not asked yet, each once."""
        return [ask for ask in dict.fromkeys(asks) if self.get(ask) is None]

    def ask(self, labeller: Labeller, asks: Iterable[Ask], pictures: Mapping[int, np.ndarray] | None = None) -> Counter:
        """Ask what is not known yet, and keep each reply as soon as it is there.

        Returns
        -------
        Counter
            What it took: `asked`, and what the server counts.

        Raises
        ------
        InputError
            Where the model cannot be asked; what it said before is kept.
        """
        unknown, took = self.unknown(asks), Counter[str]()
        size = labeller.batch_size
        parts = [
            kind[start : start + size]
            for kind in ([a for a in unknown if a.begun is None], [a for a in unknown if a.begun is not None])
            for start in range(0, len(kind), size)
        ]

        def one(part: Sequence[Ask]) -> None:
            call = labeller.replies if part[0].begun is None else labeller.verdicts
            for ask, said in zip(part, call(part, pictures or {}), strict=True):
                self._journal.add(self._key(ask), _record(said))

        in_parallel(one, parts, labeller.parallel)
        for ask in unknown:
            took.update(self[ask].usage, asked=1)
        return took

    def close(self) -> None:
        self._journal.close()

    def _key(self, ask: Ask) -> str:
        shown = None if ask.frame is None else [ask.frame, self._max_side]
        identity = [STAGES["labelling"], ask.turns, ask.begun, ask.max_tokens, shown]
        return hashlib.sha256(canonical_json(identity).encode("utf-8", "replace")).hexdigest()


def folder_of(cache: Path, model: LocalModel | ServedModel) -> Path:
    """Where the records of a model lie."""
    return cache / f"{model.kind}-{spec_id(model.made_by())}"


def _record(said: ModelReply) -> dict[str, Any]:
    # no tokenizer takes half of a pair of surrogates, which a server may send
    text = said.text.encode("utf-8", "replace").decode()
    return {"text": text, "log_true": said.log_true, "log_false": said.log_false, "usage": dict(said.usage)}
