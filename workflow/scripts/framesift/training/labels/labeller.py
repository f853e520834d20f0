"""What labels frames: a model that is shown pictures and texts, wherever it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from framesift.scoring.mllm_selector.label_prompts import Ask

if TYPE_CHECKING:
    import numpy as np

#: Frames by their index: uint8 RGB, shape (height, width, 3).
FramesByIndex = Mapping[int, "np.ndarray"]


@dataclass(frozen=True)
class ModelReply:
    """What a model said.

    Attributes
    ----------
    text : str
        Its reply in words; empty for a verdict.
    log_true, log_false : float or None
        Log-probabilities of both words, for a verdict; None for one that is impossible.
    usage : dict
        What is paid for; see `framesift.remote.chat_api.Completion`.
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
        How many things one call asks.
    parallel : int
        Calls that may be under way at a time.
    """

    batch_size: int = 1
    parallel: int = 1

    @abstractmethod
    def replies(self, asks: Sequence[Ask], pictures: FramesByIndex) -> list[ModelReply]:
        """Reply in words, without sampling.

        Parameters
        ----------
        asks : sequence of Ask
        pictures : FramesByIndex
            The frames that they name.
        """

    @abstractmethod
    def verdicts(self, asks: Sequence[Ask], pictures: FramesByIndex) -> list[ModelReply]:
        """The probabilities of True and of False as the next word of replies that are begun."""

    @abstractmethod
    def close(self) -> None:
        """Let go of memory and connections."""
