"""The labeller that a configuration names: behind a server, or in this process."""

from __future__ import annotations

from typing import Any

from framesift.scoring.mllm_selector.label_settings import LocalModel, ServedModel
from framesift.training.labels.labeller import Labeller


def labeller_of(model: LocalModel | ServedModel, device: str, *, sees: bool) -> Labeller:
    """The labeller that is configured; its model is loaded when it is first asked.

    Parameters
    ----------
    model : LocalModel or ServedModel
    device : str
        ``cpu`` or ``cuda``.
    sees : bool
        Whether it is to be shown pictures.
    """
    made: Any
    if isinstance(model, ServedModel):
        from framesift.training.labels.served import Served

        made = Served(model)
    else:
        from framesift.training.labels.local import Local

        made = Local(model, device, sees=sees)
    return made
