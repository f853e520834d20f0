"""A selector with a few thousand parameters, and data in which a feature tells which frame is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import tiny_scorers
from framesift.core.spec import spec_of
from framesift.scoring.embedding_table import write_embeddings
from framesift.scoring.mllm_selector.examples import Example, Instruction
from framesift.scoring.mllm_selector.sampling import first_shown, slots
from framesift.scoring.mllm_selector.settings import SelectorSettings
from framesift.storage.tensors import write_tensors

N, POOL, WIDTH = 8, 2, 32
COLOURS = ["red", "blue", "star", "circle"]


def write_llm(folder: Path, layers: int = 3) -> None:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tiny_scorers.WORDS), hidden_size=48, intermediate_size=64, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
        initializer_range=0.1, eos_token_id=3, pad_token_id=0, bos_token_id=2,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tiny_scorers.word_tokenizer(end=False).save_pretrained(folder)


def write_checkpoints(folder: Path) -> None:
    """`siglip` and `llm` in a folder."""
    tiny_scorers.write_siglip(folder / "siglip")
    write_llm(folder / "llm")


def settings(checkpoints: Path, **fields) -> SelectorSettings:
    vision = {"kind": "patches", "model": str(checkpoints / "siglip"), "pool": POOL, "frames": N}
    return SelectorSettings.model_validate(
        {"vision": vision, "llm": {"model": str(checkpoints / "llm")}, "text": "question"} | fields
    )


class World:
    """Videos whose frames carry colours in their features, and questions for the frames of one colour."""

    def __init__(self, folder: Path, made: SelectorSettings, videos: int = 6, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.folder, self.features, self.examples, self.instructions = folder, folder / "features", [], []
        signs = np.random.default_rng(99).normal(size=(len(COLOURS), WIDTH))
        places = {}
        for v in range(videos):
            candidates = int(rng.choice([5, N, 20]))
            shown = slots(candidates, N)
            rows = np.unique(shown)
            colours = rng.integers(len(COLOURS), size=len(rows))
            features = signs[colours][:, None] + 0.3 * rng.normal(size=(len(rows), POOL**2, WIDTH))
            file = folder / "cache" / f"v{v}.safetensors"
            write_tensors(file, {"features": features.astype(np.float16)}, {})
            places[f"v{v}"] = {"file": str(file)}
            of_slots = colours[np.searchsorted(rows, shown)]
            for c, colour in enumerate(COLOURS):
                name, text = f"v{v}-{colour}", f"what is on the {colour} ?"
                self.examples.append(
                    Example(
                        question_id=name,
                        video_id=f"v{v}",
                        text=text,
                        frames=tuple(shown.tolist()),
                        targets=tuple((of_slots == c).astype(float).tolist()),
                        mask=tuple(first_shown(shown).tolist()),
                        times=tuple(shown.astype(float).tolist()),
                        spans=tuple((float(t), float(t)) for t in shown[of_slots == c][:1]),
                    )
                )
                self.instructions.append(
                    Instruction(
                        question_id=name, video_id=f"v{v}", prompt=text, response=colour if c % 2 else "a blue circle"
                    )
                )
        write_embeddings(self.features, places, {}, json.loads(json.dumps({"encoder": spec_of(made.vision)})))
