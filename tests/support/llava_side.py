"""Asking the answerers that run `llava`, in a process of its own.

Takes a folder that holds cases.json: a list of cases, each with a `name`, an `answerer` (its spec, `model` the name of
a folder in this one), the `frames` it is asked about, `keep` (true for the model that was loaded before), what else is
`asked`, and perhaps `grey` (whether the pictures have one channel). Writes told.json: what came of each case. With
--stand-in, `llava` is that of `llava_standin`; without, the real one, which first makes the checkpoint
(`tiny_llava_video`), and compares its own loading with ours.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import asking
import barcode
from framesift.core.components import build

#: What may be wrong with a checkpoint: changes of config.json, and the beginning of the names of missing weights.
DAMAGES = {
    "another_model": ({"architectures": ["LlavaOnevisionForConditionalGeneration"]}, None),
    "tower_is_a_path": ({"mm_vision_tower": "."}, None),
    "tower_is_no_siglip": ({"mm_vision_tower": "openai/clip-vit-large-patch14-336"}, None),
    "without_tower": ({}, "model.vision_tower."),
    "incomplete": ({}, "model.layers.1.mlp.up_proj."),
}


def damage(checkpoint: Path, damaged: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoint, damaged)
    changes, missing = DAMAGES[damaged.name]
    config = json.loads((checkpoint / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps(config | changes))
    if missing:
        weights = load_file(checkpoint / "model.safetensors")
        kept = {name: weight for name, weight in weights.items() if not name.startswith(missing)}
        assert len(kept) < len(weights)
        save_file(kept, damaged / "model.safetensors", {"format": "pt"})


def tell(case: dict, folder: Path, calls: list[dict], loaded: dict) -> dict:
    """Ask one question; what the network was given, and what came back."""
    spec = case["answerer"]
    answerer = build("answerers", spec | {"model": str(folder / spec["model"])})
    calls.clear()
    try:
        if not case["keep"]:
            loaded["model"] = answerer.load("cpu")
        frames = asking.frames_of(case["frames"])
        if case.get("grey"):
            frames[:] = [frame.convert("L") for frame in frames]
        reply = loaded["model"].answer(asking.asked(answerer, frames, **case["asked"]))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "calls": len(calls)}
    [call] = calls
    tokenizer = loaded["model"].tokenizer
    prompt = "".join("<image>" if token < 0 else tokenizer.decode([token]) for token in call["ids"].tolist())
    return {
        "seen": [barcode.read_indices(pixels.float()) for pixels in call["images"]],
        "shapes": [list(pixels.shape) for pixels in call["images"]],
        "dtype": str(call["images"][0].dtype).removeprefix("torch."),
        "modalities": call["modalities"],
        "prompt": prompt,
        "video_tokens": call["length"] - (len(call["ids"]) - 1),
        "given": [reply.given.frames, reply.given.times, reply.given.pixels],
        "text": reply.text,
    }


def watch(network_class) -> list[dict]:
    """Every call of `generate` of a class, as the network gets it, and the length of what it makes of it."""
    calls: list[dict] = []
    generate, prepare = network_class.generate, network_class.prepare_inputs_labels_for_multimodal

    def watched(self, inputs=None, images=None, image_sizes=None, modalities=("image",), **others):
        calls.append({"ids": inputs[0], "images": images, "modalities": modalities})
        return generate(self, inputs, images=images, image_sizes=image_sizes, modalities=modalities, **others)

    def prepared(self, *arguments, **options):
        made = prepare(self, *arguments, **options)
        if made[4] is not None:
            calls[-1]["length"] = made[4].shape[1]
        return made

    network_class.generate = watched
    network_class.prepare_inputs_labels_for_multimodal = prepared
    return calls


def compare(checkpoint: Path) -> dict:
    """A checkpoint as `llava` loads it by itself, beside the model of the answerer: the same network or not."""
    import torch
    from llava.model.builder import load_pretrained_model
    from llava.model.multimodal_encoder.siglip_encoder import SigLipVisionModel

    import tiny_llava_video

    _, theirs, _, _ = load_pretrained_model(
        str(checkpoint), None, "llava_qwen", device_map="auto", torch_dtype="bfloat16", attn_implementation="sdpa"
    )
    fetched = SigLipVisionModel.from_pretrained(tiny_llava_video.TOWER).state_dict()
    shutil.rmtree(os.environ["HF_HOME"])  # from here on there is nothing but the checkpoint
    ours = build("answerers", {"kind": "llava_vid", "model": str(checkpoint)}).load("cpu").model
    pixels = torch.rand(2, 3, 384, 384).to(torch.bfloat16)
    name = "vision_model.embeddings.patch_embedding.weight"
    with torch.inference_mode():
        features = [network.encode_images(pixels) for network in (theirs, ours)]
    return {
        "weights": sorted(theirs.state_dict()) == sorted(ours.state_dict())
        and all(torch.equal(weight, ours.state_dict()[key]) for key, weight in theirs.state_dict().items()),
        "features": torch.equal(*features) and features[0].std().item() > 0,
        "fetched": torch.equal(fetched[name].bfloat16(), ours.get_vision_tower().vision_tower.state_dict()[name]),
    }


def main(folder: Path, stand_in: bool) -> None:
    told = {}
    if stand_in:
        import llava_standin

        llava_standin.install()
        llava_standin.write_checkpoint(folder / "checkpoint")
    else:
        import tiny_llava_video

        tiny_llava_video.write_checkpoint(folder / "checkpoint", Path(os.environ["HF_HOME"]) / "hub")
        told["loading"] = compare(folder / "checkpoint")
    for name in DAMAGES:
        damage(folder / "checkpoint", folder / name)
    from llava.model.language_model.llava_qwen import LlavaQwenForCausalLM

    calls, loaded = watch(LlavaQwenForCausalLM), {}
    for case in json.loads((folder / "cases.json").read_text()):
        told[case["name"]] = tell(case, folder, calls, loaded)
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--stand-in" in sys.argv)
