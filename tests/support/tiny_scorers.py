"""Checkpoints of scorers with a few thousand random parameters, made in a second."""

from __future__ import annotations

from pathlib import Path

SIDE, PATCH = 32, 16
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"what digit is on the red star ? , and a blue circle of who . !".split(),
]
LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
#: Wide initial weights: with those of the library a random BLIP sees every picture alike.
VISION = LAYERS | {"image_size": SIDE, "patch_size": PATCH, "initializer_range": 0.2}


def bert_tokenizer(folder: Path):
    from transformers import BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return BertTokenizerFast(str(folder / "vocab.txt"))


def word_tokenizer(end: bool):
    """Words of one token; with `end`, [SEP] closes a text, as CLIP's end token does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", bos_token="[CLS]", eos_token="[SEP]",
        model_max_length=12,
    )  # fmt: skip


def write_clip(folder: Path) -> None:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    text = LAYERS | {"vocab_size": len(WORDS), "max_position_embeddings": 12, "eos_token_id": 3, "bos_token_id": 2}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    CLIPProcessor(pictures, word_tokenizer(end=True)).save_pretrained(folder)


def write_siglip(folder: Path) -> None:
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor

    text = LAYERS | {"vocab_size": len(WORDS), "max_position_embeddings": 12, "projection_size": 32}
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    SiglipProcessor(
        SiglipImageProcessor(size={"height": SIDE, "width": SIDE}), word_tokenizer(end=False)
    ).save_pretrained(folder)


def write_blip(folder: Path, *, extra_tokens: int = 2) -> None:
    """`extra_tokens`: those the embedding has beyond the tokenizer's ([DEC] and [ENC] of LAVIS)."""
    import torch
    from transformers import BlipConfig, BlipForImageTextRetrieval, BlipImageProcessor, BlipProcessor

    text = LAYERS | {
        "vocab_size": len(WORDS) + extra_tokens,
        "initializer_range": 0.2,
        "encoder_hidden_size": 32,
        "max_position_embeddings": 64,
        "bos_token_id": len(WORDS),
        "sep_token_id": 3,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    config = BlipConfig(text_config=text, vision_config=VISION, projection_dim=16, image_text_hidden_size=16)
    BlipForImageTextRetrieval(config).save_pretrained(folder)
    pictures = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    BlipProcessor(pictures, bert_tokenizer(folder)).save_pretrained(folder)
