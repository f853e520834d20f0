"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL checkpoints of some 100,000 random parameters, and the way back from their pixels.

Processors are the real ones; tokenizer and chat template do what the real ones do, on bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

#: What the real checkpoints set: sampling unless told otherwise, a penalty, and two tokens that end an answer.
GENERATION = {"do_sample": True, "temperature": 0.1, "top_k": 1, "top_p": 0.001, "repetition_penalty": 1.05}
SPREAD = 0.3  # of random weights: large, so that what is seen, and where, decides what is said

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 8192,
    "bos_token_id": None,
    "initializer_range": SPREAD,
}
VISION = {"depth": 2, "hidden_size": 32, "num_heads": 2, "initializer_range": SPREAD}
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
#: By kind: the name of its classes, the side of a patch, and what its text and vision settings are besides.
KINDS: dict[str, tuple[str, int, dict[str, Any], dict[str, Any]]] = {
    "qwen2_vl": (
        "Qwen2VL",
        14,
        {"rope_parameters": {**ROPE, "mrope_section": [2, 3, 3]}},
        {"embed_dim": 32, "mlp_ratio": 2},
    ),
    "qwen2_5_vl": (
        "Qwen2_5_VL",
        14,
        {"rope_parameters": {**ROPE, "mrope_section": [2, 3, 3]}},
        {
            "intermediate_size": 64,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
            "window_size": 112,
            "tokens_per_second": 2,
        },
    ),
    "qwen3_vl": (
        "Qwen3VL",
        16,
        {"rope_parameters": {**ROPE, "mrope_section": [4, 2, 2], "mrope_interleaved": True}, "head_dim": 16},
        {
            "intermediate_size": 64,
            "out_hidden_size": 32,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
    ),
}

TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' and not SILENT %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<|vision_start|><|{{ part['type'] }}_pad|><|vision_end|>{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_checkpoint(folder: Path, kind: str, seed: int = 0) -> None:
    """Write model, tokenizer (bytes, no merges) and processor of a kind (``qwen2_vl``, ...) to `folder`."""
    import torch
    import transformers

    tokenizer = _tokenizer()
    name, patch, text, vision = KINDS[kind]
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = getattr(transformers, f"{name}Config")(
        text_config={**TEXT, **text, **ends, "vocab_size": len(tokenizer)},
        vision_config={**VISION, **vision, "patch_size": patch},
        **{
            f"{token}_token_id": tokenizer.convert_tokens_to_ids(f"<|{word}|>")
            for token, word in (
                ("image", "image_pad"),
                ("video", "video_pad"),
                ("vision_start", "vision_start"),
                ("vision_end", "vision_end"),
            )
        },
    )
    video = "Qwen3VLVideoProcessor" if kind == "qwen3_vl" else "Qwen2VLVideoProcessor"
    processor = getattr(transformers, f"{name}Processor")(
        image_processor=transformers.Qwen2VLImageProcessor(patch_size=patch),
        tokenizer=tokenizer,
        video_processor=getattr(transformers, video)(),
        # the real template of Qwen3-VL adds no system prompt by itself
        chat_template=TEMPLATE.replace("SILENT", str(kind == "qwen3_vl").lower()),
    )
    torch.manual_seed(seed)
    network = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    network.generation_config = transformers.GenerationConfig(
        **GENERATION, **{**ends, "eos_token_id": [tokenizer.eos_token_id, tokenizer.pad_token_id]}
    )
    network.save_pretrained(folder)
    processor.save_pretrained(folder)


def pictures(inputs: dict[str, Any]) -> np.ndarray:
    """Undo the patching of what `generate` is given: float, shape (pictures, 3, height, width).

    Rows of ``pixel_values_videos`` are patches, those of one 2 x 2 block of a grid step after each other; a row holds
    channels, then the two pictures of the step, then the pixels of the patch.
    """
    [[steps, rows, columns]] = inputs["video_grid_thw"].tolist()
    patches = inputs["pixel_values_videos"].float().numpy()
    side = round((patches.shape[1] / 6) ** 0.5)
    whole = np.empty((steps, 2, 3, rows * side, columns * side), dtype=np.float32)
    row = 0
    for step in range(steps):
        for top in range(0, rows, 2):
            for left in range(0, columns, 2):
                for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    y, x = (top + down) * side, (left + right) * side
                    patch = patches[row].reshape(3, 2, side, side)
                    whole[step, :, :, y : y + side, x : x + side] = patch.swapaxes(0, 1)
                    row += 1
    assert row == len(patches)
    return whole.reshape(steps * 2, *whole.shape[2:])


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    specials += ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    words = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[word for word in specials if word not in ("<|endoftext|>", "<|im_end|>")],
    )
