"""Contract of a labelling model, which receives frames and texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from framesift.scoring.mllm_selector.label_prompts import LabelRequest

#: Frames by their index: uint8 RGB, shape (height, width, 3).
FramesByIndex = Mapping[int, np.ndarray]


@dataclass(frozen=True)
class ModelReply:
    """The reply of a labelling model.

    Attributes
    ----------
    text : str
        Its words; empty for a verdict.
    log_true, log_false : float or None
        Log-probabilities of both words, for a verdict; None for a word that is impossible.
    usage : dict
        Counts that decide what it costs; see `framesift.remote.chat_api.Completion`.
    """

    text: str = ""
    log_true: float | None = None
    log_false: float | None = None
    usage: dict[str, int] = field(default_factory=dict)


class Labeller(ABC):
    """Contract of a labelling model: it explains, describes and reads (`replies`), and judges (`verdicts`).

    Attributes
    ----------
    batch_size : int
        Requests in one call.
    parallel : int
        Calls that may run at a time.
    """

    batch_size: int = 1
    parallel: int = 1

    @abstractmethod
    def replies(self, asks: Sequence[LabelRequest], pictures: FramesByIndex) -> list[ModelReply]:
        """Reply in words, without sampling.

        Parameters
        ----------
        requests : sequence of LabelRequest
        pictures : FramesByIndex
            The frames that the requests name.
        """

    @abstractmethod
    def verdicts(self, asks: Sequence[LabelRequest], pictures: FramesByIndex) -> list[ModelReply]:
        """Log-probabilities of True and of False as the next word of the replies that the requests begin."""

    @abstractmethod
    def close(self) -> None:
        """Free memory and close connections."""
