"""A stand-in for the package `llava`: as much of it as lmms-eval's classes call, with a network that only counts.

It lets the answerers be tested where LLaVA-NeXT is not installed. What it must be like is what the real package is; the
same tests run with that one in its own environment.
"""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from transformers import AutoTokenizer, PretrainedConfig

import tiny_llava_video

IMAGE_TOKEN = -200
TOWER = "model.vision_tower.vision_tower.vision_model."


class SeparatorStyle(Enum):
    TWO = 1
    CHATML = 2


class Conversation:
    def __init__(self, system, roles, sep, sep2=None, sep_style=SeparatorStyle.CHATML):
        self.system, self.roles, self.sep, self.sep2, self.sep_style = system, roles, sep, sep2, sep_style
        self.messages = []

    def copy(self):
        return Conversation(self.system, self.roles, self.sep, self.sep2, self.sep_style)

    def append_message(self, role, message):
        self.messages.append((role, message))

    def get_prompt(self):
        said = "".join(f"{role}{message}{self.sep}" if message else role for role, message in self.messages)
        return f"{self.system}{self.sep}{said}"


CHATML_ROLES = ("<|im_start|>user\n", "<|im_start|>assistant\n")
TEMPLATES = {
    "qwen_1_5": Conversation("<|im_start|>system\nYou are a helpful assistant.", CHATML_ROLES, "<|im_end|>"),
    "chatml_direct": Conversation("<|im_start|>system\nAnswer the questions.", CHATML_ROLES, "<|im_end|>"),
    "vicuna_v1": Conversation("A chat.", ("USER: ", "ASSISTANT: "), " ", "</s>", SeparatorStyle.TWO),
}


def tokenizer_image_token(prompt, tokenizer, image_token_index, return_tensors):
    assert return_tensors == "pt"
    ids = []
    for part in prompt.split("<image>"):
        ids += [image_token_index] * bool(ids) + tokenizer(part).input_ids
    return torch.tensor(ids)


class KeywordsStoppingCriteria:
    def __init__(self, keywords, tokenizer, input_ids):
        self.keyword_ids = [torch.tensor(tokenizer(keyword).input_ids) for keyword in keywords]

    def __call__(self, output_ids, scores):
        return any(bool(output_ids[0, -len(word) :] == word) for word in self.keyword_ids)


class SigLipVisionConfig(SimpleNamespace):
    pass


class SigLipVisionModel(torch.nn.Module):
    """Only the shape of one weight, and a number of layers; `from_pretrained` must never be what it is here."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.weight = torch.nn.Parameter(torch.empty(config.hidden_size, 3, 14, 14))

    @classmethod
    def from_pretrained(cls, name, **options):
        raise OSError(f"{name} would be fetched from the hub")


class SigLipImageProcessor:
    def preprocess(self, images, return_tensors):
        assert return_tensors == "pt"
        assert images.dtype == np.uint8
        rows, columns = (np.linspace(0, length - 1, 24).astype(int) for length in images.shape[1:3])
        small = images[:, rows][:, :, columns]
        return {"pixel_values": torch.tensor(small).permute(0, 3, 1, 2) / 127.5 - 1}


class LlavaQwenConfig(PretrainedConfig):
    model_type = "llava_qwen"


class LlavaQwenForCausalLM(torch.nn.Module):
    def __init__(self, config, weights):
        super().__init__()
        self.config, self.weights = config, weights
        self.names = [*WEIGHTS, *(f"model.layers.{i}.mlp.up_proj.weight" for i in range(2))]
        with torch.device("meta"):
            self.tower = SigLipVisionModel.from_pretrained(config.mm_vision_tower, device_map=None)
        assert self.tower.config == SigLipVisionConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=3)

    def state_dict(self):
        return dict.fromkeys(self.names)

    def tie_weights(self):
        pass

    def prepare_inputs_labels_for_multimodal(self, ids, position, mask, past, labels, images, modalities, image_sizes):
        if images is None:
            return ids, position, mask, past, None, labels
        side = {"average": 13, "max": 13, "bilinear": 14}[self.config.mm_spatial_pool_mode]
        frames = sum(len(image) for image in images)
        newlines = {"grid": frames * side, "frame": frames, "one_token": 1, "no_token": 0}
        length = ids.shape[1] - 1 + frames * side * side + newlines[self.config.mm_newline_position]
        return None, None, mask, past, torch.zeros(1, length, 1)[:, : self.config.tokenizer_model_max_length], labels

    def generate(self, inputs=None, images=None, image_sizes=None, modalities=("image",), **options):
        made = self.prepare_inputs_labels_for_multimodal(
            inputs, None, options["attention_mask"], None, None, images, modalities, image_sizes=image_sizes
        )
        answer = torch.full((1, options["max_new_tokens"]), 30 + made[4].shape[1] % 7)
        for criterion in options["stopping_criteria"]:
            criterion(answer[:, :1], None)
        return answer


#: Names and shapes of the weights of the stand-in beside those of the language model.
WEIGHTS = {
    f"{TOWER}embeddings.patch_embedding.weight": (32, 3, 14, 14),
    f"{TOWER}encoder.layers.0.mlp.fc1.weight": (48, 32),
    f"{TOWER}encoder.layers.1.mlp.fc1.weight": (48, 32),
}


def load_pretrained_model(folder, base, name, device_map, max_memory, overwrite_config=None, **options):
    assert (base, name, device_map, list(max_memory)) == (None, "llava_qwen", "auto", ["cpu"])
    config = LlavaQwenConfig(**json.loads((Path(folder) / "config.json").read_text()) | (overwrite_config or {}))
    tower = SimpleNamespace(image_processor=SigLipImageProcessor())
    network = LlavaQwenForCausalLM(config, options)
    return AutoTokenizer.from_pretrained(folder), network, tower.image_processor, config.max_position_embeddings


def write_checkpoint(folder: Path) -> None:
    from safetensors.torch import save_file

    tokenizer = tiny_llava_video.byte_tokenizer()
    tokenizer.save_pretrained(folder)
    config = {"architectures": ["LlavaQwenForCausalLM"], "model_type": "llava_qwen"}
    (folder / "config.json").write_text(json.dumps(config | tiny_llava_video.config(tokenizer)))
    weights = WEIGHTS | {f"model.layers.{i}.mlp.up_proj.weight": (2, 2) for i in range(2)}
    save_file({name: torch.zeros(shape) for name, shape in weights.items()}, folder / "model.safetensors")


def install() -> None:
    """Make `import llava` find the stand-in in this process."""
    modules = {
        "llava": {},
        "llava.constants": {
            "DEFAULT_IM_END_TOKEN": "<im_end>",
            "DEFAULT_IM_START_TOKEN": "<im_start>",
            "DEFAULT_IMAGE_TOKEN": "<image>",
            "IGNORE_INDEX": -100,
            "IMAGE_TOKEN_INDEX": IMAGE_TOKEN,
        },
        "llava.conversation": {"SeparatorStyle": SeparatorStyle, "conv_templates": TEMPLATES},
        "llava.mm_utils": {
            "KeywordsStoppingCriteria": KeywordsStoppingCriteria,
            "get_model_name_from_path": lambda path: Path(path).name,
            "process_images": None,
            "tokenizer_image_token": tokenizer_image_token,
        },
        "llava.model": {},
        "llava.model.builder": {"load_pretrained_model": load_pretrained_model},
        "llava.model.language_model": {},
        "llava.model.language_model.llava_llama": {"LlavaConfig": type("LlavaConfig", (PretrainedConfig,), {})},
        "llava.model.language_model.llava_qwen": {
            "LlavaQwenConfig": LlavaQwenConfig,
            "LlavaQwenForCausalLM": LlavaQwenForCausalLM,
        },
        "llava.model.multimodal_encoder": {},
        "llava.model.multimodal_encoder.siglip_encoder": {
            "SigLipVisionConfig": SigLipVisionConfig,
            "SigLipVisionModel": SigLipVisionModel,
        },
    }
    modules["llava.model.language_model.llava_llama"]["LlavaConfig"].model_type = "llava_llama"
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module
