"""Each item in a process of its own."""

import pytest

from framesift.core.errors import VideoError
from framesift.video.workers import map_isolated
from misbehaving import work


def test_results_come_in_the_order_of_the_items():
    words = [f"w{number}" for number in range(20)]
    assert list(map_isolated(work, words, 2, 60)) == [word.upper() for word in words]
    assert list(map_isolated(work, [], 2, 60)) == []


def test_what_crashes_or_hangs_costs_itself_alone():
    crashed, fine, hung, last = map_isolated(work, ["crash", "a", "hang", "b"], 2, 4)
    assert (fine, last) == ("A", "B")
    assert isinstance(crashed, VideoError)
    assert "the decoder crashed (exit status -11)" in str(crashed)
    assert "sent nothing for 4 seconds" in str(hung)


def test_a_mistake_in_the_program_is_not_taken_for_a_broken_video():
    with pytest.raises(ZeroDivisionError):
        list(map_isolated(work, ["a", "mistake"], 1, 60))
