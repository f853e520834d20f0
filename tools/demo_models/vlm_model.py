"""The demo's answerer: a tiny LLaVA-OneVision (SigLIP tower, projector, Qwen2) and its processor."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)

from demo_models.pool import INPUT_SIZE, PATCH
from demo_models.tokenizer import build_tokenizer

VISION_WIDTH, VISION_INNER, VISION_LAYERS = 128, 768, 3
WIDTH, LAYERS, HEADS = 96, 4, 4
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['content'] is string %}{{ message['content'] + '\n' }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'video' %}<video>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{{ '\n' }}"
    "{% endfor %}{% endif %}{% endfor %}"
)


def build_model(seed: int) -> tuple[LlavaOnevisionForConditionalGeneration, PreTrainedTokenizerFast]:
    """A freshly initialised answerer and its tokenizer. A video frame becomes one token."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(answers=True)
    vision = SiglipVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=VISION_INNER,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=4,
        image_size=INPUT_SIZE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 8) * 8,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=[[INPUT_SIZE, INPUT_SIZE]],
        tie_word_embeddings=True,
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    with torch.no_grad():
        model.model.language_model.embed_tokens.weight.normal_(0, 0.1)
        model.model.image_newline.normal_(0, 0.1)
        position = vision_embeddings(model).position_embedding
        position.weight.normal_(0, 0.3)
        for layer in model.model.language_model.layers:
            start_as_lookup(layer.self_attn)
    return model, tokenizer


@torch.no_grad()
def start_as_lookup(attention: nn.Module, gain: float = 1.0) -> None:
    """Start attention as a soft lookup: a token attends to tokens with similar content and copies them.

    Queries and keys start from the same orthogonal projection, and so do values and outputs. Fitting a lookup from
    random weights is possible but spends most of its steps on finding this start.
    """
    for first, second, scale in ((attention.q_proj, attention.k_proj, gain), (attention.v_proj, attention.o_proj, 0.5)):
        rotation = torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0] * scale
        first.weight.add_(rotation)
        second.weight.add_(rotation if second is attention.k_proj else rotation.T)


def vision_embeddings(model: LlavaOnevisionForConditionalGeneration) -> nn.Module:
    """The module that holds the vision tower's patch and position embeddings."""
    return next(part for part in model.model.vision_tower.modules() if hasattr(part, "patch_embedding"))


def frame_tokens(model: LlavaOnevisionForConditionalGeneration, pixels: Tensor) -> Tensor:
    """The one token (n, WIDTH) that each frame of pixels (n, 3, H, W) becomes in the language model."""
    features = model.model.get_video_features(
        pixels[:, None], vision_feature_layer=-1, vision_feature_select_strategy="full", return_dict=True
    ).pooler_output
    return features[:, 0]


def save_model(model: LlavaOnevisionForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights (bfloat16), generation settings and processor so that plain ``from_pretrained`` loads them."""
    model = model.eval().to("cpu", torch.bfloat16)
    settings = model.generation_config
    settings.eos_token_id, settings.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    settings.bos_token_id, settings.do_sample, settings.max_new_tokens = tokenizer.bos_token_id, False, 16
    model.save_pretrained(folder)
    size = {"height": INPUT_SIZE, "width": INPUT_SIZE}
    tokenizer.chat_template = CHAT_TEMPLATE
    LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[INPUT_SIZE, INPUT_SIZE]]),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(INPUT_SIZE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
