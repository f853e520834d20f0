"""A PLLaVA checkpoint of some 80,000 random parameters: names of weights and files are those of ermu2001/pllava-7b.

The configuration has the keys of the released one, those that transformers does not know included.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_internvl import SPREAD, byte_tokenizer

SIDE, PATCH = 56, 14
RANK = 8
PREFIX = "language_model.base_model.model."


def write_checkpoint(folder: Path, seed: int = 0, specials: tuple[str, ...] = ()) -> dict[str, Any]:
    """Write model, tokenizer (bytes, no merges) and settings to `folder`; the weights, by the names in the files."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPImageProcessor

    tokenizer = byte_tokenizer(["</s>", "<image>", *specials], eos="</s>")
    tokenizer.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings |= {"image_processor_type": "LlavaNextImageProcessor", "image_grid_pinpoints": [[SIDE, 2 * SIDE]]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    config = {
        "architectures": ["PlavaForConditionalGeneration"],
        "frame_shape": [SIDE // PATCH, SIDE // PATCH],
        "gradient_checkpointing": False,
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
        "model_type": "llava",
        "num_frames": 16,
        "pooling_method": "avg",
        "pooling_shape": [16, 12, 12],
        "projector_hidden_act": "gelu",
        "text_config": {
            **layers,
            "architectures": ["LlamaForCausalLM"],
            "gradient_checkpointing": False,
            "max_position_embeddings": 4096,
            "model_type": "llama",
            "num_hidden_layers": 2,
            "pad_token_id": tokenizer.pad_token_id,
            "torch_dtype": "bfloat16",
            "vocab_size": len(tokenizer),
        },
        "torch_dtype": "bfloat16",
        "use_pooling": True,
        "vision_config": {
            **layers,
            "image_size": SIDE,
            "model_type": "clip_vision_model",
            "num_hidden_layers": 3,
            "patch_size": PATCH,
            "projection_dim": 32,
            "vocab_size": 99,
        },
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vocab_size": len(tokenizer),
    }
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    weights = {name: SPREAD * torch.randn(shape) for name, shape in _shapes(len(tokenizer)).items()}
    for name in weights:
        if "norm" in name and name.endswith("weight"):
            weights[name] = torch.ones(32)
    names = sorted(weights)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        save_file({name: weights[name] for name in part}, folder / f"model-0000{number}-of-00002.safetensors")
    return weights


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights, by their names in the released files."""
    wide, inner, patches = 32, 64, (SIDE // PATCH) ** 2
    vision, text = "vision_tower.vision_model.", f"{PREFIX}model."
    shapes: dict[str, tuple[int, ...]] = {
        f"{vision}embeddings.class_embedding": (wide,),
        f"{vision}embeddings.patch_embedding.weight": (wide, 3, PATCH, PATCH),
        f"{vision}embeddings.position_embedding.weight": (patches + 1, wide),
        f"{text}embed_tokens.weight": (vocabulary, wide),
        f"{text}norm.weight": (wide,),
        f"{PREFIX}lm_head.weight": (vocabulary, wide),
    }
    for norm in ("pre_layrnorm", "post_layernorm"):
        shapes |= {f"{vision}{norm}.weight": (wide,), f"{vision}{norm}.bias": (wide,)}
    for layer in range(3):
        stem = f"{vision}encoder.layers.{layer}."
        for part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"):
            shapes |= {f"{stem}{part}.weight": (wide, wide), f"{stem}{part}.bias": (wide,)}
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{stem}{norm}.weight": (wide,), f"{stem}{norm}.bias": (wide,)}
        shapes |= {f"{stem}mlp.fc1.weight": (inner, wide), f"{stem}mlp.fc1.bias": (inner,)}
        shapes |= {f"{stem}mlp.fc2.weight": (wide, inner), f"{stem}mlp.fc2.bias": (wide,)}
    for part in ("linear_1", "linear_2"):
        stem = f"multi_modal_projector.{part}."
        shapes |= {f"{stem}weight": (wide, wide), f"{stem}bias": (wide,)}
    for layer in range(2):
        stem = f"{text}layers.{layer}."
        for part in ("q", "v"):
            shapes[f"{stem}self_attn.{part}_proj.base_layer.weight"] = (wide, wide)
            shapes[f"{stem}self_attn.{part}_proj.lora_A.default.weight"] = (RANK, wide)
            shapes[f"{stem}self_attn.{part}_proj.lora_B.default.weight"] = (wide, RANK)
        for part in ("k", "o"):
            shapes[f"{stem}self_attn.{part}_proj.weight"] = (wide, wide)
        shapes |= {f"{stem}{norm}.weight": (wide,) for norm in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{stem}mlp.{part}_proj.weight": (inner, wide) for part in ("gate", "up")}
        shapes[f"{stem}mlp.down_proj.weight"] = (wide, inner)
    return shapes
