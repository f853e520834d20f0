"""Protocols and negative controls: which frames are shown."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framesift.answering.protocols import Presentation, differ
from framesift.core.errors import InputError

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
frame_lists = st.lists(st.integers(0, 999), min_size=1, max_size=40, unique=True).map(sorted)


def released(budget, uniform=None):
    return Presentation("released", budget=budget, uniform=uniform)


@given(frame_lists)
def test_fair_shows_the_selection_as_it_is(frames):
    assert Presentation().frames(frames, 1000, 25.0, "q") == frames


@given(frame_lists, st.integers(1, 40))
def test_released_throws_a_short_selection_away(frames, budget):
    shown = released(budget).frames(frames, 1000, 25.0, "q")
    assert len(shown) == budget
    if len(frames) < budget:
        assert shown == np.linspace(0, 999, budget).astype(int).tolist()
    else:
        assert shown == frames[:budget]
    assert differ(frames, 1000, 25.0, budget, None) == (len(frames) != budget)


def test_released_keeps_the_first_of_a_list_before_it_sorts():
    assert released(2).frames([30, 10, 20], 100, 10.0, "q") == [10, 30]


@pytest.mark.parametrize(
    ("n_frames", "fps", "shown"),
    [
        (90, 30.0, [0, 30, 60]),  # three seconds: three frames
        (100, 29.97, [0, 30, 60, 90]),
        (150, 30.0, [0, 49, 99, 149]),  # five seconds are more than the budget
    ],
)
def test_the_uniform_arm_of_llava_video_sees_one_frame_a_second(n_frames, fps, shown):
    assert released(4, "one_per_second").frames([0, 1], n_frames, fps, "q") == shown


def test_other_uniform_arms_spread_their_frames_and_repeat_them_in_tiny_videos():
    assert released(4, "linspace").frames([0, 50], 100, 30.0, "q") == [0, 33, 66, 99]
    assert released(4, "linspace").frames([0], 2, 30.0, "q") == [0, 0, 0, 1]


@given(frame_lists, st.text(max_size=8))
def test_controls(frames, question_id):
    assert Presentation(control="zeroed").frames(frames, 1000, 25.0, question_id) == [0] * len(frames)
    assert Presentation(control="blank").frames(frames, 1000, 25.0, question_id) == frames
    shuffled = Presentation(control="shuffled")
    order = shuffled.frames(frames, 1000, 25.0, question_id)
    assert sorted(order) == frames
    assert (order != frames) or len(frames) == 1
    assert order == shuffled.frames(frames, 1000, 25.0, question_id)
    times = [frame / 25 for frame in order]
    assert shuffled.times(times) == sorted(times)
    assert Presentation(control="blank").times(times) == times


def test_the_seed_and_the_question_decide_the_order():
    frames = list(range(20))
    orders = {
        tuple(Presentation(control="shuffled", seed=seed).frames(frames, 20, 1.0, name))
        for seed in (0, 1)
        for name in "ab"
    }
    assert len(orders) == 4


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"protocol": "unfair"}, r"protocol: is not known(.|\n)*one of fair, released"),
        ({"control": "noise"}, r"control: is not known(.|\n)*zeroed"),
        ({"protocol": "released"}, "needs the budget"),
    ],
)
def test_specs_that_make_no_sense(spec, message):
    with pytest.raises(InputError, match=message):
        Presentation.of({"answerer": {}, **spec})


@needs_data
@pytest.mark.parametrize(
    ("file", "budget", "short"),
    [
        ("longvideobench/aks_blip_64", 64, 361),
        ("longvideobench/aks_blip_32", 32, 259),
        ("videomme/aks_blip_64", 64, 258),
        ("videomme/aks_blip_32", 32, 51),
    ],
)
def test_how_many_released_selections_are_thrown_away(file, budget, short):
    """A quarter of LongVideoBench: its arms saw different numbers of frames."""
    selections = json.loads(gzip.decompress((DATA / f"{file}.json.gz").read_bytes()))
    shown = [released(budget).frames([int(frame) for frame in one], 10**6, 30.0, "q") for one in selections]
    replaced = [new != sorted(int(frame) for frame in one) for one, new in zip(selections, shown, strict=True)]
    assert sum(replaced) == short
    assert {len(frames) for frames in shown} == {budget}
