"""Checkpoints of scorers with a few thousand random parameters, made in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from framesift.core.components import build

SIDE, PATCH = 32, 16
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"what digit is on the red star ? , and a blue circle of who . !".split(),
]
#: What SeViLA needs beside them; a "▁" alone is how T5 writes a space.
T5_WORDS = [*WORDS, *"▁ yes no Frame Question Candidate : A B this Is good frame can".split()]
LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
#: Wide initial weights: with those of the library a random BLIP sees every picture alike.
VISION = LAYERS | {"image_size": SIDE, "patch_size": PATCH, "initializer_range": 0.2}


def bert_tokenizer(folder: Path):
    from transformers import BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return BertTokenizerFast(str(folder / "vocab.txt"))


def word_tokenizer(end: bool, words: list[str] = WORDS, begin: str = "[CLS] "):
    """Words of one token; with `end`, [SEP] closes a text, as CLIP's end token does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin}$A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", bos_token="[CLS]", eos_token="[SEP]",
        model_max_length=12,
    )  # fmt: skip


def write_clip(folder: Path, context: int = 12) -> None:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    text = LAYERS | {"vocab_size": len(WORDS), "max_position_embeddings": context, "eos_token_id": 3, "bos_token_id": 2}
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


def blip2_config(text: dict, **qformer):
    from transformers import Blip2Config

    return Blip2Config(
        text_config=text,
        vision_config=VISION,
        qformer_config=LAYERS | {"vocab_size": len(WORDS) + 1, "initializer_range": 0.2} | qformer,
        num_query_tokens=4,
        image_text_hidden_size=16,
    )


def save_blip2(model, tokenizer, folder: Path) -> None:
    """With queries that differ: a fresh model has none but zeros, and layer norms that do nothing."""
    import torch
    from transformers import Blip2Processor, BlipImageProcessor

    model.query_tokens.data.normal_()
    for parameter in model.vision_model.post_layernorm.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    processor = Blip2Processor(
        BlipImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer, num_query_tokens=4
    )  # adds the token <image>
    model.config.image_token_index = processor.tokenizer.convert_tokens_to_ids("<image>")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def write_blip2_itm(folder: Path) -> None:
    import torch
    from transformers import Blip2ForImageTextRetrieval

    torch.manual_seed(0)
    model = Blip2ForImageTextRetrieval(
        blip2_config({"model_type": "opt", "hidden_size": 32}, use_qformer_text_input=True, max_position_embeddings=64)
    )
    model.itm_head.weight.data.normal_(std=0.3)
    save_blip2(model, bert_tokenizer(folder), folder)


def write_blip2_t5(folder: Path, seed: int = 0, words: list[str] = T5_WORDS) -> None:
    import torch
    from transformers import Blip2ForConditionalGeneration

    text = {
        "model_type": "t5",
        "vocab_size": len(T5_WORDS) + 1,
        **{"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2},
        **{"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu", "tie_word_embeddings": False},
        "decoder_start_token_id": 0,
        "eos_token_id": 3,
    }
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(blip2_config(text))
    # as in FLAN-T5, words are read and said by different weights
    model.language_model.lm_head.weight = torch.nn.Parameter(torch.randn(len(T5_WORDS) + 1, 32))
    save_blip2(model, word_tokenizer(end=True, words=words, begin=""), folder)


def write_dino(folder: Path, registers: int = 0) -> None:
    import torch
    from transformers import AutoConfig, AutoModel, BitImageProcessor

    form = {name: value for name, value in VISION.items() if name != "intermediate_size"} | {"mlp_ratio": 2}
    torch.manual_seed(0)
    if registers:
        config = AutoConfig.for_model("dinov2_with_registers", **form, num_register_tokens=registers)
    else:
        config = AutoConfig.for_model("dinov2", **form)
    AutoModel.from_config(config).save_pretrained(folder)
    crop = {"height": SIDE, "width": SIDE}
    BitImageProcessor(size={"shortest_edge": SIDE + 8}, crop_size=crop).save_pretrained(folder)


# Scoring with them


def random_images(n: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(n)]


def scorer(kind, checkpoints, **fields):
    return build("scorers", {"kind": kind, "model": str(checkpoints / kind.split("_")[0]), **fields})


def features_of(made, loaded, images):
    form = made.pictures(loaded)
    return made.features(loaded, form.normalised(np.stack([form.prepare(image) for image in images]), "cpu"))


def scored(made, images, texts, batch=7, loaded=None):
    """Scores of images for texts, in batches: shape (images, texts)."""
    import torch

    loaded = loaded or made.load("cpu")
    with torch.inference_mode():
        parts = [
            made.scores(loaded, features_of(made, loaded, images[i : i + batch]), texts)
            for i in range(0, len(images), batch)
        ]
    return np.concatenate(parts)


def by_pillow(cls, processor, images):
    """Pictures as transformers' own Pillow processor with the settings of an image processor makes them."""
    made = cls(**{name: value for name, value in processor.to_dict().items() if "processor" not in name})
    return made(images=images, return_tensors="pt")["pixel_values"]
