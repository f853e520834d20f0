"""Train the demo's CLIP: first a tower that names what a frame shows, then text and image in one space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast

from demo_models.pool import INPUT_SIZE, PATCH
from demo_models.scorer_texts import EVENT, draw_texts, worst_areas
from demo_models.settings import TrainingSettings
from demo_models.tokenizer import build_tokenizer
from demo_models.training import (
    AttributeHeads,
    TargetNotReached,
    TrainingLog,
    build_optimiser,
    descend,
    pick_device,
    render_pools,
    set_rate,
    write_spec_file,
)
from demo_models.vision import encode_frames, fit_vision

VISION_WIDTH, VISION_INNER, VISION_LAYERS = 128, 768, 3
TEXT_WIDTH, TEXT_LAYERS, SHARED_WIDTH = 64, 2, 64
PLANNED_STEPS, BATCH, PEAK_RATE, CHECK_EVERY = 800, 512, 2e-3, 100
PAIR_TEXTS = 60  # random two-moments questions in each step


def build_clip(seed: int) -> tuple[CLIPModel, PreTrainedTokenizerFast]:
    """A freshly initialised CLIP and its tokenizer."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(answers=False)
    vision = {
        "hidden_size": VISION_WIDTH,
        "intermediate_size": VISION_INNER,
        "num_hidden_layers": VISION_LAYERS,
        "num_attention_heads": 4,
        "hidden_act": "gelu_pytorch_tanh",
        "image_size": INPUT_SIZE,
        "patch_size": PATCH,
        "projection_dim": SHARED_WIDTH,
    }
    text = {
        "vocab_size": -(-len(tokenizer) // 8) * 8,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_hidden_layers": TEXT_LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "projection_dim": SHARED_WIDTH,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,  # must not be 2: that value switches CLIP to its legacy text pooling
    }
    config = CLIPConfig(vision_config=vision, text_config=text, projection_dim=SHARED_WIDTH, logit_scale_init_value=2.3)
    model = CLIPModel(config)
    with torch.no_grad():
        model.vision_model.embeddings.position_embedding.weight.normal_(0, 0.3)
    return model, tokenizer


def embed_texts(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, questions: list[str]) -> Tensor:
    """Unit vectors (n, SHARED_WIDTH) of questions."""
    words = tokenizer(questions, return_tensors="pt", padding=True).to(model.device)
    pooled = model.text_model(input_ids=words["input_ids"], attention_mask=words["attention_mask"]).pooler_output
    return functional.normalize(model.text_projection(pooled), dim=-1)


def contrast_loss(similarity: Tensor, match: Tensor, bias: Tensor) -> Tensor:
    """Three views of the same wish: a question's frames above other frames, and a frame's questions above others.

    Parameters
    ----------
    similarity : (frames, questions) scaled cosines
    match : (frames, questions) of 0 and 1
    """
    each = functional.binary_cross_entropy_with_logits(
        similarity + bias, match, pos_weight=torch.tensor(6.0, device=match.device)
    )
    asked = match.sum(0) > 0
    wanted = (match[:, asked] / match[:, asked].sum(0)).T
    frames_of_question = -(wanted * functional.log_softmax(similarity.T[asked], 1)).sum(1).mean()
    shown = match.sum(1) > 0
    wanted = match[shown] / match[shown].sum(1, keepdim=True)
    questions_of_frame = -(wanted * functional.log_softmax(similarity[shown], 1)).sum(1).mean()
    return 4 * each + frames_of_question + questions_of_frame


def train_clip(spec: TrainingSettings, folder: Path) -> dict:
    """Train, validate and write the CLIP; returns the validation figures reached."""
    progress = TrainingLog("clip", spec.max_minutes)
    device = pick_device()
    pools = render_pools(spec, progress)
    model, tokenizer = build_clip(spec.seed)
    model.to(device).train()
    heads = AttributeHeads(VISION_WIDTH).to(device)

    def encode(pixels: Tensor) -> Tensor:
        return model.vision_model(pixel_values=pixels).pooler_output

    accuracy = fit_vision(
        "clip",
        encode,
        lambda feature: [head(feature) for head in heads],
        heads.loss,
        [*model.vision_model.parameters(), *heads.parameters()],
        model.vision_model.embeddings.patch_embedding,
        pools,
        spec,
        progress,
    )
    # the tower is done, so its features are computed once and only the small parts after it are fitted
    features, held_out = (encode_frames(encode, pool.frames, device) for pool in pools)
    areas = fit_texts(model, tokenizer, features, held_out, pools[0].labels, pools[1].labels, spec, progress)
    reached = {"vision": accuracy, "worst_auc": areas}
    progress.say(f"reached {reached}")
    if min(areas.values()) < spec.clip_target:
        raise TargetNotReached(
            f"clip: worst question's AUC is {min(areas.values())} ({areas}), expected at least {spec.clip_target} "
            "(clip_target). Hint: raise max_steps or max_minutes."
        )
    save_clip(model, tokenizer, folder)
    write_spec_file(folder, "clip", spec, reached, progress)
    return reached


def fit_texts(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    features: Tensor,
    held_out: Tensor,
    labels: np.ndarray,
    held_out_labels: np.ndarray,
    spec: TrainingSettings,
    progress: TrainingLog,
) -> dict[str, float]:
    """Fit text tower and projections on frame features (n, VISION_WIDTH); returns the worst AUC of each kind."""
    rng = np.random.default_rng([spec.seed, 10])
    device = features.device
    bias = nn.Parameter(torch.tensor(-5.0, device=device))
    fitted = [
        *model.text_model.parameters(),
        *model.text_projection.parameters(),
        *model.visual_projection.parameters(),
    ]
    optimiser = build_optimiser([*fitted, model.logit_scale, bias], PEAK_RATE)
    check = draw_texts(np.random.default_rng([spec.seed, 11]), 40)
    relations = check.relations(held_out_labels)
    areas = {"none": 0.0}
    for step in range(1, spec.max_steps + 1):
        set_rate(optimiser, PEAK_RATE, step - 1, PLANNED_STEPS)
        chosen = rng.integers(0, len(features), BATCH)
        texts = draw_texts(rng, PAIR_TEXTS)
        match = torch.from_numpy(texts.relations(labels[chosen]) >= EVENT).float().to(device)
        images = functional.normalize(model.visual_projection(features[torch.from_numpy(chosen).to(device)]), dim=-1)
        scale = model.logit_scale.exp().clamp(max=50)
        loss = contrast_loss(images @ embed_texts(model, tokenizer, texts.questions).T * scale, match, bias)
        descend(loss, optimiser)
        if step % CHECK_EVERY == 0 or step == spec.max_steps:
            with torch.no_grad():
                images = functional.normalize(model.visual_projection(held_out), dim=-1)
                scores = images @ embed_texts(model, tokenizer, check.questions).T
            areas = worst_areas(scores.cpu().numpy(), relations, check)
            progress.say(f"text step {step} loss {loss.item():.3f} worst AUC {areas}")
            if progress.expired() or (step >= PLANNED_STEPS and min(areas.values()) >= spec.clip_target):
                break
    return areas


def save_clip(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights (float16) and processor."""
    model.eval().to("cpu", torch.float16).save_pretrained(folder)
    images = CLIPImageProcessor(
        size={"shortest_edge": INPUT_SIZE}, crop_size={"height": INPUT_SIZE, "width": INPUT_SIZE}
    )
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
