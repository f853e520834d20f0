"""An Idefics2 checkpoint of some 80,000 random parameters."""

from __future__ import annotations

from pathlib import Path

from tiny_internvl import SPREAD, byte_tokenizer

PATCH = 14
LATENTS = 4  # tokens of one picture

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() + ':' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ ' ' + part['text'] }}{% else %}{{ '<image>' }}{% endif %}"
    "{% endfor %}{{ '<end_of_utterance>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def write_checkpoint(folder: Path, seed: int = 0) -> None:
    """Write model, tokenizer (bytes, no merges) and processor to `folder`; pictures are split, as in the real one."""
    import torch
    from transformers import (
        Idefics2Config,
        Idefics2ForConditionalGeneration,
        Idefics2ImageProcessor,
        Idefics2Processor,
    )

    specials = ["</s>", "<fake_token_around_image>", "<image>", "<end_of_utterance>"]
    tokenizer = byte_tokenizer(specials, eos="</s>")
    processor = Idefics2Processor(
        Idefics2ImageProcessor(size={"shortest_edge": 56, "longest_edge": 112}, do_image_splitting=True),
        tokenizer,
        image_seq_len=LATENTS,
        chat_template=CHAT_TEMPLATE,
    )
    layers = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "initializer_range": SPREAD,
    }
    config = Idefics2Config(
        vision_config={**layers, "image_size": 112, "patch_size": PATCH},
        perceiver_config={
            "hidden_size": 32,
            "resampler_n_latents": LATENTS,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 2,
        },
        text_config={
            "model_type": "mistral",
            **layers,
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 1,
            "max_position_embeddings": 4096,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(seed)
    Idefics2ForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
