"""InternVL3, LLaVA-NeXT-Video, PLLaVA and Idefics2 see the selected frames, all of them, in order."""

import importlib
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import asking
import barcode
import tiny_idefics2
import tiny_internvl
import tiny_llava_next_video
import tiny_pllava
from framesift.answering.answerers._transformers import generation_settings
from framesift.answering.answerers.idefics2 import Idefics2
from framesift.answering.answerers.internvl3 import Internvl3
from framesift.answering.answerers.llava_next_video import LlavaNextVideo
from framesift.answering.answerers.pllava import Pllava, merged, pooled, reduced
from framesift.core.errors import InputError

#: Of each answerer: what writes its checkpoint, and the pictures in the inputs of its network.
KINDS = {
    Internvl3: (tiny_internvl, lambda inputs: inputs["pixel_values"]),
    LlavaNextVideo: (tiny_llava_next_video, lambda inputs: inputs["pixel_values_videos"][0]),
    Pllava: (tiny_pllava, lambda inputs: inputs["pixel_values"]),
    Idefics2: (tiny_idefics2, lambda inputs: inputs["pixel_values"][0]),
}
#: Where the pictures of each pass through; what comes before or after is replaced to lose one.
DOORS = {
    Internvl3: ("transformers.video_processing_utils", "BaseVideoProcessor", "_prepare_input_videos"),
    LlavaNextVideo: ("transformers.video_processing_utils", "BaseVideoProcessor", "_prepare_input_videos"),
    Pllava: (
        "transformers.models.clip.image_processing_pil_clip",
        "CLIPImageProcessorPil",
        "_prepare_images_structure",
    ),
    Idefics2: (
        "transformers.models.idefics2.image_processing_idefics2",
        "Idefics2ImageProcessor",
        "_prepare_images_structure",
    ),
}
all_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture(scope="module")
def calls():
    """Every network that generates, with what, and what it generates."""
    from transformers.generation.utils import GenerationMixin

    generate, made = GenerationMixin.generate, []

    def watched(self, *arguments, **inputs):
        made.append((self, inputs, generate(self, *arguments, **inputs)))
        return made[-1][2]

    with pytest.MonkeyPatch.context() as patch:  # before a model is loaded, which takes hold of `generate`
        patch.setattr(GenerationMixin, "generate", watched)
        yield made


@pytest.fixture
def seen(calls):
    """The calls of this test."""
    calls.clear()
    return calls


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The folder of an answerer's checkpoint, written when it is first asked for."""
    folders = {}

    def folder(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind.__name__)
            KINDS[kind][0].write_checkpoint(folders[kind])
        return folders[kind]

    return folder


@pytest.fixture(scope="module")
def loaded(folder_of, calls):
    """An answerer and its model."""
    models = {}

    def load(kind, **fields):
        key = (kind, *sorted(fields.items()))
        if key not in models:
            answerer = kind(model=str(folder_of(kind)), **{"dtype": "float32", **fields})
            models[key] = (answerer, answerer.load("cpu"))
        return models[key]

    return load


def frames_of(indices):
    """Square pictures: two of the models look only at the square in the middle."""
    return asking.frames_of(indices, size=(112, 112))


@all_kinds
@pytest.mark.parametrize("indices", [[7], [3, 50, 51, 52, 299], [299, 3, 50]], ids=str)
def test_the_network_gets_the_frames_in_their_order(kind, indices, loaded, seen):
    answerer, model = loaded(kind)
    reply = model.answer(asking.asked(answerer, frames_of(indices)))
    [(_, inputs, _)] = seen
    assert barcode.read_indices(KINDS[kind][1](inputs)) == indices
    assert reply.given.frames == indices
    assert reply.given.times == [index / 10 for index in indices]
    assert model.answer(asking.asked(answerer, frames_of(indices))) == reply
    other = model.answer(asking.asked(answerer, frames_of([*indices[:-1], 298])))
    assert other.given.pixels != reply.given.pixels


@all_kinds
def test_a_processor_that_loses_a_frame_is_found_out(kind, loaded, monkeypatch):
    answerer, model = loaded(kind)
    module, owner, name = DOORS[kind]
    owner = getattr(importlib.import_module(module), owner)
    passing = getattr(owner, name)

    def losing(self, *arguments, **options):
        pictures = passing(self, *arguments, **options)
        return pictures[:-1] if kind is Pllava else [video[:-1] for video in pictures]

    monkeypatch.setattr(owner, name, losing)
    with pytest.raises(RuntimeError, match="3 frames became a tensor of 2 pictures"):
        model.answer(asking.asked(answerer, frames_of([3, 50, 299])))


@all_kinds
def test_the_answer_is_what_was_generated_after_the_question(kind, loaded, seen):
    answerer, model = loaded(kind)
    reply = model.answer(asking.asked(answerer, frames_of([3, 50]), tokens=5))
    [(_, inputs, generated)] = seen
    new = generated[0, inputs["input_ids"].shape[1] :]
    assert 1 <= len(new) <= 5
    assert reply.text.strip() == model.tokenizer.decode(new, skip_special_tokens=True).strip() != ""


@pytest.mark.parametrize("kind", [Internvl3, LlavaNextVideo], ids=lambda kind: kind.__name__)
def test_a_checkpoint_that_samples_frames_by_itself_does_not(kind, tmp_path, seen):
    KINDS[kind][0].write_checkpoint(tmp_path)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    sampling = json.dumps({**settings, "do_sample_frames": True, "num_frames": 2})
    (tmp_path / "preprocessor_config.json").write_text(sampling)
    answerer = kind(model=str(tmp_path), dtype="float32")
    reply = answerer.load("cpu").answer(asking.asked(answerer, frames_of([299, 3, 50])))
    assert barcode.read_indices(KINDS[kind][1](seen[0][1])) == reply.given.frames == [299, 3, 50]


@all_kinds
@pytest.mark.parametrize(("dtype", "attention"), [("float32", "sdpa"), ("bfloat16", "eager"), ("float16", "eager")])
def test_precision_and_attention_are_those_of_the_settings(kind, dtype, attention, loaded, seen):
    answerer, model = loaded(kind, dtype=dtype, attn_implementation=attention)
    model.answer(asking.asked(answerer, frames_of([3, 50])))
    [(network, _, _)] = seen
    assert {weight.dtype for weight in network.parameters()} == {getattr(torch, dtype)}
    assert network.config._attn_implementation == attention
    assert not network.training


@all_kinds
def test_weights_are_loaded_in_full_precision(kind, folder_of, loaded):
    """A class that loads in bfloat16 first would leave rounded weights behind."""
    _, model = loaded(kind)
    network = getattr(model, "network", None) or model._model
    stored = {}
    for file in folder_of(kind).glob("*.safetensors"):
        stored |= load_file(file)
    [name] = [name for name in stored if name.endswith("embed_tokens.weight")]
    assert torch.equal(network.get_input_embeddings().weight, stored[name])
    assert not torch.equal(stored[name], stored[name].bfloat16().float())


@all_kinds
def test_a_folder_without_a_checkpoint_is_a_mistake_of_the_user(kind, tmp_path):
    with pytest.raises(InputError, match="cannot be loaded"):
        kind(model=str(tmp_path)).load("cpu")


@all_kinds
def test_a_failing_network_is_not_an_empty_answer(kind, loaded, monkeypatch):
    from transformers.generation.utils import GenerationMixin

    answerer, model = loaded(kind)

    def broken(self, *arguments, **inputs):
        raise ValueError("no such cache")

    monkeypatch.setattr(GenerationMixin, "_sample", broken)
    with pytest.raises((RuntimeError, ValueError), match="no such cache"):
        model.answer(asking.asked(answerer, frames_of([3])))


# prompts


def test_internvl_numbers_the_frames_and_tiles_none(loaded, seen):
    answerer, model = loaded(Internvl3)
    # four times the size of a tile, and wide: as an image it would be cut
    model.answer(asking.asked(answerer, asking.frames_of([3, 50, 299], size=(224, 112))))
    text = model.tokenizer.decode(seen[0][1]["input_ids"][0])
    tokens = "<img>" + "<IMG_CONTEXT>" * tiny_internvl.TOKENS + "</img>"
    frames = "\n".join(f"Frame{number}: {tokens}" for number in (1, 2, 3))
    question = "What is seen?\nA. this\nB. that"
    assert text == f"<|im_start|>user\n{frames}\n{question}<|im_end|>\n<|im_start|>assistant\n"
    assert seen[0][1]["pixel_values"].shape == (3, 3, tiny_internvl.SIDE, tiny_internvl.SIDE)


def test_llava_next_video_is_asked_with_the_template_of_its_checkpoint(loaded, seen):
    answerer, model = loaded(LlavaNextVideo)
    model.answer(asking.asked(answerer, frames_of([3, 50, 299])))
    side = tiny_llava_next_video.SIDE
    tokens = 3 * (side // tiny_llava_next_video.PATCH // 2) ** 2
    assert seen[0][1]["pixel_values_videos"].shape == (1, 3, 3, side, side)
    assert model.tokenizer.decode(seen[0][1]["input_ids"][0]) == (
        f"USER: {'<video>' * tokens}\nWhat is seen?\nA. this\nB. that ASSISTANT:"
    )


def test_llava_next_video_needs_a_template_but_no_patch_size(tmp_path):
    tiny_llava_next_video.write_checkpoint(tmp_path)
    settings = json.loads((tmp_path / "processor_config.json").read_text())
    del settings["patch_size"]
    (tmp_path / "processor_config.json").write_text(json.dumps(settings))
    answerer = LlavaNextVideo(model=str(tmp_path), dtype="float32")
    assert answerer.load("cpu").answer(asking.asked(answerer, frames_of([3, 50]))).given.frames == [3, 50]
    (tmp_path / "chat_template.json").unlink()
    with pytest.raises(InputError, match="no chat template"):
        answerer.load("cpu")


def test_idefics2_gets_whole_pictures_before_the_question(loaded, seen):
    answerer, model = loaded(Idefics2)
    asked = asking.asked(answerer, asking.frames_of([3, 50, 299], size=(112, 56)))
    model.answer(asked)
    assert seen[0][1]["pixel_values"].shape == (1, 3, 3, 56, 112)  # of the frames' own shape, none split into four
    picture = "<image>" * tiny_idefics2.LATENTS + "<fake_token_around_image>"
    assert model.tokenizer.decode(seen[0][1]["input_ids"][0]) == (
        f"User:<fake_token_around_image>{picture * 3} What is seen?\nA. this\nB. that<end_of_utterance>\nAssistant:"
    )
    assert asked.request.args[2]({}) == [asked.frames]  # the request of lmms-eval is left as it was


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "USER: <image>\n Which?\nA. this ASSISTANT:"),
        ({"system": "Watch.\n"}, "Watch.\n USER: <image>\n Which?\nA. this ASSISTANT:"),
        (
            {"system": "Watch.\n", "video_alone": True, "answer_start": "Best option:("},
            "Watch.\n USER: <image>\n USER: Which?\nA. this ASSISTANT:Best option:(",
        ),
    ],
    ids=["plain", "system", "MVBench"],
)
def test_pllava_is_asked_as_vicuna(fields, expected):
    assert Pllava(model="/nowhere", **fields).prompt("Which?\nA. this") == expected


def test_pllava_reads_one_block_of_tokens_in_the_place_of_the_video(loaded, seen):
    answerer, model = loaded(Pllava, answer_start=" It is")
    for count in (1, 16, 33):
        model.answer(asking.asked(answerer, frames_of(range(count))))
    for (_, inputs, _), count in zip(seen, (1, 16, 33), strict=True):
        assert len(inputs["pixel_values"]) == count
        assert model.tokenizer.decode(inputs["input_ids"][0]) == (
            f"USER: {'<image>' * 16 * 12 * 12}\n What is seen?\nA. this\nB. that ASSISTANT: It is"
        )


@pytest.mark.parametrize(
    ("kind", "token", "message"),
    [
        (Internvl3, "<video>", "Found total 2 <video> tokens"),
        (LlavaNextVideo, "<video>", "Found total 2 <video> tokens"),
        (Pllava, "<image>", "must not contain '<image>'"),
        (Idefics2, "<image>", "number of images in the text"),
    ],
)
def test_a_question_that_holds_the_token_of_a_picture_is_refused(kind, token, message, loaded):
    answerer, model = loaded(kind)
    with pytest.raises((RuntimeError, ValueError), match=message):
        model.answer(asking.asked(answerer, frames_of([3, 50]), text=f"What does {token} stand for?"))


def test_answers_are_greedy_unless_the_task_says_otherwise():
    assert generation_settings({}) == {"max_new_tokens": 1024, "num_beams": 1, "do_sample": False}
    task = {"max_new_tokens": 16, "temperature": 0, "top_p": 1.0, "num_beams": 2, "until": ["\n"], "do_sample": True}
    assert generation_settings(task) == {"max_new_tokens": 16, "num_beams": 2, "do_sample": False}
    assert generation_settings({"temperature": 0.7, "top_p": 0.9}) == {
        "max_new_tokens": 1024,
        "num_beams": 1,
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.9,
    }


# PLLaVA's own network


@pytest.mark.parametrize("shape", [(4, 2, 3), (16, 12, 12)], ids=str)
@pytest.mark.parametrize("frames", [1, 3, 16, 20])
def test_pooling_is_the_mean_of_the_cells_and_counts_every_frame(frames, shape):
    side, dimensions = 5, 2
    features = torch.randn(frames, side * side, dimensions, dtype=torch.float64)
    grid = features.numpy().reshape(frames, side, side, dimensions)
    rows = []
    for t in range(shape[0]):
        for y in range(shape[1]):
            for x in range(shape[2]):
                cell = tuple(
                    slice(math.floor(i * m / n), math.ceil((i + 1) * m / n))
                    for i, n, m in zip((t, y, x), shape, grid.shape[:3], strict=True)
                )
                rows.append(grid[cell].reshape(-1, dimensions).mean(0))
    np.testing.assert_allclose(pooled(features, shape).numpy(), rows, atol=1e-12)
    for frame in range(frames) if frames <= shape[0] or shape[0] == 16 else ():
        alone = torch.zeros(frames, side * side, 1)
        alone[frame] = 1
        assert pooled(alone, shape).sum() > 0


def test_lora_is_added_to_the_weights_it_belongs_to():
    generator = np.random.default_rng(0)
    base, other, down, up = (generator.normal(size=shape) for shape in ((6, 5), (6, 5), (3, 5), (6, 3)))
    stem = "language_model.base_model.model.model.layers.0.self_attn."
    weights = {
        f"{stem}q_proj.base_layer.weight": torch.tensor(base, dtype=torch.bfloat16),
        f"{stem}k_proj.weight": torch.tensor(other),
        f"{stem}q_proj.lora_A.default.weight": torch.tensor(down),
        f"{stem}q_proj.lora_B.default.weight": torch.tensor(up),
        "vision_tower.vision_model.pre_layrnorm.bias": torch.tensor(other),
    }
    plain = merged(weights, alpha=4)
    q, k = (f"language_model.model.layers.0.self_attn.{part}_proj.weight" for part in "qk")
    assert set(plain) == {q, k, "vision_tower.vision_model.pre_layrnorm.bias"}
    assert plain[q].dtype == torch.bfloat16
    rounded = weights[f"{stem}q_proj.base_layer.weight"].double().numpy()
    np.testing.assert_allclose(plain[q].double().numpy(), rounded + 4 / 3 * up @ down, rtol=2**-8, atol=1e-6)
    assert torch.equal(plain[k], weights[f"{stem}k_proj.weight"])
    assert torch.equal(merged(weights, alpha=0)[q], weights[f"{stem}q_proj.base_layer.weight"])
    assert all(torch.equal(weight, plain[name]) for name, weight in merged(plain, alpha=4).items())


@pytest.mark.parametrize("frames", [3, 16, 20])
def test_pllava_computes_what_its_parts_compute(frames, loaded, folder_of):
    """CLIP, projector, slow pooling and a Llama with PEFT's own LoRA, put together as the original does."""
    from peft import LoraConfig, get_peft_model
    from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

    answerer, model = loaded(Pllava)
    inputs = model.inputs(asking.asked(answerer, frames_of(range(0, 10 * frames, 10))))
    tensors = {name: inputs[name] for name in ("input_ids", "attention_mask", "pixel_values")}
    with torch.no_grad():
        logits = model.network(**tensors).logits

    weights = {}
    for file in folder_of(Pllava).glob("*.safetensors"):
        weights |= load_file(file)
    config = json.loads((folder_of(Pllava) / "config.json").read_text())

    def under(prefix):
        return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}

    tower = CLIPVisionModel(CLIPVisionConfig(**config["vision_config"]))
    tower.load_state_dict(under("vision_tower.vision_model."))
    llama = LlamaForCausalLM(LlamaConfig(**config["text_config"]))
    lora = LoraConfig(r=tiny_pllava.RANK, lora_alpha=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    llama = get_peft_model(llama, lora)
    llama.load_state_dict(under("language_model."))
    project = under("multi_modal_projector.")
    with torch.no_grad():
        features = tower.eval()(inputs["pixel_values"], output_hidden_states=True).hidden_states[-2][:, 1:]
        features = torch.nn.functional.gelu(features @ project["linear_1.weight"].T + project["linear_1.bias"])
        features = features @ project["linear_2.weight"].T + project["linear_2.bias"]
        block = torch.nn.AdaptiveAvgPool3d((16, 12, 12))(features.reshape(frames, 4, 4, 32).permute(3, 0, 1, 2)[None])
        tokens = inputs["input_ids"]
        embedded = llama.get_input_embeddings()(tokens).clone()
        embedded[tokens == model.network.config.image_token_id] = block[0].permute(1, 2, 3, 0).reshape(-1, 32)
        expected = llama.eval()(inputs_embeds=embedded).logits
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_pllava_says_the_same_with_weights_that_were_merged_before(tmp_path, loaded):
    lora = tmp_path / "lora"
    weights = tiny_pllava.write_checkpoint(lora)
    for file in lora.glob("*.safetensors"):
        file.unlink()
    save_file({name: weight.contiguous() for name, weight in merged(weights, 4).items()}, lora / "model.safetensors")
    answerer = Pllava(model=str(lora), dtype="float32", lora_alpha=32)
    frames = [3, 50, 299]
    expected = loaded(Pllava)[1].answer(asking.asked(answerer, frames_of(frames), tokens=12))
    assert answerer.load("cpu").answer(asking.asked(answerer, frames_of(frames), tokens=12)) == expected
    stronger, model = loaded(Pllava, lora_alpha=32)
    assert model.answer(asking.asked(stronger, frames_of(frames), tokens=12)).text != expected.text


def test_pllava_refuses_a_folder_of_what_was_trained_alone(tmp_path):
    weights = tiny_pllava.write_checkpoint(tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        file.unlink()
    trained = {name: weight for name, weight in weights.items() if "multi_modal_projector" in name}
    save_file(trained, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="weights are missing"):
        Pllava(model=str(tmp_path)).load("cpu")


def test_pllava_refuses_a_model_that_is_asked_otherwise(tmp_path):
    tiny_pllava.write_checkpoint(tmp_path, specials=("<|im_start|>",))
    with pytest.raises(InputError, match="another format"):
        Pllava(model=str(tmp_path)).load("cpu")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1280, 720), (640, 360)),  # the longer edge is 640 at most
        ((720, 1280), (360, 640)),
        ((640, 480), (640, 480)),
        ((320, 240), (448, 336)),  # the shorter edge is the side of the square at least
        ((1600, 400), (1344, 336)),
        ((336, 336), (336, 336)),
        ((477, 337), (476, 337)),  # lost in rounding
        ((337, 477), (337, 476)),
    ],
    ids=str,
)
def test_pllava_reduces_pictures_as_the_original(size, expected):
    assert reduced(Image.new("RGB", size), side=336).size == expected
