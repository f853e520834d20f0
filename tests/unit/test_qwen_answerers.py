"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL see the selected frames as one video, and their true times."""

import logging
import random
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import asking
import barcode
import tiny_qwen
from framesift.answering.answerers._qwen import seconds_per_step
from framesift.core.components import build
from framesift.core.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = tuple(tiny_qwen.KINDS)
SMALL = {"min_pixels": 3136, "max_pixels": 25088, "dtype": "float32"}
QUESTION = "What is seen?\nA. this\nB. that"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for kind, folder in folders.items():
        tiny_qwen.write_checkpoint(folder, kind)
    return folders


@pytest.fixture(scope="module")
def answerer(folders):
    """A function that makes an answerer of a kind."""
    return lambda kind, **fields: build("answerers", {"kind": kind, "model": str(folders[kind]), **SMALL, **fields})


@pytest.fixture
def seen(monkeypatch):
    """What networks are given (a network is watched from the moment it is loaded)."""
    return asking.spy(monkeypatch)


def frames_at(times):
    """Frames of a video of a variable rate, numbered in the order of their times."""
    order = sorted(times)
    frames = asking.frames_of([order.index(time) for time in times])
    frames.times = list(times)
    return frames


def network_of(model):
    return model.network if hasattr(model, "network") else model.model


def prompt_of(model, inputs):
    return model.processor.tokenizer.decode(inputs["input_ids"][0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "indices", [[7], [3, 50], [3, 50, 51, 52, 299], [299, 0, 151, 7], [50, 3, 50]],
    ids=["one", "two", "odd", "another order", "one twice"],
)  # fmt: skip
def test_the_network_gets_the_frames_as_one_video(answerer, kind, indices, seen):
    settings = answerer(kind)
    model = settings.load("cpu")
    reply = model.answer(asking.asked(settings, asking.frames_of(indices)))
    inputs = seen[0]
    assert "pixel_values" not in inputs
    shown = [*indices, indices[-1]] if len(indices) % 2 else indices
    assert barcode.read_indices(tiny_qwen.pictures(inputs)) == shown
    assert inputs["video_grid_thw"].shape == (1, 3)
    assert inputs["max_new_tokens"] == 4
    assert reply.given.frames == indices
    assert reply.given.times == [index / 10 for index in indices]
    again = model.answer(asking.asked(settings, asking.frames_of(indices)))
    assert again == reply
    other = model.answer(asking.asked(settings, asking.frames_of([*indices[:-1], 298])))
    assert other.given.pixels != reply.given.pixels


@pytest.mark.parametrize("kind", KINDS)
def test_the_prompt_is_system_prompt_video_and_question(answerer, kind, seen):
    settings = answerer(kind)
    model = settings.load("cpu")
    asked = asking.asked(settings, asking.frames_of([10, 20]), QUESTION)
    first = model.answer(asked)
    assert model.answer(asked) == first
    video = r"(<1\.5 seconds>)?" if kind == "qwen3_vl" else ""
    for inputs in seen:
        assert re.fullmatch(
            r"<\|im_start\|>system\nYou are a helpful assistant\.<\|im_end\|>\n<\|im_start\|>user\n"
            + video + r"<\|vision_start\|>(<\|video_pad\|>)+<\|vision_end\|>" + re.escape(QUESTION)
            + r"<\|im_end\|>\n<\|im_start\|>assistant\n",
            prompt_of(model, inputs),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([0.0, 0.5, 1.0, 1.5], 1.0),
        ([12.0, 20.0, 21.5, 90.25, 131.5], 59.75),  # twice (131.5 - 12) / 4
        ([131.5, 20.0, 90.25, 12.0, 21.5], 59.75),
        ([3.3, 4.7], 2.8),
        ([17.3], 0.0),
        ([5.0, 5.0], 0.0),
    ],
    ids=["even", "gaps", "another order", "two", "one", "one twice"],
)
def test_qwen2_5_vl_is_told_the_mean_spacing_of_the_frames(answerer, times, seconds, seen):
    settings = answerer("qwen2_5_vl")
    model = settings.load("cpu")
    reply = model.answer(asking.asked(settings, frames_at(times)))
    assert seen[0]["second_per_grid_ts"].tolist() == pytest.approx([seconds])
    assert seconds_per_step(times) == pytest.approx(seconds)
    assert reply.given.times == times


@pytest.mark.parametrize("mrope", ["paper", "transformers"])
def test_the_seconds_of_a_single_frame_do_not_matter(answerer, mrope, seen):
    settings = answerer("qwen2_5_vl", mrope=mrope)
    model = settings.load("cpu")
    model.answer(asking.asked(settings, asking.frames_of([7])))
    inputs = {key: seen[0][key] for key in ("input_ids", "pixel_values_videos", "video_grid_thw", "mm_token_type_ids")}
    with torch.no_grad():
        none, many = (model.model(**inputs, second_per_grid_ts=torch.tensor([s])).logits for s in (0.0, 77.0))
    assert torch.equal(none, many)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([0.0, 0.5, 1.0, 1.5], ["0.2", "1.2"]),
        ([12.0, 20.0, 21.5, 90.3, 131.5], ["16.0", "55.9", "131.5"]),
        ([131.5, 20.0, 90.3, 12.1], ["75.8", "51.2"]),
        ([17.3], ["17.3"]),
        ([3661.04, 3661.24], ["3661.1"]),
    ],
    ids=["even", "gaps", "another order", "one", "an hour"],
)
def test_qwen3_vl_is_told_the_time_of_every_two_frames(answerer, times, said, seen):
    settings = answerer("qwen3_vl")
    model = settings.load("cpu")
    model.answer(asking.asked(settings, frames_at(times)))
    prompt = prompt_of(model, seen[0])
    assert re.findall(r"<([0-9.]+) seconds>", prompt) == said
    steps, rows, columns = seen[0]["video_grid_thw"][0].tolist()
    video = "".join(
        f"<{time} seconds><|vision_start|>{'<|video_pad|>' * (rows * columns // 4)}<|vision_end|>" for time in said
    )
    assert steps == len(said)
    assert f"user\n{video}{QUESTION}" in prompt


def test_the_installed_transformers_puts_another_pair_of_tokens_around_the_video_of_qwen3_vl(answerer, seen):
    settings = answerer("qwen3_vl", wrapper="transformers")
    model = settings.load("cpu")
    model.answer(asking.asked(settings, asking.frames_of([10, 20, 30])))
    prompt = prompt_of(model, seen[0])
    outside = prompt.startswith("<|vision_start|><1.5", prompt.index("user\n") + 5)
    assert outside, (
        "transformers no longer keeps the tokens of the chat template around a video, as 5.10 to 5.23 do: say so in the"
        " description of `wrapper` in framesift/answering/answerers/qwen3_vl.py; `released` must still be what it was"
    )
    assert prompt.count("<|vision_start|>") == prompt.count("<|vision_end|>") == 3


@pytest.mark.parametrize(
    ("kind", "fields"), [("qwen2_5_vl", {"mrope": "transformers"}), ("qwen3_vl", {"wrapper": "transformers"})]
)
@pytest.mark.parametrize("indices", [[3, 50, 51], [3, 50, 51, 200]], ids=len)
def test_pixels_and_settings_are_those_of_the_class_of_lmms_eval(folders, answerer, kind, fields, indices, seen):
    import importlib

    name = {"qwen2_5_vl": "Qwen2_5_VL", "qwen3_vl": "Qwen3_VL"}[kind]
    theirs = getattr(importlib.import_module(f"lmms_eval.models.chat.{kind}"), name)(
        pretrained=str(folders[kind]), device="cpu", device_map="cpu", batch_size=1
    )
    settings = build("answerers", {"kind": kind, "model": str(folders[kind]), **fields})
    asked = asking.asked(settings, asking.frames_of(indices, size=(1600, 1200)))
    theirs.task_dict = asked.documents
    theirs.generate_until([asked.request])
    settings.load("cpu").answer(asking.asked(settings, asking.frames_of(indices, size=(1600, 1200))))
    seen[1].pop("stopping_criteria", None)  # the clock of the meter, which stops nothing
    for stock, ours in zip(*map(dict.items, seen), strict=True):
        assert stock[0] == ours[0]
        if stock[0] in ("pixel_values_videos", "video_grid_thw"):
            assert torch.equal(stock[1], ours[1])
        elif not isinstance(stock[1], torch.Tensor):
            assert stock[1] == ours[1]


def test_qwen2_vl_is_given_what_lmms_eval_gives_it_of_a_video(folders, tmp_path, seen):
    from lmms_eval.models.simple.qwen2_vl import Qwen2_VL

    # a video without loss, two frames a second, of which lmms-eval takes all: 1,200 x 900 pixels, to be reduced
    indices = [*range(6)]
    path = tmp_path / "video.mp4"
    barcode.write_video(path, 6, 2, (1200, 900), codec="libx264rgb", options={"qp": "0"}, pixels="rgb24")
    settings = build("answerers", {"kind": "qwen2_vl", "model": str(folders["qwen2_vl"]), "dtype": "float32"})
    asked = asking.asked(settings, asking.frames_of(indices, size=(1200, 900)))
    theirs = Qwen2_VL(pretrained=str(folders["qwen2_vl"]), device="cpu", device_map="cpu", max_num_frames=6)
    theirs.task_dict = asked.documents
    simple = asking.asked(SimpleNamespace(chat=False), [str(path)]).request
    simple.arguments = (*simple.arguments[:2], lambda _: [str(path)], *simple.arguments[3:])
    [text] = theirs.generate_until([simple])
    reply = settings.load("cpu").answer(asked)
    stock, ours = seen
    assert barcode.read_indices(tiny_qwen.pictures(stock)) == indices
    assert torch.equal(stock["input_ids"], ours["input_ids"])
    assert torch.equal(stock["video_grid_thw"], ours["video_grid_thw"])
    difference = (stock["pixel_values_videos"] - ours["pixel_values_videos"]).abs()
    assert float(difference.max()) < 1.01 / 255 / 0.26  # one grey level, where the two resizers round differently
    assert float(difference.mean()) < 0.02 / 255 / 0.26
    assert text
    assert reply.text


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_have_the_size_that_is_asked_for(answerer, kind, seen):
    side = 32 if kind == "qwen3_vl" else 28
    for limits, size in (((20 * side**2, 40 * side**2), (160, 120)), ((4 * side**2, 9 * side**2), (1600, 1200))):
        settings = answerer(kind, min_pixels=limits[0], max_pixels=limits[1])
        settings.load("cpu").answer(asking.asked(settings, asking.frames_of([1, 2, 3, 4], size=size)))
        _, rows, columns = seen[-1]["video_grid_thw"][0].tolist()
        assert limits[0] <= rows * columns * side**2 / 4 <= limits[1]


def test_the_pictures_of_qwen2_vl_share_the_tokens_of_a_video(answerer, seen):
    settings = answerer("qwen2_vl")
    model = settings.load("cpu")
    model.processor.video_processor.max_video_tokens = 60  # the real number needs hundreds of frames
    tokens = []
    for number in (2, 4, 6):
        model.answer(asking.asked(settings, asking.frames_of([*range(number)])))
        tokens.append(int(seen[-1]["video_grid_thw"].prod()) // 4)
    assert tokens[0] == 24  # a picture of 160 x 120 pixels is 6 x 4 tokens
    assert tokens[2] <= 54 < 3 * 24  # 0.9 of the tokens


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("indices", [[1, 2, 3, 4], [1, 2, 3, 4, 5], [1, 2]], ids=len)
@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_lost_frame_is_noticed(answerer, kind, indices, lost, monkeypatch):
    settings = answerer(kind)
    model = settings.load("cpu")
    processor = model.processor.video_processor
    prepare = processor._prepare_input_videos

    def losing(videos, **options):
        [video] = prepare(videos, **options)
        kept = [index for index in range(len(video)) if index != lost % len(video)]
        return [video[kept]]

    monkeypatch.setattr(processor, "_prepare_input_videos", losing)
    repeated = lost == -1 and len(indices) % 2 and kind != "qwen2_vl"
    if repeated:  # what is lost is the second showing of the last frame, which the processor makes up for
        model.answer(asking.asked(settings, asking.frames_of(indices)))
    else:
        with pytest.raises(RuntimeError, match=r"is lost|pictures"):
            model.answer(asking.asked(settings, asking.frames_of(indices)))


@pytest.mark.parametrize("number", [1, 3])
def test_a_picture_that_is_none_of_the_frames_is_noticed(answerer, number, monkeypatch):
    settings = answerer("qwen2_vl")
    model = settings.load("cpu")
    processor = model.processor.video_processor
    prepare = processor._prepare_input_videos

    def adding_black(videos, **options):
        [video] = prepare(videos, **options)
        return [torch.cat([video, torch.zeros_like(video[:1])])]

    monkeypatch.setattr(processor, "_prepare_input_videos", adding_black)
    with pytest.raises(RuntimeError, match=f"{number} frames became a tensor of {number + 1} pictures"):
        model.answer(asking.asked(settings, asking.frames_of([*range(5, 5 + number)])))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [3, 4])
def test_frames_that_hardly_differ_are_none_lost(answerer, kind, number):
    settings = answerer(kind)
    model = settings.load("cpu")
    frames = asking.frames_of([*range(number)])
    still = np.array(asking.frames_of([9])[0])
    still[0, 0] ^= 3
    frames[:] = [Image.fromarray(still), *asking.frames_of([9] * (number - 1))]
    assert model.answer(asking.asked(settings, frames)).given.frames == [*range(number)]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_warned_about(answerer, kind):
    from loguru import logger

    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    loggers = [logging.getLogger(name) for name in (None, "transformers", "qwen_vl_utils")]
    settings = build("answerers", {"kind": kind, "model": answerer(kind).model})
    model = settings.load("cpu")
    for each in loggers:
        each.addHandler(handler)
    sink = logger.add(said.append, level="WARNING")
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for indices in ([1, 2, 3], [4, 5]):
                model.answer(asking.asked(settings, asking.frames_of(indices)))
    finally:
        logger.remove(sink)
        for each in loggers:
            each.removeHandler(handler)
    assert said == []
    assert [str(warning.message) for warning in warned] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dtype", "attention"), [("bfloat16", "sdpa"), ("float32", "eager"), ("float16", "sdpa"), ("bfloat16", "eager")]
)
def test_the_network_has_the_precision_and_attention_that_are_asked_for(answerer, folders, kind, dtype, attention):
    from safetensors.torch import load_file

    network = network_of(answerer(kind, dtype=dtype, attn_implementation=attention).load("cpu"))
    weights = network.lm_head.weight
    assert {str(each.dtype) for each in network.parameters()} == {f"torch.{dtype}"}
    # rounded once, not by way of bfloat16
    assert torch.equal(weights, load_file(folders[kind] / "model.safetensors")["lm_head.weight"].to(weights.dtype))
    assert network.config._attn_implementation == attention
    assert network.model.language_model.config._attn_implementation == attention
    assert not network.training


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl"])
def test_text_is_placed_as_the_paper_says_unless_told_otherwise(answerer, kind):
    indices = random.Random(0).sample(range(300), 64)
    after = {}
    for mrope in ("paper", "transformers"):
        settings = answerer(kind, mrope=mrope)
        model = settings.load("cpu")
        seen = []
        rotary = network_of(model).model.language_model.rotary_emb
        rotary.register_forward_pre_hook(lambda _, arguments, seen=seen: seen.append(arguments[1]))
        model.answer(asking.asked(settings, asking.frames_of(sorted(indices))))
        prompt, *answer = seen
        after[mrope] = [int(prompt[0, 0, -1]), *(int(ids[0, 0, 0]) for ids in answer)]
    assert answerer(kind).mrope == "paper"
    before = len(".system\nYou are a helpful assistant..\n.user\n.")  # a letter a token, a dot for each special one
    # 32 grid steps, one id a step, or two ids a second
    steps = 31 if kind == "qwen2_vl" else int(31 * 2 * 2 * (max(indices) - min(indices)) / 10 / 63)
    behind = len(f".{QUESTION}.\n.assistant\n")
    assert after["paper"][0] == before + steps + behind
    assert after["transformers"][0] == before + 5 + behind  # six columns
    for ids in after.values():
        assert ids == [*range(ids[0], ids[0] + len(ids))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_another_type_is_an_input_error(folders, kind):
    other = folders[KINDS[KINDS.index(kind) - 1]]
    with pytest.raises(InputError, match="is of type"):
        build("answerers", {"kind": kind, "model": str(other)}).load("cpu")


def test_a_path_that_lmms_eval_takes_for_that_of_a_mixture_of_experts_is_an_input_error(tmp_path):
    tiny_qwen.write_checkpoint(tmp_path / "tiny-A3B", "qwen3_vl")
    with pytest.raises(InputError, match="is of type 'qwen3_vl', not 'qwen3_vl_moe'"):
        build("answerers", {"kind": "qwen3_vl", "model": str(tmp_path / "tiny-A3B")}).load("cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_limits_of_pixels_are_in_order(kind):
    with pytest.raises(InputError, match="exceeds max_pixels"):
        build("answerers", {"kind": kind, "model": "./model", "min_pixels": 3000, "max_pixels": 2999})
