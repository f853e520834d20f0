"""LLaVA-OneVision in its transformers form sees the selected frames as one video."""

import pytest

import asking
import barcode
import tiny_llava
from framesift.answering.answerers.llava_onevision_hf import LlavaOnevisionHf


@pytest.fixture(scope="module")
def answerer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    tiny_llava.write_checkpoint(folder)
    return LlavaOnevisionHf(model=str(folder), dtype="float32")


@pytest.mark.parametrize("indices", [[7], [3, 50, 51, 52, 299]], ids=len)
def test_the_network_gets_the_frames_as_one_video(answerer, indices, monkeypatch):
    seen = asking.spy(monkeypatch)
    model = answerer.load("cpu")
    reply = model.answer(asking.asked(answerer, asking.frames_of(indices)))
    [inputs] = seen
    assert "pixel_values" not in inputs
    assert inputs["pixel_values_videos"].shape[:2] == (1, len(indices))
    assert barcode.read_indices(inputs["pixel_values_videos"][0]) == indices
    assert reply.given.frames == indices
    assert reply.given.times == [index / 10 for index in indices]
    again = model.answer(asking.asked(answerer, asking.frames_of(indices)))
    assert again == reply
    other = model.answer(asking.asked(answerer, asking.frames_of([*indices[:-1], 298])))
    assert other.given.pixels != reply.given.pixels
