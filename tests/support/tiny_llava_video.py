"""A checkpoint in LLaVA-NeXT's own form with some 100,000 random parameters, made in seconds by `llava` itself.

Pictures are of 384 px and 27 x 27 patches, as everywhere in LLaVA-NeXT; all else is small.
"""

from __future__ import annotations

from pathlib import Path

TOWER = "google/siglip-so400m-patch14-384"
WIDTH = 32
#: Layers of the vision tower before `llava` takes off the last.
TOWER_SHAPE = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 3}
LONGEST = 1300


def byte_tokenizer():
    """A tokenizer of bytes, with the tokens of ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_ = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )


def config(tokenizer) -> dict:
    """What config.json says beside the architecture (names as in lmms-lab/LLaVA-Video-7B-Qwen2)."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 8192,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "tie_word_embeddings": False,
        "initializer_range": 0.5,
        "mm_vision_tower": TOWER,
        "mm_hidden_size": WIDTH,
        "mm_projector_type": "mlp2x_gelu",
        "mm_patch_merge_type": "spatial_unpad",
        "mm_spatial_pool_mode": "bilinear",
        "mm_newline_position": "one_token",
        "mm_tunable_parts": "mm_vision_tower,mm_mlp_adapter,mm_language_model",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "image_aspect_ratio": "anyres_max_9",
        "image_grid_pinpoints": [[384, 384], [384, 768]],
        "tokenizer_model_max_length": LONGEST,
    }


def write_checkpoint(folder: Path, tower: Path) -> None:
    """Write a checkpoint to `folder`, and to `tower` what `llava` would otherwise fetch: a tower of other weights.

    Needs `llava`, and an environment whose cache of the hub (HF_HOME) holds `tower` (see `write_tower`).
    """
    import torch
    from llava.model.language_model.llava_qwen import LlavaQwenConfig, LlavaQwenForCausalLM

    tokenizer = byte_tokenizer()
    torch.manual_seed(1)
    write_tower(tower)
    torch.manual_seed(0)
    model = LlavaQwenForCausalLM(LlavaQwenConfig(**config(tokenizer)))
    for parameter in model.parameters():  # other than the tower of the cache
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.model.image_newline.data.normal_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_tower(hub: Path) -> None:
    """Put a vision tower into a cache of the hub."""
    from llava.model.multimodal_encoder.siglip_encoder import SigLipVisionConfig, SigLipVisionModel

    commit = "0" * 40
    repository = hub / f"models--{TOWER.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    SigLipVisionModel(SigLipVisionConfig(**TOWER_SHAPE)).save_pretrained(repository / "snapshots" / commit)
