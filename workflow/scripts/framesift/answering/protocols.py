"""Which frames an answerer receives, given a selection, a protocol and possibly a negative control.

The protocol `fair` passes every selection on unchanged. `released` does what the scripts of AKS's release do
(ncTimTang/AKS@4667501, llava_vid.py and llava_onevision.py): it replaces a selection of fewer frames than the budget by
frames spread over the whole video, keeps the earliest frames of a longer one, and the uniform arm follows the rule of
the answerer's own script, which for LLaVA-Video is about one frame a second. On short videos the arms therefore see
different numbers of frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import numpy as np

from framesift.core.errors import InputError

Protocol = Literal["fair", "released"]
#: What a negative control does to the frames: repeat the first frame of the video; shuffle them; make them grey.
Control = Literal["zeroed", "shuffled", "blank"]
#: How a released script samples without a selection: spread over the video, or one a second if those fit the budget.
UniformArm = Literal["linspace", "one_per_second"]


@dataclass(frozen=True)
class Presentation:
    """How selections are presented to an answerer; a part of the spec of answers.

    Attributes
    ----------
    protocol : str
        ``fair`` or ``released``.
    control : str or None
    budget : int or None
        Needed by ``released``.
    uniform : str or None
        With ``released``: the rule of the uniform arm, if the selection is that arm.
    seed : int
        Of the control ``shuffled``.

    Examples
    --------
    >>> Presentation().frames([10, 20], n_frames=100, fps=10.0, question_id="q")
    [10, 20]
    >>> Presentation("released", budget=4).frames([10, 20], n_frames=100, fps=10.0, question_id="q")
    [0, 33, 66, 99]
    >>> Presentation("released", budget=1).frames([10, 20], n_frames=100, fps=10.0, question_id="q")
    [10]
    >>> Presentation(control="zeroed").frames([10, 20], n_frames=100, fps=10.0, question_id="q")
    [0, 0]
    """

    protocol: Protocol = "fair"
    control: Control | None = None
    budget: int | None = None
    uniform: UniformArm | None = None
    seed: int = 0

    @classmethod
    def of(cls, spec: dict[str, Any]) -> Presentation:
        """From the fields of a spec that have these names.

        Raises
        ------
        InputError
            For an unknown protocol or control, and for ``released`` without a budget.

        Examples
        --------
        >>> Presentation.of({"answerer": {}, "protocol": "fair", "control": "blank"})
        Presentation(protocol='fair', control='blank', budget=None, uniform=None, seed=0)
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
        """Indices of the frames that the answerer receives, in order.

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
        """Seconds that the model receives, one a place. Shuffling moves the pictures and leaves the times.

        Examples
        --------
        >>> Presentation(control="shuffled").times([3.0, 1.0, 2.0])
        [1.0, 2.0, 3.0]
        """
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
        """An order of n places that differs from the given one, if there is another."""
        random = Random(f"{self.seed}/{question_id}")
        order = list(range(n))
        while n > 1 and order == sorted(order):
            random.shuffle(order)
        return order


def differ(frames: Sequence[int], n_frames: int, fps: float, budget: int, uniform: UniformArm | None) -> bool:
    """Whether the two protocols give the answerer different frames for a selection.

    Examples
    --------
    >>> differ([10, 20], n_frames=100, fps=10.0, budget=2, uniform=None)
    False
    >>> differ([10, 20], n_frames=100, fps=10.0, budget=4, uniform=None)
    True
    """
    released = Presentation("released", budget=budget, uniform=uniform)
    return released.frames(frames, n_frames, fps, "") != list(frames)
