"""What a selector costs, from configurations alone: operations of a selection, and memory of training.

A multiplication with an addition counts as two operations. Norms, activations and biases are left out of operations;
they are below a hundredth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from framesift.scoring.mllm_selector.settings import Lora

#: Bytes of a number.
FLOAT, HALF = 4, 2


def encoding_flops(config: Any, frames: int) -> float:
    """Operations of a vision transformer that encodes frames.

    Parameters
    ----------
    config
        Of transformers, of the vision model: SigLIP's, CLIP's, DINO's.
    frames : int
    """
    tokens = (config.image_size // config.patch_size) ** 2
    width, inner = config.hidden_size, config.intermediate_size
    weights = 4 * width**2 + 2 * width * inner
    attention = 2 * tokens * width  # scores and sums, a token
    embedding = 3 * config.patch_size**2 * width
    return 2.0 * frames * tokens * (config.num_hidden_layers * (weights + attention) + embedding)


def reading_flops(config: Any, blocks: int, tokens: int) -> float:
    """Operations of a language model that reads tokens through so many blocks, without its head.

    Parameters
    ----------
    config
        Of transformers, of a language model of Llama's form (Qwen2.5).
    blocks, tokens : int
    """
    attention = tokens * _wide(config)  # scores and sums: half of what is not causal
    return 2.0 * tokens * blocks * (block_parameters(config) + attention)


def selection_ratio(vision: Any, llm: Any, *, n: int, pool: int, blocks: int, text_tokens: int) -> float:
    """Cost of a selection, from frames to scores, relative to encoding its n frames alone."""
    encoding = encoding_flops(vision, n)
    return (encoding + reading_flops(llm, blocks, n * pool**2 + text_tokens + 1)) / encoding


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes at the peak of a training step on one device, but for what the allocator and libraries take.

    Attributes
    ----------
    frozen, trained : float
        Parameters.
    gradients, optimizer : float
        Of the trained ones, float32: AdamW keeps two numbers a parameter.
    activations : float
    """

    frozen: float
    trained: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        return self.frozen + self.trained + self.gradients + self.optimizer + self.activations


def lora_memory(
    config: Any,
    *,
    blocks: int,
    lora: Lora,
    n: int,
    pool: int,
    vision_width: int,
    text_tokens: int,
    batch: int,
    checkpointing: bool,
) -> TrainingMemory:
    """Memory of stage 2 in bfloat16: a frozen language model with adapters, projector, query and head.

    Parameters
    ----------
    config
        Of transformers, of a language model of Llama's form.
    blocks : int
        Blocks that are run.
    lora : Lora
    n, pool, vision_width, text_tokens : int
        Frames, rows of a frame's grid, dimensions of a patch, and tokens of a question.
    batch : int
        Examples a forward pass.
    checkpointing : bool
        Whether activations of blocks are computed anew in the backward pass.
    """
    width = config.hidden_size
    frozen = blocks * block_parameters(config) + config.vocab_size * width
    parts = vision_width * width + 2 * width**2 + width * n + width  # projector, head and query
    trained = parts + blocks * lora.r * sum(sum(_shapes(config)[name]) for name in lora.targets)
    visual = n * pool**2
    tokens = visual + text_tokens + 1
    block = tokens * _block_activations(config, lora)
    # the sequence itself, and what the projector keeps: its input, and two of its width
    around = tokens * HALF * width + visual * HALF * (vision_width + 2 * width)
    kept = (blocks * tokens * HALF * width + block) if checkpointing else blocks * block
    return TrainingMemory(
        frozen=HALF * frozen,
        trained=FLOAT * trained,
        gradients=FLOAT * trained,
        optimizer=2 * FLOAT * trained,
        activations=batch * (kept + around),
    )


def block_parameters(config: Any) -> int:
    """Weights of the linear layers of one block."""
    return sum(into * out for into, out in _shapes(config).values())


def _wide(config: Any) -> int:
    """Width of all heads of queries together."""
    return _head(config) * config.num_attention_heads


def _head(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _shapes(config: Any) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of the linear layers of a block."""
    width, inner, heads = config.hidden_size, config.intermediate_size, _wide(config)
    few = _head(config) * config.num_key_value_heads
    return {
        "q_proj": (width, heads),
        "k_proj": (width, few),
        "v_proj": (width, few),
        "o_proj": (heads, width),
        "gate_proj": (width, inner),
        "up_proj": (width, inner),
        "down_proj": (inner, width),
    }


def _block_activations(config: Any, lora: Lora) -> float:
    """Bytes that one block keeps for one token until the backward pass.

    Frozen layers keep no input. Kept are: of either norm its input in float32; of attention queries, keys (after
    rotation), values and output; of the MLP gate, its activation, and up; of each adapter its input (dropped out, with
    the mask of a byte) and what is between its two matrices.
    """
    width, inner = config.hidden_size, config.intermediate_size
    norms = 2 * FLOAT * width
    attention = HALF * 2 * (_wide(config) + _head(config) * config.num_key_value_heads)
    mlp = HALF * 3 * inner
    mask = 1 if lora.dropout else 0
    adapters = sum((HALF + mask) * _shapes(config)[name][0] + HALF * lora.r for name in lora.targets)
    return norms + attention + mlp + adapters
