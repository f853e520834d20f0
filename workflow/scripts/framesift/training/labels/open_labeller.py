"""The labeller that a configuration names."""

from __future__ import annotations

from framesift.scoring.mllm_selector.label_settings import LocalModel, ServedModel
from framesift.training.labels.labeller import Labeller


def open_labeller(model: LocalModel | ServedModel, device: str, *, sees_frames: bool) -> Labeller:
    """The labeller that is configured. It loads its model with the first request.

    Parameters
    ----------
    model : LocalModel or ServedModel
    device : str
        ``cpu`` or ``cuda``.
    sees_frames : bool
        Whether requests come with frames.
    """
    if isinstance(model, ServedModel):
        from framesift.training.labels.served_labeller import ServedLabeller

        return ServedLabeller(model)
    from framesift.training.labels.local_labeller import LocalLabeller

    return LocalLabeller(model, device, sees_frames=sees_frames)
