"""DPSelect on tensors: where the picture changes most, for each patch or for whole frames.

`framesift.selection.selectors.dpselect` is the form on numpy arrays that selects frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KeptPatches:
    """The part of a video of T steps and N patches that DPSelect keeps.

    Attributes
    ----------
    steps : integer tensor, shape (kept, N)
        Steps that each patch keeps, ascending; all columns are equal with `patch_sync`.
    peaks : bool tensor, shape (kept, N)
        Which of them are peaks of change.
    """

    steps: Tensor
    peaks: Tensor


def distances(features: Tensor, before: Tensor | None = None) -> Tensor:
    """One minus the cosine similarity of each patch to the same patch one step earlier; 1 for the first step.

    Parameters
    ----------
    features : float tensor, shape (T, N, C)
    before : float tensor, shape (N, C), optional
        The step before the first.

    Returns
    -------
    float32 tensor, shape (T, N)

    Examples
    --------
    >>> import torch
    >>> features = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])  # one patch: the same, then another
    >>> distances(features)[:, 0].tolist()
    [1.0, 0.0, 1.0]
    """
    from torch.nn.functional import cosine_similarity

    change = torch.ones(features.shape[:2], device=features.device)
    for step, now in enumerate(features):  # one at a time: a normalised copy of all would be as large as they are
        if before is not None:
            change[step] = 1 - cosine_similarity(now, before, dim=-1).float()
        before = now
    return change


def choose(change: Tensor, ratio: float, window: int, patch_sync: bool) -> KeptPatches:
    """Keep the peaks of change, largest first, then the other steps by their change.

    A step is a peak if it is the largest of the `window` steps around it; of equal steps the first one. For equal
    changes the earlier step comes first; the release leaves their order undefined.

    Parameters
    ----------
    change : float tensor, shape (T, N)
        From `distances`.
    ratio : float
        Share of the steps to keep: ``max(1, round(ratio * T))``.
    window : int
        Odd.
    patch_sync : bool
        Whether all patches keep the same steps, by their mean change.

    Examples
    --------
    >>> import torch
    >>> change = torch.tensor([[1.0], [0.1], [0.6], [0.2]])
    >>> choose(change, ratio=0.5, window=3, patch_sync=False).steps[:, 0].tolist()
    [0, 2]
    """
    patches = change.shape[1]
    if patch_sync:
        change = change.mean(dim=1, keepdim=True)
    peak = _peaks(change, window)
    count = max(1, round(ratio * len(change)))
    order = torch.sort(change + 2.0 * peak, dim=0, descending=True, stable=True).indices
    steps = order[:count].sort(dim=0).values
    return KeptPatches(steps.expand(-1, patches), peak.gather(0, steps).expand(-1, patches))


def _peaks(change: Tensor, window: int) -> Tensor:
    """Which values (T, N) are the first maximum of the window around them in time, as booleans."""
    reach = window // 2
    edge = change.new_full((reach, change.shape[1]), -torch.inf)
    around = torch.cat([edge, change, edge]).unfold(0, window, 1)  # (T, N, window)
    largest = around == around.amax(dim=-1, keepdim=True)
    return largest[..., reach] & ~largest[..., :reach].any(dim=-1)
