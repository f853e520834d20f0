"""How many tokens a chunk and a layer keep (AdaReTaKe, Wang et al., 2025, arXiv 2503.12559, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def kept(ratio: float, tokens: int) -> int:
    """How many of a chunk's tokens a ratio leaves; one at least."""
    return max(1, int(ratio * tokens))


def chunk_ratios(ratio: float, change: Sequence[float], tokens: Sequence[int]) -> list[float]:
    """A ratio for each chunk, in proportion to how much its frames change, and `ratio` over all tokens.

    What a chunk cannot use, since it keeps all it has, goes to the others. (AdaReTaKe's release cuts the ratios off and
    so misses its budget.)

    Parameters
    ----------
    ratio : float
        Share of all tokens to keep.
    change : sequence of float
        Mean distance of the frames of a chunk to the frame before.
    tokens : sequence of int
        Tokens of a chunk.
    """
    ratios = [1.0] * len(tokens)
    open_, left = list(range(len(tokens))), ratio * sum(tokens)
    while open_:
        weight = sum(change[i] * tokens[i] for i in open_)
        if weight <= 0:  # nothing changes: the same for all
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
    """A ratio for each layer: more for layers that hold more of the highest scores of all (`adakv`).

    One is added to the number of each layer, so that none is left without, and the mean stays `ratio` as long as no
    layer would keep more than it has.

    Parameters
    ----------
    ratio : float
    scores : sequence of float tensors, shape (tokens,)
        One a layer; each has mean 1, so that they compare.
    """
    import torch

    together = torch.stack([layer.float().cpu() for layer in scores])
    best = together.flatten().topk(max(1, int(ratio * together.numel()))).indices
    counts = torch.bincount(best // together.shape[1], minlength=len(scores)).double() + 1
    return [min(1.0, ratio * float(share)) for share in counts / counts.mean()]
