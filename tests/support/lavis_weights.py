"""One BLIP with random weights, as transformers stores it and as LAVIS does."""

from __future__ import annotations

import re
import string
from pathlib import Path

PATCH = 16
#: Every printable character of ASCII and some others, alone and inside a word, so that no text is cut to [UNK].
CHARACTERS = [*string.digits, *string.ascii_lowercase, *string.punctuation, *"éü中文"]
WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *"what digit is on the red star and blue circle of who say ing".split(),
    *CHARACTERS,
    *(f"##{character}" for character in CHARACTERS),
]

#: From transformers' names to LAVIS's.
RENAMED = (
    (r"^vision_model\.embeddings\.class_embedding$", "visual_encoder.cls_token"),
    (r"^vision_model\.embeddings\.position_embedding$", "visual_encoder.pos_embed"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual_encoder.patch_embed.proj."),
    (r"^vision_model\.post_layernorm\.", "visual_encoder.norm."),
    (r"^vision_model\.encoder\.layers\.", "visual_encoder.blocks."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"\.self_attn\.qkv\.", ".attn.qkv."),
    (r"\.self_attn\.projection\.", ".attn.proj."),
)


def lavis_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def random_blip(*, vision: dict, text: dict, spread: float, vocabulary: int, eps: float = 1e-6):
    """A BLIP of transformers; heads are 64 wide. `eps`: of the vision model's norms; LAVIS has 1e-6."""
    import torch
    from transformers import BlipConfig, BlipForImageTextRetrieval

    vision = {
        **vision,
        "intermediate_size": 4 * vision["hidden_size"],
        "num_attention_heads": vision["hidden_size"] // 64,
        "patch_size": PATCH,
        "layer_norm_eps": eps,
        "initializer_range": spread,
    }
    text = {
        **text,
        "num_attention_heads": text["hidden_size"] // 64,
        "encoder_hidden_size": vision["hidden_size"],
        "vocab_size": vocabulary + 2,
        "bos_token_id": vocabulary,
        "sep_token_id": 3,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "initializer_range": spread,
    }
    torch.manual_seed(0)
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=16, image_text_hidden_size=16)
    model = BlipForImageTextRetrieval(config)
    # what is made as zeros or ones takes part as well
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * spread / 4)
    return model


def write_both(folder: Path, model, words: list[str]) -> None:
    """Write `model` to folder/blip for transformers and to folder/lavis for LAVIS."""
    import torch
    from transformers import BertTokenizerFast, BlipImageProcessor, BlipProcessor

    for name in ("blip", "lavis"):
        (folder / name).mkdir(parents=True)
        (folder / name / "vocab.txt").write_text("\n".join(words) + "\n")
    model.save_pretrained(folder / "blip")
    side = model.config.vision_config.image_size
    processor = BlipProcessor(
        BlipImageProcessor(size={"height": side, "width": side}), BertTokenizerFast(str(folder / "blip" / "vocab.txt"))
    )
    processor.save_pretrained(folder / "blip")
    weights = {lavis_name(name): weight for name, weight in model.state_dict().items()}
    # a checkpoint of LAVIS holds more than scoring needs
    torch.save({"model": {**weights, "queue_ptr": torch.zeros(1)}, "epoch": 5}, folder / "lavis" / "weights.pth")


def write_tiny(folder: Path) -> None:
    model = random_blip(
        vision={"hidden_size": 192, "num_hidden_layers": 2, "image_size": 48},
        text={"hidden_size": 128, "num_hidden_layers": 3, "intermediate_size": 256, "max_position_embeddings": 64},
        spread=0.1,
        vocabulary=len(WORDS),
    )
    write_both(folder, model, WORDS)
