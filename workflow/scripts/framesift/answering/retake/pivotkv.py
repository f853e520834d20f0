"""PivotKV: a cache that evicts tokens, and an attention function that scores them.

A layer of the cache counts the tokens it has seen, which gives the position of the next one, and stores the tokens it
keeps. The attention function is registered with transformers under its own name and without a mask function, so
transformers passes no mask and the function makes the one it needs, for any number of kept tokens in a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


class PivotLayer(DynamicLayer):
    """Keys and values of the tokens kept, of shape (1, heads, kept, dimensions)."""

    keys: Tensor
    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    @property
    def kept(self) -> int:
        return self.keys.shape[-2] if self.is_initialized else 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *arguments: Any, **options: Any
    ) -> tuple[Tensor, Tensor]:
        self.seen += key_states.shape[-2]
        return super().update(key_states, value_states)

    def get_seq_length(self) -> int:
        return self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.kept + query_length, self.seen - self.kept

    def crop(self, tokens_to_remove: int) -> None:
        super().crop(tokens_to_remove)
        self.seen -= abs(tokens_to_remove)

    def evict(self, tokens: int, keep: Tensor, rotate: Callable[[Tensor], Tensor] | None = None) -> None:
        """Keep some of the last `tokens` tokens.

        Parameters
        ----------
        tokens : int
        keep : integer tensor
            Places to keep among these tokens, ascending.
        rotate : callable, optional
            Moves the kept keys, (1, heads, kept, dimensions), to other positions.
        """
        old = self.kept - tokens
        keys, values = (kept[:, :, old:].index_select(2, keep) for kept in (self.keys, self.values))
        self.keys = torch.cat([self.keys[:, :, :old], rotate(keys) if rotate else keys], dim=2)
        self.values = torch.cat([self.values[:, :, :old], values], dim=2)


class PivotCache(Cache):
    """A cache of `PivotLayer`.

    Attributes
    ----------
    shift : list of int
        How much smaller the position ids of later tokens are than without reforging: time, row and column.
    """

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[PivotLayer() for _ in range(layers)])
        self.shift = [0, 0, 0]

    def kept(self) -> list[int]:
        """Tokens kept, by layer."""
        return [layer.kept for layer in self.layers]


@dataclass
class Watch:
    """Scores the tokens of a chunk in each attention layer. The call of the text model passes it to each layer.

    Attributes
    ----------
    tokens : int
        Tokens of the chunk: the first of the tokens that the call adds.
    asking : slice
        Which of the added tokens attend.
    upright : (cos, sin, scaling) or None
        The rotation of the added tokens, if scores ignore positions.
    scores : dict
        Receives the score of each token of the chunk, by layer; the mean is 1.
    """

    tokens: int
    asking: slice
    upright: tuple[Tensor, Tensor, float] | None = None
    scores: dict[int, Tensor] = field(default_factory=dict)

    def see(self, layer: int, query: Tensor, key: Tensor, scaling: float) -> None:
        """Score the tokens of a chunk in one layer.

        Parameters
        ----------
        query, key : tensor, shape (1, heads, added, dimensions)
            Of the tokens that the call adds.
        """
        if self.upright:
            # in the network's own precision, as released: on a GPU 16 bits make scoring cheap
            cos, sin, scale = self.upright
            cos, sin = cos.to(query.dtype), sin.to(query.dtype)
            query, key = (unrotated(states, cos, sin, scale) for states in (query, key))
        self.scores[layer] = attention_received(query[:, :, self.asking], key[:, :, : self.tokens], scaling)


def attention_received(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """How much attention each token of a chunk receives from the asking tokens, on average over heads.

    Attention is among the chunk's own tokens, in both directions, and scaled so that the mean is 1. The function
    processes one head of keys at a time; all together would need (heads x askers x tokens) numbers.

    Parameters
    ----------
    query : tensor, shape (1, heads, askers, dimensions)
    key : tensor, shape (1, key heads, tokens, dimensions)

    Returns
    -------
    float32 tensor, shape (tokens,)

    Examples
    --------
    >>> import torch
    >>> attention_received(torch.zeros(1, 2, 3, 4), torch.zeros(1, 1, 2, 4), scaling=0.5)  # nothing stands out
    tensor([1., 1.])
    """
    heads, askers = query.shape[1:3]
    shared = heads // key.shape[1]
    total = torch.zeros(key.shape[2], dtype=torch.float32, device=key.device)
    for head in range(key.shape[1]):
        asking = query[0, head * shared : (head + 1) * shared].flatten(0, 1) * scaling
        weights = torch.softmax(asking @ key[0, head].T, dim=-1)  # sums are of 32 bits inside, whatever its type
        total += weights.sum(dim=0, dtype=torch.float32)
    return total * (key.shape[2] / (heads * askers))


def select(scores: Tensor, count: int, pivots: Tensor | None, fill: float) -> Tensor:
    """Positions of the `count` highest scores, ascending, after pivots get the score `fill`. Of equals the first.

    Examples
    --------
    >>> import torch
    >>> pivots = torch.tensor([False, False, True, False])
    >>> select(torch.tensor([3.0, 0.1, 0.2, 2.0]), 2, pivots, fill=float("inf"))
    tensor([0, 2])
    """
    if pivots is not None:
        scores = scores.masked_fill(pivots, fill)
    return torch.sort(scores, descending=True, stable=True).indices[:count].sort().values


# Rotary positions. cos and sin come from the network and have its scaling (of YaRN) in them.


def rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """States (1, heads, tokens, dimensions), turned to positions whose cos and sin are (1, tokens, dimensions)."""
    return states * cos.unsqueeze(1) + _half_turned(states) * sin.unsqueeze(1)


def unrotated(states: Tensor, cos: Tensor, sin: Tensor, scaling: float) -> Tensor:
    """The inverse of `rotated`."""
    return rotated(states, cos, -sin) / scaling**2


def _half_turned(states: Tensor) -> Tensor:
    first, second = states.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


@cache
def registered(implementation: str) -> str:
    """The name of the attention function that scores tokens; `implementation` computes its output."""
    from transformers import AttentionInterface

    outputs = {"sdpa": _sdpa, "flash_attention_2": _flash}
    if implementation not in outputs:
        raise ValueError(f"attention {implementation!r}: compression supports {' and '.join(outputs)}")
    output = outputs[implementation]

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        scaling: float | None = None,
        dropout: float = 0.0,
        watch: Watch | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        scaling = scaling or query.shape[-1] ** -0.5
        if watch is not None:
            watch.see(module.layer_idx, query, key[:, :, -query.shape[2] :], scaling)
        return output(query, key, value, scaling), None

    AttentionInterface.register(name := f"framesift_{implementation}", attend)
    return name


def _sdpa(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Causal attention of the last tokens; (1, tokens, heads, dimensions)."""
    from torch.nn.attention.bias import causal_lower_right
    from torch.nn.functional import scaled_dot_product_attention

    added, all_ = query.shape[2], key.shape[2]
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1)
    mask = causal_lower_right(added, all_) if 1 < added < all_ else None
    output = scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=1 < added == all_, scale=scaling)
    return output.transpose(1, 2).contiguous()


def _flash(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """The same by the library flash-attn, whose causal mask ends at the last key (from 2.1 on)."""
    from flash_attn import flash_attn_func  # type: ignore[import-not-found]

    states = (states.transpose(1, 2) for states in (query, key, value))
    return flash_attn_func(*states, softmax_scale=scaling, causal=True)
