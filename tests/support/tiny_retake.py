"""Networks of the families that compression knows, small and random, and prompts with a video for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers

VIDEO, START, END = 151, 152, 153
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 1024,
}
KINDS = ("qwen2_vl", "qwen2_5_vl", "llava_onevision")


@dataclass
class World:
    """A network, the keyword arguments of its `generate`, and the shape of the video: steps x tokens (and a tail)."""

    network: Any
    inputs: dict[str, torch.Tensor]
    steps: int
    step_tokens: int
    tail: int

    @property
    def video_tokens(self) -> int:
        return self.steps * self.step_tokens + self.tail

    @property
    def text_tokens(self) -> int:
        return self.inputs["input_ids"].shape[1] - self.video_tokens


def world(kind: str, dtype: torch.dtype = torch.float64, steps: int = 12, seed: int = 0, layers: int = 3) -> World:
    """A network of a kind and a prompt: some text, a video of so many steps, more text."""
    torch.manual_seed(seed)
    text = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 200,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    network = _llava(text) if kind == "llava_onevision" else _qwen(kind, text)
    network = network.eval().to(dtype)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    if kind == "llava_onevision":
        step_tokens, tail = 4, 1  # 3 x 3 patches pooled to 2 x 2
        media = {"pixel_values_videos": torch.randn(1, steps, 3, 24, 24, dtype=dtype)}
    else:
        rows, columns, step_tokens, tail = 4, 8, 8, 0
        media = {
            "pixel_values_videos": torch.randn(steps * rows * columns, 3 * 2 * 4 * 4, dtype=dtype),
            "video_grid_thw": torch.tensor([[steps, rows, columns]]),
        }
        if kind == "qwen2_5_vl":
            media["second_per_grid_ts"] = torch.tensor([2.0])
    ids = torch.tensor([[5, 6, 7, START, *[VIDEO] * (steps * step_tokens + tail), END, 10, 11, 12, 13, 14]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **media}
    if kind != "llava_onevision":
        inputs["mm_token_type_ids"] = 2 * (ids == VIDEO).int()
    return World(network, inputs, steps, step_tokens, tail)


def _qwen(kind: str, text: dict[str, Any]) -> Any:
    from framesift.answering.answerers._mrope import use_paper_positions

    text = text | {"rope_parameters": {**YARN, "rope_theta": 1e4, "mrope_section": [2, 3, 3]}}
    tokens = {
        "image_token_id": 150,
        "video_token_id": VIDEO,
        "vision_start_token_id": START,
        "vision_end_token_id": END,
    }
    vision: dict[str, Any] = {
        "depth": 2,
        "num_heads": 2,
        "patch_size": 4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "in_channels": 3,
    }
    if kind == "qwen2_vl":
        vision |= {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2}
        config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision, **tokens)
        network = transformers.Qwen2VLForConditionalGeneration(config)
    else:
        vision |= {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64, "tokens_per_second": 2}
        vision |= {"window_size": 16, "fullatt_block_indexes": [1]}
        config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens)
        network = transformers.Qwen2_5_VLForConditionalGeneration(config)
    use_paper_positions(network)
    return network


def _llava(text: dict[str, Any]) -> Any:
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 24,
        "patch_size": 8,
    }
    config = transformers.LlavaOnevisionConfig(
        text_config={**text, "model_type": "qwen2"},
        vision_config=vision,
        image_token_index=150,
        video_token_index=VIDEO,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config)
