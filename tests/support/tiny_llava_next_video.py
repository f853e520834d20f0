"""A LLaVA-NeXT-Video checkpoint of some 80,000 random parameters, in the files that LLaVA-NeXT-Video-7B-hf has."""

from __future__ import annotations

import json
from pathlib import Path

from tiny_internvl import SPREAD, byte_tokenizer

SIDE, PATCH = 56, 14

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'video' %}{{ '<video>\n' }}{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def write_checkpoint(folder: Path, seed: int = 0) -> None:
    """Write model, tokenizer (bytes, no merges) and processor to `folder`."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextImageProcessor,
        LlavaNextVideoConfig,
        LlavaNextVideoForConditionalGeneration,
    )

    tokenizer = byte_tokenizer(["</s>", "<video>", "<image>"], eos="</s>")
    pinpoints = [[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE]]
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    config = LlavaNextVideoConfig(
        vision_config=CLIPVisionConfig(**layers, num_hidden_layers=3, image_size=SIDE, patch_size=PATCH),
        text_config=LlamaConfig(
            **layers,
            num_hidden_layers=2,
            initializer_range=SPREAD,
            vocab_size=len(tokenizer),
            num_key_value_heads=2,
            max_position_embeddings=4096,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    torch.manual_seed(seed)
    LlavaNextVideoForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # one file for pictures and videos, none of its own for videos
    LlavaNextImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=pinpoints
    ).save_pretrained(folder)
    processor = {
        "image_token": "<image>",
        "num_additional_image_tokens": 1,
        "patch_size": PATCH,
        "processor_class": "LlavaNextVideoProcessor",
        "video_token": "<video>",
        "vision_feature_select_strategy": "default",
    }
    (folder / "processor_config.json").write_text(json.dumps(processor))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}))
