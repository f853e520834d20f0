"""The two losses of the selector. Both are means over examples, so batches may be cut in equal parts."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def importance_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy with soft labels (arXiv 2502.19680).

    Parameters
    ----------
    logits, targets : float tensors, shape (batch, n)
        Targets are in [0, 1].
    mask : bool tensor, shape (batch, n)
        Slots that count; at least one an example.

    Returns
    -------
    tensor
        Mean over the slots that count, then over examples.
    """
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return ((losses * mask).sum(1) / mask.sum(1)).mean()


def instruction_loss(logits: list[Tensor], tokens: list[Tensor]) -> Tensor:
    """Cross-entropy of replies: mean over the tokens of a reply, then over examples.

    Parameters
    ----------
    logits : list of float tensors, shape (tokens, vocabulary)
        What the language model expects at each token of the reply.
    tokens : list of int tensors, shape (tokens,)
    """
    return torch.stack(
        [functional.cross_entropy(given.float(), wanted) for given, wanted in zip(logits, tokens, strict=True)]
    ).mean()
