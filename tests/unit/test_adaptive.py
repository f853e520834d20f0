"""Adaptive: what it finds in a score curve and in a question decides how it chooses."""

import numpy as np
import pytest

from framesift.core.components import build
from framesift.selection.selectors import Candidates, choose, spread
from framesift.selection.selectors.adaptive import WHOLE, runs

N = 400


def curve(*moments, noise=0.05, seed=0):
    """Noise with a plateau for each (first, last, height)."""
    scores = 0.2 + noise * np.random.default_rng(seed).random(N)
    for first, last, height in moments:
        scores[first : last + 1] += height + 0.01 * np.arange(last - first + 1) % 0.02
    return scores


def chosen(scores, budget=8, question="", **fields):
    selector = build("selectors", {"kind": "adaptive", **fields})
    return choose(selector, Candidates(np.arange(float(N)), scores, question=question), budget, None)


def test_each_moment_comes_before_any_second_time():
    choice = chosen(curve((50, 55, 0.9), (200, 203, 0.6), (333, 340, 0.7)), budget=3)
    assert [50 <= i <= 55 or 200 <= i <= 203 or 333 <= i <= 340 for i in choice.positions] == [True] * 3
    assert np.diff(choice.positions).min() > 50
    assert choice.note == "3 moments in 4% of the video"


def test_the_best_moments_come_first_where_there_are_too_many():
    scores = curve(*((20 * j, 20 * j + 2, 0.5 + 0.02 * j) for j in range(12)))
    assert {int(i) // 20 for i in chosen(scores, budget=4).positions} == {8, 9, 10, 11}


def test_a_single_moment_is_seen_again_and_again_before_anything_else():
    positions = chosen(curve((100, 106, 0.8)), budget=8).positions
    assert set(range(100, 107)) <= set(positions.tolist())


def test_what_fits_much_of_the_video_is_no_moment():
    choice = chosen(curve((0, 220, 0.6)))
    assert choice.positions.tolist() == spread(N, 8).tolist()
    assert choice.note == "55% of the video fits: uniform frames"
    assert chosen(curve((0, 220, 0.6)), broad=0.9).positions.tolist() != spread(N, 8).tolist()


@pytest.mark.parametrize(
    ("question", "whole"),
    [
        ("How often is the border yellow?", True),
        ("What is the video mainly about?", True),
        ("Which of these best summarizes the video?", True),
        ("How many times does the dog bark?", True),
        ("What digit is on the red star?", False),
        ("Where does the man remain at the end?", False),
        ("What color is the domain name on the sign?", False),
    ],
)
def test_questions_about_the_whole_video_are_known_by_their_words(question, whole):
    assert bool(WHOLE.search(question)) == whole
    choice = chosen(curve((100, 103, 0.9)), question=question)
    assert (choice.positions.tolist() == spread(N, 8).tolist()) == whole


def test_a_share_of_the_budget_can_be_spread():
    scores = curve((100, 120, 0.8))
    assert set(spread(N, 4).tolist()) <= set(chosen(scores, context=0.5).positions.tolist())


def test_a_scale_of_the_scores_changes_nothing():
    scores = curve((50, 55, 0.9), (200, 203, 0.6))
    assert chosen(100 * scores - 7).positions.tolist() == chosen(scores).positions.tolist()


def test_short_dips_do_not_end_a_moment():
    assert [run.tolist() for run in runs(np.array([1, 2, 5, 9, 10]))] == [[1, 2, 5], [9, 10]]
