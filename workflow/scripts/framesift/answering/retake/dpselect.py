"""DPSelect on tensors: where the picture changes most, for each patch or for all of a frame together.

The frame-wise form on numpy arrays, for choosing frames, is `framesift.selection.selectors.dpselect`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class KeptPatches:
    """What DPSelect keeps of a video of T steps and N patches.

    Attributes
    ----------
    steps : integer tensor, shape (kept, N)
        Steps that each patch keeps, ascending; the same column throughout where patches are in step.
    peaks : bool tensor, shape (kept, N)
        Which of them are peaks of change.
    """

    steps: Tensor
    peaks: Tensor


def distances(features: Tensor, before: Tensor | None = None) -> Tensor:
    """One minus the cosine of each patch to the same patch one step earlier; 1 where there is no earlier step.

    Parameters
    ----------
    features : float tensor, shape (T, N, C)
    before : float tensor, shape (N, C), optional
        The step before the first.

    Returns
    -------
    float32 tensor, shape (T, N)
    """
    import torch
    from torch.nn.functional import cosine_similarity

    change = torch.ones(features.shape[:2], device=features.device)
    for step, now in enumerate(features):  # one at a time: a normalised copy of all would be as large as they are
        if before is not None:
            change[step] = 1 - cosine_similarity(now, before, dim=-1).float()
        before = now
    return change


def choose(change: Tensor, ratio: float, window: int, patch_sync: bool) -> KeptPatches:
    """Peaks of change first, the largest first, then the other steps by their change.

    A step is a peak where it is the largest of the `window` steps around it; of equals the first. Of equal changes the
    earlier step comes first; the release leaves that to chance.

    Parameters
    ----------
    change : float tensor, shape (T, N)
        From `distances`.
    ratio : float
        Share of the steps to keep: ``max(1, round(ratio * T))``.
    """
    import torch

    patches = change.shape[1]
    if patch_sync:
        change = change.mean(dim=1, keepdim=True)
    peak = _peaks(change, window)
    count = max(1, round(ratio * len(change)))
    order = torch.sort(change + 2.0 * peak, dim=0, descending=True, stable=True).indices
    steps = order[:count].sort(dim=0).values
    return KeptPatches(steps.expand(-1, patches), peak.gather(0, steps).expand(-1, patches))


def _peaks(change: Tensor, window: int) -> Tensor:
    """Which values (T, N) are the first largest of the window around them in time, as booleans."""
    import torch

    reach = window // 2
    edge = change.new_full((reach, change.shape[1]), -torch.inf)
    around = torch.cat([edge, change, edge]).unfold(0, window, 1)  # (T, N, window)
    largest = around == around.amax(dim=-1, keepdim=True)
    return largest[..., reach] & ~largest[..., :reach].any(dim=-1)
