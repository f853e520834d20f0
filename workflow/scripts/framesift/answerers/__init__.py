"""Answerers: the video LLMs that answer the questions, run through lmms-eval.

An answerer hands over a model class of lmms-eval, unmodified or subclassed, that sees exactly the frames it is given,
as one video. Decoding, the journal of answers and the checks around it are the same for all (`framesift.answering`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from framesift.models import Checkpoint


class Answerer(Checkpoint):
    """Contract of an answerer: `chat` and `load`."""

    #: Which kind of model class `load` returns: one of lmms-eval's chat models, or one of its simple ones.
    chat: ClassVar[bool] = True

    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="bfloat16", description="Precision of the model.")
    max_new_tokens: int | None = Field(
        default=None, ge=1, description="Longest answer in tokens; none for what the lmms-eval task says."
    )

    @abstractmethod
    def load(self, device: str) -> Any:
        """Load the checkpoint.

        Parameters
        ----------
        device : str
            ``cpu`` or ``cuda``.

        Returns
        -------
        lmms_eval.api.model.lmms
            A model whose `generate_until` answers one request at a time. The one medium of a request is a
            `framesift.lmms_task.Frames`: a list of PIL images that also tells their indices and times. The model

            - passes every image on, in order, as one video, and resamples nothing;
            - has an attribute `given`, a list to which it appends a `Given` each time its network is called, after
              comparing the number of frames with the tensor that goes in;
            - raises what goes wrong. Many model classes of lmms-eval log an error and answer with an empty text.
        """


@dataclass(frozen=True)
class Given:
    """What one call of a network really got: frame indices in the video, and their seconds."""

    frames: list[int]
    times: list[float]
