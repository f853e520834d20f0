"""Labelling models of some 100,000 random parameters whose tokenizer knows the words True and False."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import tiny_qwen

WORDS = ("True", "False", "true", "false", "TRUE", "FALSE")
#: Taken before it is patched below.
BYTES = tiny_qwen._tokenizer


def tokenizer() -> Any:
    """Bytes, and each form of both words with and without a space before it as one token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    plain = BYTES()
    vocabulary = dict(sorted(plain.get_vocab().items(), key=lambda item: item[1]))
    merges = []
    for word in WORDS:
        for start in range(1, len(word)):
            merges.append((word[:start], word[start]))
        merges.append(("Ġ", word))
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=list(dict.fromkeys(merges))))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=plain.eos_token, pad_token=plain.pad_token,
        additional_special_tokens=[word for word in vocabulary if word.startswith("<|")][1:],
    )  # fmt: skip


def write_vlm(folder: Path, kind: str = "qwen2_vl") -> Path:
    with mock.patch.object(tiny_qwen, "_tokenizer", tokenizer):
        tiny_qwen.write_checkpoint(folder, kind)
    return folder


def write_llm(folder: Path) -> Path:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    words = tokenizer()
    words.chat_template = tiny_qwen.TEMPLATE.replace("SILENT", "false")
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=16384, initializer_range=0.3, bos_token_id=None,
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
