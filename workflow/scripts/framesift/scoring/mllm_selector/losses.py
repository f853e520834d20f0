"""The two losses of the selector. Both are means over examples, so batches can be split into equal parts."""

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
        Slots that count, at least one in each example.

    Returns
    -------
    tensor
        Mean over the slots that count, then over examples.

    Examples
    --------
    >>> logits, mask = torch.zeros(1, 2), torch.tensor([[True, False]])
    >>> round(float(importance_loss(logits, torch.tensor([[1.0, 0.0]]), mask)), 4)
    0.6931
    """
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return ((losses * mask).sum(1) / mask.sum(1)).mean()


def instruction_loss(logits: list[Tensor], tokens: list[Tensor]) -> Tensor:
    """Cross-entropy of replies: mean over the tokens of a reply, then over examples.

    Parameters
    ----------
    logits : list of float tensors, shape (tokens, vocabulary)
        Prediction of the language model for each token of the reply.
    tokens : list of int tensors, shape (tokens,)

    Examples
    --------
    >>> round(float(instruction_loss([torch.zeros(3, 4)], [torch.tensor([0, 1, 2])])), 4)  # log of 4 words
    1.3863
    """
    return torch.stack(
        [functional.cross_entropy(given.float(), expected) for given, expected in zip(logits, tokens, strict=True)]
    ).mean()
