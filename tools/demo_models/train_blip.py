"""Train the demo's BLIP matcher: first a tower that names what a frame shows, then text that looks at its tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import (
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessor,
    BlipProcessor,
    PreTrainedTokenizerFast,
)

from demo_models.pool import CLASSES, INPUT_SIZE, PATCH, Pool
from demo_models.scorer_texts import DECOY, EMPTY, EVENT, OTHER, PARTIAL, draw_texts, worst_areas
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
from framesift.demo.world import COLOUR_NAMES, DIGITS, SHAPES

VISION_WIDTH, VISION_INNER, VISION_LAYERS = 128, 768, 3
TEXT_WIDTH, TEXT_LAYERS = 96, 2
PLANNED_STEPS, BATCH, PEAK_RATE, CHECK_EVERY = 1200, 128, 1.5e-3, 100
PAIR_TEXTS, TEXTS_PER_FRAME = 60, 3

# A matcher that says only 0 or 1 ties all matching frames, and then AKS can do no better than top-k. These targets
# keep it graded: a plain shape matches a question that names colour and shape a little better than the same shape
# under a digit, and an empty frame is less of a contradiction than another event.
MATCH_TARGETS = {EMPTY: 0.3, OTHER: 0.05, PARTIAL: 0.25, EVENT: 0.85, DECOY: 0.95}


def build_blip(seed: int) -> tuple[BlipForImageTextRetrieval, PreTrainedTokenizerFast]:
    """A freshly initialised BLIP matcher and its tokenizer."""
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
        "initializer_range": 0.05,
        "layer_norm_eps": 1e-6,
    }
    text = {
        "vocab_size": -(-len(tokenizer) // 8) * 8,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_hidden_layers": TEXT_LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "sep_token_id": tokenizer.eos_token_id,
    }
    config = BlipConfig(vision_config=vision, text_config=text, image_text_hidden_size=64, projection_dim=64)
    model = BlipForImageTextRetrieval(config)
    with torch.no_grad():
        model.vision_model.embeddings.position_embedding.normal_(0, 0.3)
    return model, tokenizer


class WordHeads(nn.Module):
    """Throw-away heads at each word that names a value: which value does the frame have, and is it this one?"""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        names = (COLOUR_NAMES, SHAPES, DIGITS)
        self.ids = [torch.tensor(tokenizer.convert_tokens_to_ids(group)) for group in names]
        self.which = nn.ModuleList(
            [nn.Linear(TEXT_WIDTH, CLASSES[k]) for k in range(3)] + [nn.Linear(TEXT_WIDTH, CLASSES[3])]
        )
        self.same = nn.ModuleList([nn.Linear(TEXT_WIDTH, 1) for _ in range(4)])
        self.border = tokenizer.convert_tokens_to_ids("border")

    def loss(self, states: Tensor, words: Tensor, labels: Tensor) -> Tensor:
        """Sum of the losses; states (n, length, TEXT_WIDTH), words (n, length), labels (n, 4) of the frames."""
        total = states.new_zeros(())
        about_border = (words == self.border).any(1)
        for column, ids in enumerate((*self.ids, self.ids[0])):  # colour words of border questions come last
            hit = words[:, :, None] == ids.to(words.device)
            if column in (0, 3):
                hit = hit & (about_border == (column == 3))[:, None, None]
            row, place = hit.any(-1).nonzero(as_tuple=True)
            if len(row) == 0:
                continue
            named, shown = hit[row, place].float().argmax(-1), labels[row, column]
            total = total + functional.cross_entropy(self.which[column](states[row, place]), shown)
            guess = self.same[column](states[row, place]).squeeze(-1)
            total = total + functional.binary_cross_entropy_with_logits(guess, (named == shown).float())
        return total


def match_states(model: BlipForImageTextRetrieval, images: Tensor, words: dict[str, Tensor]) -> Tensor:
    """Text states (n, length, TEXT_WIDTH) after looking at image tokens (n, tokens, VISION_WIDTH)."""
    return model.text_encoder(
        input_ids=words["input_ids"],
        attention_mask=words["attention_mask"],
        encoder_hidden_states=images,
        encoder_attention_mask=torch.ones(images.shape[:2], dtype=torch.long, device=images.device),
    ).last_hidden_state


def pick_texts(rng: np.random.Generator, relations: np.ndarray) -> np.ndarray:
    """Questions (n, TEXTS_PER_FRAME) for frames with relations (n, questions): a match, a near miss, and any."""
    weights = rng.random((TEXTS_PER_FRAME, *relations.shape))
    weights[0] += relations >= EVENT
    weights[1] += relations == PARTIAL
    return weights.argmax(2).T


def train_blip(spec: TrainingSettings, folder: Path) -> dict:
    """Train, validate and write the BLIP matcher; returns the validation figures reached."""
    progress = TrainingLog("blip", spec.max_minutes)
    device = pick_device()
    pools = render_pools(spec, progress)
    model, tokenizer = build_blip(spec.seed)
    model.to(device).train()
    heads = AttributeHeads(VISION_WIDTH).to(device)

    def encode(pixels: Tensor) -> Tensor:
        return model.vision_model(pixel_values=pixels).last_hidden_state

    accuracy = fit_vision(
        "blip",
        lambda pixels: encode(pixels)[:, 0],
        lambda feature: [head(feature) for head in heads],
        heads.loss,
        [*model.vision_model.parameters(), *heads.parameters()],
        model.vision_model.embeddings.patch_embedding,
        pools,
        spec,
        progress,
    )
    # the tower is done, so its tokens are computed once and only the text that looks at them is fitted
    images, held_out = (encode_frames(encode, pool.frames, device) for pool in pools)
    areas = fit_matcher(model, tokenizer, images, held_out, pools, spec, progress)
    reached = {"vision": accuracy, "worst_auc": areas}
    progress.say(f"reached {reached}")
    if min(areas.values()) < spec.blip_target:
        raise TargetNotReached(
            f"blip: worst question's AUC is {min(areas.values())} ({areas}), expected at least {spec.blip_target} "
            "(blip_target). Hint: raise max_steps or max_minutes."
        )
    save_blip(model, tokenizer, folder)
    write_spec_file(folder, "blip", spec, reached, progress)
    return reached


def fit_matcher(
    model: BlipForImageTextRetrieval,
    tokenizer: PreTrainedTokenizerFast,
    images: Tensor,
    held_out: Tensor,
    pools: tuple[Pool, Pool],
    spec: TrainingSettings,
    progress: TrainingLog,
) -> dict[str, float]:
    """Fit the text side on image tokens (n, tokens, VISION_WIDTH); returns the worst AUC of each kind of question."""
    rng = np.random.default_rng([spec.seed, 12])
    device = images.device
    labels = pools[0].labels
    heads = WordHeads(tokenizer).to(device)
    optimiser = build_optimiser(
        [*model.text_encoder.parameters(), *model.itm_head.parameters(), *heads.parameters()], PEAK_RATE, decay=0.02
    )
    targets = torch.tensor([MATCH_TARGETS[k] for k in range(len(MATCH_TARGETS))], device=device)
    areas = {"none": 0.0}
    for step in range(1, spec.max_steps + 1):
        set_rate(optimiser, PEAK_RATE, step - 1, PLANNED_STEPS)
        chosen = rng.integers(0, len(images), BATCH)
        texts = draw_texts(rng, PAIR_TEXTS)
        relations = texts.relations(labels[chosen])
        picked = pick_texts(rng, relations)
        words = tokenizer([texts.questions[k] for k in picked.ravel()], return_tensors="pt", padding=True).to(device)
        frames = np.repeat(chosen, TEXTS_PER_FRAME)
        states = match_states(model, images[torch.from_numpy(frames).to(device)], words)
        wanted = targets[torch.from_numpy(np.take_along_axis(relations, picked, 1).ravel()).to(device)]
        wanted = torch.stack([1 - wanted, wanted], dim=1)
        matching = functional.cross_entropy(model.itm_head(states[:, 0]), wanted)
        shown = torch.from_numpy(labels[frames]).to(device)
        loss = 2 * matching + heads.loss(states, words["input_ids"], shown)
        descend(loss, optimiser)
        if step % CHECK_EVERY == 0 or step == spec.max_steps:
            areas = measure_areas(model, tokenizer, held_out, pools[1].labels, spec)
            progress.say(f"match step {step} loss {loss.item():.3f} match {matching.item():.3f} worst AUC {areas}")
            if progress.expired() or (step >= PLANNED_STEPS and min(areas.values()) >= spec.blip_target):
                break
    return areas


@torch.no_grad()
def measure_areas(
    model: BlipForImageTextRetrieval,
    tokenizer: PreTrainedTokenizerFast,
    held_out: Tensor,
    labels: np.ndarray,
    spec: TrainingSettings,
) -> dict[str, float]:
    """Worst AUC of each kind of question on held-out image tokens; every third question is tried."""
    model.eval()
    check = draw_texts(np.random.default_rng([spec.seed, 11]), 15)
    tried = range(0, len(check.questions), 3)
    columns = np.zeros((len(labels), len(check.questions)))
    for k in tried:
        words = tokenizer([check.questions[k]], return_tensors="pt").to(held_out.device)
        words = {name: words[name].expand(len(held_out), -1) for name in ("input_ids", "attention_mask")}
        logits = model.itm_head(match_states(model, held_out, words)[:, 0])
        columns[:, k] = torch.softmax(logits, 1)[:, 1].cpu().numpy()
    model.train()
    relations = check.relations(labels)
    untried = [k for k in range(len(check.questions)) if k not in tried]
    relations[:, untried] = EMPTY  # a question without a matching frame is passed over
    return worst_areas(columns, relations, check)


def save_blip(model: BlipForImageTextRetrieval, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights (float16) and processor."""
    model.eval().to("cpu", torch.float16).save_pretrained(folder)
    images = BlipImageProcessor(size={"height": INPUT_SIZE, "width": INPUT_SIZE})
    BlipProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
