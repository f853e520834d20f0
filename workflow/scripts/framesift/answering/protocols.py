"""Which frames an answerer is shown: those of a selection, as a protocol and perhaps a negative control have it.

The protocol `fair` shows every selection as it is. `released` does what the scripts of AKS's release do
(ncTimTang/AKS@4667501, its llava_vid.py and llava_onevision.py): a selection of fewer frames than the budget is thrown
away for frames spread over the whole video, of a longer one the earliest frames are kept, and the uniform arm takes its
frames by the rule of the answerer's own script, which for LLaVA-Video is about one a second. So on short videos the
arms see different numbers of frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import numpy as np

from framesift.core.errors import InputError

Protocol = Literal["fair", "released"]
#: What a negative control does to the pictures: the first frame of the video in place of each; another order; grey.
Control = Literal["zeroed", "shuffled", "blank"]
#: How a released script takes frames where nothing is selected: spread over the video, or one a second where those fit.
UniformArm = Literal["linspace", "one_per_second"]


@dataclass(frozen=True)
class Presentation:
    """How selections are shown; a part of the spec of answers.

    Attributes
    ----------
    protocol : str
        ``fair`` or ``released``.
    control : str or None
    budget : int or None
        For ``released``.
    uniform : str or None
        For ``released``: that the selection is the uniform arm, and its rule.
    seed : int
        For the control ``shuffled``.
    """

    protocol: Protocol = "fair"
    control: Control | None = None
    budget: int | None = None
    uniform: UniformArm | None = None
    seed: int = 0

    @classmethod
    def of(cls, spec: dict[str, Any]) -> Presentation:
        """From the part of a spec that has these names.

        Raises
        ------
        InputError
            For a protocol or control that there is not, and for ``released`` without a budget.
        """
        made = cls(**{name: spec[name] for name in cls.__dataclass_fields__ if name in spec})
        for field, value, known in (
            ("protocol", made.protocol, ("fair", "released")),
            ("control", made.control, (None, "zeroed", "shuffled", "blank")),
        ):
            if value not in known:
                expected = ", ".join(str(one) for one in known)
                raise InputError("is not known", field=f"--spec: {field}", value=value, expected=f"one of {expected}")
        if made.protocol == "released" and not made.budget:
            raise InputError("the released protocol needs the budget", field="--spec: budget")
        return made

    def frames(self, selected: Sequence[int], n_frames: int, fps: float, question_id: str) -> list[int]:
        """Indices of the frames to show, in the order in which they are shown.

        Parameters
        ----------
        selected : sequence of int
            Frame indices of the selection.
        n_frames, fps
            Of the video.
        question_id : str
            Seeds the order of ``shuffled``.
        """
        frames = list(selected)
        if self.protocol == "released":
            frames = self._released(frames, n_frames, fps)
        if self.control == "zeroed":
            return [0] * len(frames)
        if self.control == "shuffled":
            return [frames[place] for place in self._order(len(frames), question_id)]
        return frames

    def times(self, times: Sequence[float]) -> list[float]:
        """The seconds that the model is told, one a place: in another order, pictures move and times stay."""
        return sorted(times) if self.control == "shuffled" else list(times)

    def _released(self, frames: list[int], n_frames: int, fps: float) -> list[int]:
        budget = self.budget or len(frames)
        spread = [int(frame) for frame in np.linspace(0, n_frames - 1, budget, dtype=int)]
        if self.uniform == "one_per_second":
            each_second = list(range(0, n_frames, max(1, round(fps))))
            return each_second if len(each_second) <= budget else spread
        if self.uniform == "linspace" or len(frames) < budget:
            return spread
        return sorted(frames[:budget])

    def _order(self, n: int, question_id: str) -> list[int]:
        """An order of n places that is not the given one, as far as there is another."""
        random = Random(f"{self.seed}/{question_id}")
        order = list(range(n))
        while n > 1 and order == sorted(order):
            random.shuffle(order)
        return order


def differ(frames: Sequence[int], n_frames: int, fps: float, budget: int, uniform: UniformArm | None) -> bool:
    """Whether the two protocols show other frames for a selection."""
    released = Presentation("released", budget=budget, uniform=uniform)
    return released.frames(frames, n_frames, fps, "") != list(frames)
