"""An InternVL3 checkpoint of some 80,000 random parameters, in the files that OpenGVLab/InternVL3-8B-hf has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SIDE, PATCH = 56, 14
TOKENS = 4  # of one picture
SPREAD = 0.3  # of random weights: large, so that what is seen decides what is said

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif part['type'] == 'video' %}{{ '<video>\n' }}"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_checkpoint(folder: Path, seed: int = 0) -> None:
    """Write model, tokenizer (bytes, no merges) and processor to `folder`."""
    import torch
    from transformers import GotOcr2ImageProcessor, InternVLConfig, InternVLForConditionalGeneration

    names = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = byte_tokenizer(["<|im_start|>", "<|im_end|>", *names.values()], eos="<|im_end|>", names=names)
    layers = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "initializer_range": SPREAD,
    }
    config = InternVLConfig(
        vision_config={**layers, "image_size": [SIDE, SIDE], "patch_size": [PATCH, PATCH]},
        text_config={
            "model_type": "qwen2",
            **layers,
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 1,
            "max_position_embeddings": 4096,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=TOKENS,
    )
    torch.manual_seed(seed)
    InternVLForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # one file for pictures and videos, none of its own for videos
    size = {"height": SIDE, "width": SIDE}
    GotOcr2ImageProcessor(size=size, crop_to_patches=False, min_patches=1, max_patches=12).save_pretrained(folder)
    processor = {"image_seq_length": TOKENS, "processor_class": "InternVLProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)


def byte_tokenizer(specials: list[str], eos: str, names: dict[str, str] | None = None, **options: Any) -> Any:
    """A tokenizer of bytes without merges, with special tokens; `names` are attributes under which some are found."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", *specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_ = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    bytes_.add_special_tokens(["<pad>", *specials])
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_,
        eos_token=eos,
        pad_token="<pad>",
        extra_special_tokens=names or {},
        **options,
    )
