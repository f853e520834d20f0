"""Answerers that compress their video: what they are given, what they remember, and what is measured of it."""

import numpy as np
import pytest
from PIL import Image

import asking
import tiny_llava
import tiny_qwen
from framesift.core.components import build
from framesift.core.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = ("qwen2_vl", "qwen2_5_vl", "llava_onevision_hf")
INDICES = [3, 50, 51, 52, 120, 200, 210, 299]
QWEN = {"min_pixels": 3136, "max_pixels": 25088}
WHOLE = {"budget_tokens": None, "dpselect": "none", "chunk_frames": 4}
QUARTER = {"ratio": 0.25, "dpselect": "none", "chunk_frames": 4}


@pytest.fixture(scope="module", params=KINDS)
def answerer(request, tmp_path_factory):
    """A function that makes an answerer of one kind."""
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    if kind == "llava_onevision_hf":
        tiny_llava.write_checkpoint(folder)
    else:
        tiny_qwen.write_checkpoint(folder, kind)
    own = {} if kind == "llava_onevision_hf" else QWEN
    return lambda **fields: build(
        "answerers", {"kind": kind, "model": str(folder), "dtype": "float32", **own, **fields}
    )


def reply_of(settings, **options):
    return settings.load("cpu").answer(asking.asked(settings, asking.frames_of(INDICES), **options))


def test_without_loss_the_answer_is_that_of_the_plain_answerer(answerer):
    plain, chunked = reply_of(answerer(), tokens=8), reply_of(answerer(retake=WHOLE), tokens=8)
    assert chunked == plain
    assert chunked.given.frames == INDICES
    assert plain.cost["kept_tokens"] == plain.cost["prompt_tokens"] == chunked.cost["kept_tokens"]


def test_what_is_remembered_is_measured(answerer):
    plain, compressed = reply_of(answerer()), reply_of(answerer(retake=QUARTER))
    assert compressed.given == plain.given, "the network is given the same pixels"
    assert compressed.cost["prompt_tokens"] == plain.cost["prompt_tokens"]
    assert compressed.cost["kept_tokens"] < 0.9 * plain.cost["kept_tokens"]
    assert "kept_tokens_max" not in compressed.cost, "all layers keep the same number"
    for reply in (plain, compressed):
        assert reply.cost["first_token_seconds"] > 0
        assert 1 <= reply.cost["new_tokens"] <= 4
        assert "peak_memory_gb" not in reply.cost, "there is no GPU here"


def test_each_question_is_compressed_anew(answerer):
    settings = answerer(retake=QUARTER)
    model = settings.load("cpu")
    few = model.answer(asking.asked(settings, asking.frames_of(INDICES[:2])))
    many = model.answer(asking.asked(settings, asking.frames_of(INDICES)))
    again = model.answer(asking.asked(settings, asking.frames_of(INDICES[:2])))
    assert few == again
    assert few.cost["kept_tokens"] == again.cost["kept_tokens"] < many.cost["kept_tokens"]


def test_a_stretched_context_answers_otherwise(answerer):
    plain, stretched = answerer().load("cpu"), answerer(yarn=4).load("cpu")
    networks = [model.network if hasattr(model, "network") else model.model for model in (plain, stretched)]
    one, other = (network.model.language_model.rotary_emb for network in networks)
    assert one.attention_scaling == 1
    # YaRN's own formula: 0.1 ln(4) + 1
    assert other.attention_scaling == pytest.approx(0.1 * np.log(4) + 1)
    slower = other.inv_freq / one.inv_freq
    assert float(slower[0]) == pytest.approx(1), "fast turns tell neighbours apart and stay"
    assert 0.25 <= float(slower[-1]) < 0.5, "slow ones tell how far away, and are stretched"
    assert bool((slower.diff() <= 1e-6).all())


@pytest.mark.parametrize(("size", "expected"), [((160, 120), (64, 48)), ((30, 90), (21, 64)), ((64, 10), (64, 10))])
def test_pictures_are_reduced_to_their_longer_side(answerer, size, expected):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
    made = answerer(long_side=64).picture(picture)
    assert made.size == expected
    colours = {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3)}
    assert {tuple(colour) for colour in np.asarray(made).reshape(-1, 3)} <= colours, "nearest pixels: nothing is mixed"
    assert answerer().picture(picture) is picture


def test_an_attention_that_compression_does_not_know_is_refused(answerer):
    with pytest.raises(InputError, match="compression supports sdpa and flash_attention_2"):
        answerer(retake=QUARTER, attn_implementation="eager").load("cpu")
