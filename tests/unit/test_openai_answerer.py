"""Models behind a server see the selected frames, in order and with their times."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import ValidationError

import asking
import chat_server
from chat_server import ChatServer, completion, in_turn, refusal
from framesift.answering.answerers.openai_api import OpenaiApi
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.remote import chat_api

INDICES = [3, 50, 51, 52, 299]


@pytest.fixture(autouse=True)
def direct_and_quick(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(chat_api, "FIRST_WAIT", 0.01)


def answer(server, frames, **fields):
    """Ask one question; the reply, and the request that the server got last."""
    answerer = OpenaiApi(model="some-model", base_url=server.url, **fields)
    reply = answerer.load("cpu").answer(asking.asked(answerer, frames))
    return reply, server.heard[-1]


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
@pytest.mark.parametrize("indices", [[7], INDICES], ids=len)
@pytest.mark.parametrize("frames_as", ["images", "video"])
def test_the_server_gets_the_frames_in_order(frames_as, indices, image_format):
    with ChatServer(lambda heard: completion("B")) as server:
        reply, heard = answer(server, asking.frames_of(indices), frames_as=frames_as, image_format=image_format)
    assert chat_server.indices(heard) == indices
    kinds = ["image_url"] * len(indices) if frames_as == "images" else ["video_url"]
    assert [part["type"] for part in heard.parts] == [*kinds, "text"]
    assert heard.parts[-1]["text"] == "What is seen?\nA. this\nB. that"
    assert heard.body["messages"][0]["role"] == "user"
    assert heard.body["max_tokens"] == 4
    assert reply.text == "B"
    assert reply.given.frames == indices
    assert reply.given.times == [index / 10 for index in indices]
    assert reply.usage["prompt_tokens"] == 100


def test_png_pictures_are_the_very_pixels():
    frames = asking.frames_of(INDICES)
    with ChatServer(lambda heard: completion("B")) as server:
        _, heard = answer(server, frames, image_format="png")
    for sent, image in zip(chat_server.pictures(heard), frames, strict=True):
        assert np.array_equal(sent, np.asarray(image))


@pytest.mark.parametrize("frames_as", ["images", "video"])
def test_the_digest_is_of_the_pictures_as_sent(frames_as):
    with ChatServer(lambda heard: completion("B")) as server:
        same, again, other, coarse = (
            answer(server, asking.frames_of(indices), frames_as=frames_as, jpeg_quality=quality)[0].given.pixels
            for indices, quality in ((INDICES, 95), (INDICES, 95), (INDICES[::-1], 95), (INDICES, 20))
        )
    assert same == again
    assert len({same, other, coarse}) == 3
    assert len(same) == 16


def test_large_pictures_are_scaled_down_and_small_ones_left():
    with ChatServer(lambda heard: completion("B")) as server:
        _, smaller = answer(server, asking.frames_of(INDICES), max_side=80)
        _, left = answer(server, asking.frames_of(INDICES), max_side=1000)
    assert {picture.shape for picture in chat_server.pictures(smaller)} == {(60, 80, 3)}
    assert {picture.shape for picture in chat_server.pictures(left)} == {(120, 160, 3)}
    assert chat_server.indices(smaller) == INDICES


def test_images_may_come_with_their_times_and_a_detail():
    with ChatServer(lambda heard: completion("B")) as server:
        reply, heard = answer(server, asking.frames_of([125, 299]), timestamps=True, detail="low")
    assert [part.get("text") for part in heard.parts[:4]] == ["Frame at 12.5 s:", None, "Frame at 29.9 s:", None]
    assert [part["image_url"]["detail"] for part in heard.parts if part["type"] == "image_url"] == ["low", "low"]
    assert reply.given.frames == [125, 299]


@pytest.mark.parametrize("field", [{"timestamps": True}, {"detail": "low"}])
def test_a_video_has_no_fields_of_images(field):
    with pytest.raises(ValidationError, match="frames_as: images"):
        OpenaiApi(model="m", frames_as="video", **field)


def test_a_video_comes_with_the_times_of_its_frames():
    with ChatServer(lambda heard: completion("B")) as server:
        _, heard = answer(server, asking.frames_of(INDICES), frames_as="video")
    assert heard.parts[0]["video_url"]["url"].startswith("data:video/jpeg;base64,")
    assert heard.body["media_io_kwargs"] == {
        "video": {
            "num_frames": 5,
            "fps": 10.0,
            "frames_indices": INDICES,
            "total_num_frames": 300,
            "duration": 30.0,
            "do_sample_frames": False,
        }
    }


def test_shuffled_frames_keep_the_times_of_their_places():
    frames = asking.frames_of([52, 3, 299])
    frames.times = [0.3, 5.2, 29.9]
    with ChatServer(lambda heard: completion("B")) as server:
        reply, heard = answer(server, frames, frames_as="video")
    assert chat_server.indices(heard) == reply.given.frames == [52, 3, 299]
    assert heard.body["media_io_kwargs"]["video"]["frames_indices"] == [3, 52, 299]
    assert reply.given.times == [0.3, 5.2, 29.9]


def test_more_frames_than_the_video_has_are_no_contradiction():
    frames = asking.frames_of([0, 1, 1, 2], n_frames=3)
    with ChatServer(lambda heard: completion("B")) as server:
        _, heard = answer(server, frames, frames_as="video")
    assert heard.body["media_io_kwargs"]["video"]["total_num_frames"] == 4


def test_a_server_that_takes_fewer_frames_says_how_to_start_it():
    refused = refusal(400, "frames_indices length (64) must match number of frames sent (32)")
    with (
        ChatServer(in_turn(refused)) as server,
        pytest.raises(InputError, match=r"must match.*\n(.*\n)*.*hint: vLLM takes 32 frames .*--media-io-kwargs"),
    ):
        answer(server, asking.frames_of(INDICES), frames_as="video")


@pytest.mark.parametrize("spoil", [lambda frames: frames.pop(), lambda frames: frames.append(frames[0]), list.clear])
@pytest.mark.parametrize("frames_as", ["images", "video"])
@pytest.mark.parametrize("indices", [[7], INDICES], ids=len)
def test_nothing_is_sent_when_pictures_and_frames_differ_in_number(frames_as, indices, spoil):
    frames = asking.frames_of(indices)
    spoil(frames)
    with ChatServer(lambda heard: completion("B")) as server, pytest.raises((RuntimeError, ValueError)):
        answer(server, frames, frames_as=frames_as)
    assert not server.heard


def test_threads_share_a_model_and_each_gets_the_answer_to_its_question():
    together = threading.Barrier(3, timeout=10)

    def names(heard):
        together.wait()  # passes when three requests are here at once
        return completion(str(chat_server.indices(heard)))

    with ChatServer(names) as server:
        answerer = OpenaiApi(model="m", base_url=server.url, parallel=3, max_retries=0)
        model = answerer.load("cpu")
        questions = [[number, number + 100] for number in range(9)]
        with ThreadPoolExecutor(answerer.concurrency) as threads:
            replies = list(
                threads.map(lambda one: model.answer(asking.asked(answerer, asking.frames_of(one))), questions)
            )
    assert [reply.text for reply in replies] == [str(one) for one in questions]
    assert [reply.given.frames for reply in replies] == questions


def test_what_decides_no_answer_is_no_part_of_the_spec():
    spec = {"kind": "openai_api", "model": "m", "base_url": "http://one:8000/v1"}
    free = {"parallel": 8, "timeout": 5, "max_retries": 1, "api_key_env": "A_KEY", "price_in": 1, "label": "Ours"}
    assert build("answerers", spec | free).spec() == build("answerers", spec).spec()
    for changed in ({"base_url": "http://two:8000/v1"}, {"jpeg_quality": 90}, {"seed": 1}, {"timestamps": True}):
        assert build("answerers", spec | changed).spec() != build("answerers", spec).spec()


def test_the_spec_with_the_connection_makes_the_same_answerer():
    one = OpenaiApi(model="m", base_url="http://one:8000/v1", served="m@1", parallel=8, detail="high")
    assert build("answerers", one.spec() | one.connection()) == one
    assert one.concurrency == 8
    with pytest.raises(InputError, match="base_url"):
        build("answerers", one.spec())


def test_weights_are_a_name_and_where_it_is_served():
    assert OpenaiApi(model="m", base_url="http://one:8000/v1").weights() == "m at http://one:8000/v1"
    assert OpenaiApi(model="m", base_url="http://one:8000/v1", served="commit 1").weights() == "m at commit 1"


def test_loading_without_a_key_says_which_variable_to_set(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        OpenaiApi(model="gpt-4o").load("cpu")
