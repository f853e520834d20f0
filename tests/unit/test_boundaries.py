"""Numbers at which a decision turns. Each of these was once changed without any other test noticing."""

import numpy as np
import pytest

from framesift.core.components import build
from framesift.judging.option_parser import parse_letter
from framesift.scoring.cache import VideoCache
from framesift.selection.selectors import Candidates, select, spread
from framesift.selection.selectors._scaling import within_unit
from framesift.video.grid import CandidateGrid
from framesift.video.index import VideoIndex

# Parsing


def test_an_options_text_within_a_response_counts_from_three_words_on():
    options = ["a car", "a blue car", "a bus"]
    assert parse_letter("Well, I see a car there.", "ABC", options) is None
    assert parse_letter("Well, I see a blue car there.", "ABC", options) == "B"


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("It could be (B) wrong as it seems.", None),
        ("Well, (B) is wrong.", None),
        ("Well, (B) is clearly wrong.", None),
        ("Well, (B) is by all means wrong.", "B"),
    ],
)
def test_up_to_two_words_stand_between_a_mention_and_its_denial(response, letter):
    assert parse_letter(response, "ABC", ["red", "green", "blue"]) == letter


def test_the_words_a_and_i_before_an_options_text_are_words():
    options = ["see a dog", "walks", "dog", "d", "e", "f", "g", "h", "man"]
    assert parse_letter("I see a dog", "ABCDEFGHI", options) == "A"
    assert parse_letter("A walks", "ABCDEFGHI", options) == "B"
    assert parse_letter("C walks", "ABCDEFGHI", options) is None


# Selection


def test_the_radius_of_suppression_is_rounded_down():
    scores = np.zeros(30)
    scores[[10, 12, 20, 28]] = [9, 8, 7, 6]  # 30 / (4 * 4) is 1.875, so that 12 is outside of the radius of 10
    scores[0] = 5
    assert select("nms", scores=scores, budget=4).tolist() == [10, 12, 20, 28]


@pytest.mark.parametrize(("n", "middle"), [(2, 0), (3, 1), (12, 5), (13, 6)])
def test_one_frame_of_all_is_the_earlier_middle(n, middle):
    assert spread(n, 1).tolist() == [middle]
    assert select("uniform", n=n, budget=1).tolist() == [middle]


def test_the_candidates_of_a_second_are_those_between_its_frames():
    assert Candidates(np.arange(5) / 2).per_second == 2
    assert Candidates(np.array([3.0])).per_second == 1


@pytest.mark.parametrize(
    ("scores", "result", "said"),
    [
        ([0, 0.25, 1], [0, 0.25, 1], False),
        ([-0.5, 0, 0.5], [0, 0.5, 1], True),
        ([0, 1, 2], [0, 0.5, 1], True),
        ([0.25, 0.5, 0.75], [0.25, 0.5, 0.75], False),
    ],
)
def test_scores_are_scaled_only_where_they_leave_the_unit(scores, result, said):
    values, note = within_unit(np.array(scores, dtype=float))
    assert values.tolist() == result
    assert (note is not None) == said


# Candidate frames


def test_a_stamp_that_is_rounded_up_belongs_to_its_second():
    """A Matroska file has milliseconds: frame 20 of 30 a second is at 667, and its second is 666.67."""
    stamps = [round(frame * 1000 / 30) for frame in range(60)]
    index = VideoIndex(stamps, [0], 1 / 1000, 30.0, 640, 360, "h264", True, 2.0)
    assert CandidateGrid(rule="timestamp", per_second=1.5).frames(index) == [0, 20, 40]


# The key of the cache of scores


def test_whatever_decides_a_score_is_in_the_key_of_its_cache(tmp_path):
    def folder(decoder="pyav", kind="clip", **grid):
        model = {"kind": kind, "model": "resources/demo/clip", "dtype": "float32"}
        return VideoCache(build("scorers", model), CandidateGrid(**grid).spec(), decoder, tmp_path).folder

    made = [
        folder(),
        folder(rule="timestamp"),
        folder(rule="timestamp", per_second=2),
        folder("decord"),
        folder("nvdec"),
    ]
    assert len(set(made)) == len(made)
    assert folder() == folder(rule="index", per_second=2)
