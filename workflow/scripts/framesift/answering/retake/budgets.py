"""How many tokens a chunk and a layer keep (AdaReTaKe, Wang et al., 2025, arXiv 2503.12559, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def kept(ratio: float, tokens: int) -> int:
    """How many of a chunk's tokens a ratio leaves, at least one.

    Examples
    --------
    >>> kept(0.3, 10), kept(0.01, 10)
    (3, 1)
    """
    return max(1, int(ratio * tokens))


def chunk_ratios(ratio: float, change: Sequence[float], tokens: Sequence[int]) -> list[float]:
    """A ratio for each chunk, in proportion to how much its frames change; over all tokens the ratio is `ratio`.

    A chunk cannot keep more than all of its tokens; what it cannot use goes to the others. (AdaReTaKe's release clips
    the ratios, and therefore misses its budget.)

    Parameters
    ----------
    ratio : float
        Share of all tokens to keep.
    change : sequence of float
        Mean distance between a frame and the frame before it, for each chunk.
    tokens : sequence of int
        Tokens of each chunk.

    Returns
    -------
    list of float
        In [0, 1], one a chunk.

    Examples
    --------
    >>> chunk_ratios(0.5, change=[1.0, 3.0], tokens=[100, 100])
    [0.25, 0.75]
    >>> chunk_ratios(0.75, change=[1.0, 3.0], tokens=[100, 100])
    [0.5, 1.0]
    """
    ratios = [1.0] * len(tokens)
    open_, left = list(range(len(tokens))), ratio * sum(tokens)
    while open_:
        weight = sum(change[i] * tokens[i] for i in open_)
        if weight <= 0:  # nothing changes: all chunks get the same
            given = {i: left / sum(tokens[j] for j in open_) for i in open_}
        else:
            given = {i: left * change[i] / weight for i in open_}
        full = [i for i in open_ if given[i] >= 1]
        if not full:
            for i in open_:
                ratios[i] = given[i]
            break
        left -= sum(tokens[i] for i in full)
        open_ = [i for i in open_ if i not in full]
    return ratios


def layer_ratios(ratio: float, scores: Sequence[Tensor]) -> list[float]:
    """A ratio for each layer: more for layers that hold more of the highest scores overall (`adakv`).

    One is added to the count of each layer, so that every layer keeps something. The mean stays `ratio` as long as no
    layer would keep more tokens than it has.

    Parameters
    ----------
    ratio : float
    scores : sequence of float tensors, shape (tokens,)
        One a layer, each with mean 1, so that layers are comparable.

    Returns
    -------
    list of float
        In [0, 1], one a layer.

    Examples
    --------
    >>> import torch
    >>> layer_ratios(0.5, [torch.tensor([0.5, 1.5]), torch.tensor([0.2, 1.8])])
    [0.5, 0.5]
    """
    together = torch.stack([layer.float().cpu() for layer in scores])
    best = together.flatten().topk(max(1, int(ratio * together.numel()))).indices
    counts = torch.bincount(best // together.shape[1], minlength=len(scores)).double() + 1
    return [min(1.0, ratio * float(share)) for share in counts / counts.mean()]
