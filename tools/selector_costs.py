"""Print what the M-LLM frame selector costs, computed from configurations: operations to select, memory to train.

A multiplication with an addition counts as two operations. Norms, activations and biases are left out; they are below a
hundredth. `tests/unit/test_selector_costs.py` compares the formulas with what torch counts.

  python tools/selector_costs.py
"""

from __future__ import annotations

import argparse
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
        Vision configuration of transformers: SigLIP, CLIP, DINO.
    frames : int
    """
    tokens = (config.image_size // config.patch_size) ** 2
    width, inner = config.hidden_size, config.intermediate_size
    weights = 4 * width**2 + 2 * width * inner
    attention = 2 * tokens * width  # scores and sums, a token
    embedding = 3 * config.patch_size**2 * width
    return 2.0 * frames * tokens * (config.num_hidden_layers * (weights + attention) + embedding)


def reading_flops(config: Any, blocks: int, tokens: int) -> float:
    """Operations of a language model that reads tokens through the given number of blocks, without its head.

    Parameters
    ----------
    config
        Configuration of transformers of a language model like Llama (Qwen2.5).
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
    """Bytes at the peak of a training step on one device, without what the allocator and libraries take.

    Attributes
    ----------
    frozen, trained : float
        Parameters.
    gradients, optimizer : float
        Of the trained parameters, float32: AdamW keeps two numbers a parameter.
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
        Configuration of transformers of a language model like Llama.
    blocks : int
        Blocks that run.
    lora : Lora
    n, pool, vision_width, text_tokens : int
        Frames, rows of a frame's grid, dimensions of a patch, and tokens of a question.
    batch : int
        Examples a forward pass.
    checkpointing : bool
        Whether the backward pass computes activations of blocks again.
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

    Frozen layers keep no input. The rest keeps: each norm its input in float32; attention the queries, keys (after
    rotation), values and output; the MLP gate, activation and up; each adapter its input (after dropout, with a mask of
    one byte) and the vector between its two matrices.
    """
    width, inner = config.hidden_size, config.intermediate_size
    norms = 2 * FLOAT * width
    attention = HALF * 2 * (_wide(config) + _head(config) * config.num_key_value_heads)
    mlp = HALF * 3 * inner
    mask = 1 if lora.dropout else 0
    adapters = sum((HALF + mask) * _shapes(config)[name][0] + HALF * lora.r for name in lora.targets)
    return norms + attention + mlp + adapters


def full_size() -> tuple[Any, Any]:
    """Configurations of google/siglip-large-patch16-384 and Qwen/Qwen2.5-1.5B-Instruct (their config.json)."""
    from transformers import Qwen2Config, SiglipVisionConfig

    vision = SiglipVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=384,
        patch_size=16,
    )
    llm = Qwen2Config(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
    )
    return vision, llm


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    vision, llm = full_size()
    size = {"n": 128, "pool": 3, "blocks": 27, "text_tokens": 128}
    print(f"encoding the frames: {encoding_flops(vision, 128) / 1e12:.1f} TFLOP")
    print(f"the language model, 9 tokens a frame: {reading_flops(llm, 27, 128 * 9 + 129) / 1e12:.1f} TFLOP")
    for pool in (3, 5):
        ratio = selection_ratio(vision, llm, **size | {"pool": pool})
        print(f"a selection / encoding alone, {pool**2} tokens a frame: {ratio:.2f}")
    for checkpointing in (True, False):
        memory = lora_memory(llm, lora=Lora(), vision_width=1024, batch=8, checkpointing=checkpointing, **size)
        print(
            f"stage 2, 8 examples, {'with' if checkpointing else 'without'} gradient checkpointing, GB:"
            f" frozen weights {memory.frozen / 1e9:.1f},"
            f" trained weights, gradients, AdamW {(memory.trained + memory.gradients + memory.optimizer) / 1e9:.1f},"
            f" activations {memory.activations / 1e9:.1f}, together {memory.total / 1e9:.1f}"
        )


if __name__ == "__main__":
    main()
