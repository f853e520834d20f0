"""Statistics keep what they promise: coverage, false positives and power over simulations, and real runs."""

import gzip
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from framesift.answering.answer_file import Answer
from framesift.core.components import build
from framesift.data.labels import convert
from framesift.data.questions import Question
from framesift.judging.imported_runs import read_run
from framesift.judging.verdict_file import JudgedCell
from framesift.tables.cells import Cell, CellSpec, Outcome
from framesift.tables.power import design_effect, detectable_difference
from framesift.tables.statistics import (
    accuracy_interval,
    changed_videos,
    clustered_accuracy_interval,
    clustered_p_value,
    difference_interval,
    difference_p_value,
    holm,
)
from framesift.tables.verdicts import BETTER, NO_EVIDENCE, WORSE, add_verdicts, doubt

DATA = Path(__file__).parents[3] / "shared" / "data" / "videomme"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")

SIMULATIONS = 1000


def names(n_videos, per_video):
    return np.repeat([f"v{video}" for video in range(n_videos)], per_video)


def clustered(rng, values, chances, n_videos, per_video, shared):
    """Draws of `values` in which a video's questions take a common value with the chance `shared`; shape (n,)."""
    common = rng.choice(values, p=chances, size=(n_videos, 1))
    own = rng.choice(values, p=chances, size=(n_videos, per_video))
    return np.where(rng.random((n_videos, per_video)) < shared, common, own).ravel()


# Intervals


@pytest.mark.parametrize(
    ("n_videos", "sizes", "chances", "given"),
    [
        (10, [8], [0.1, 0.6, 0.3], 0.6),
        (30, [8], [0.02, 0.93, 0.05], 0.8),  # few answers change
        (30, [1, 1, 3, 5, 9], [0.1, 0.6, 0.3], 0.9),  # few questions for most videos, many for some
        (10, [3], [0.02, 0.93, 0.05], 0.0),
    ],
)
def test_an_interval_of_few_videos_or_few_changes_holds_the_truth_or_is_not_given(n_videos, sizes, chances, given):
    rng, truth, found = np.random.default_rng(7), chances[2] - chances[0], []
    for _ in range(2 * SIMULATIONS):
        videos = np.repeat([f"v{k}" for k in range(n_videos)], np.resize(sizes, n_videos))
        common = rng.choice([-1, 0, 1], p=chances, size=n_videos)[np.unique(videos, return_inverse=True)[1]]
        own = rng.choice([-1, 0, 1], p=chances, size=len(videos))
        found.append(difference_interval(videos, np.where(rng.random(len(videos)) < 0.2, common, own)))
    held = [interval.low <= truth <= interval.high for interval in found if interval]
    assert len(held) / len(found) >= given if given else not held
    assert not held or 0.93 <= np.mean(held) <= 0.97


def test_the_interval_is_that_of_student_where_videos_are_equal_and_a_large_video_counts_for_little():
    changes = np.array([1, 0, 0, -1] * 5 + [1] * 4)
    from scipy.stats import t

    low, high = difference_interval(names(24, 1), changes)
    assert (low, high) == pytest.approx(t.interval(0.95, 23, changes.mean(), changes.std(ddof=1) / math.sqrt(24)))
    assert changed_videos(["a"] * 6 + ["b", "c"], [1] * 8) == pytest.approx(64 / 38)
    assert difference_interval([*["a"] * 40, *(f"v{k}" for k in range(20))], [1] + [0] * 39 + [1, -1] * 10) is None


@pytest.mark.parametrize(("n_videos", "per_video"), [(20, 6), (100, 3)])
def test_of_the_intervals_of_a_difference_95_percent_hold_the_truth(n_videos, per_video):
    rng, videos = np.random.default_rng(n_videos), names(n_videos, per_video)
    given, held, naive = 0, 0, 0
    for _ in range(SIMULATIONS):
        changes = clustered(rng, [-1, 0, 1], [0.1, 0.6, 0.3], n_videos, per_video, shared=0.7)
        interval = difference_interval(videos, changes)
        given += interval is not None
        held += interval is not None and interval.low <= 0.2 <= interval.high
        half = 1.96 * changes.std() / math.sqrt(len(changes))
        naive += abs(changes.mean() - 0.2) <= half
    assert 0.93 <= held / given <= 0.97
    assert given > 0.7 * SIMULATIONS
    assert naive / SIMULATIONS < 0.91  # what one gets from questions taken as independent


def test_of_the_intervals_of_an_accuracy_95_percent_hold_the_truth():
    rng, videos = np.random.default_rng(2), names(60, 3)
    held, wilson = 0, 0
    for _ in range(SIMULATIONS):
        correct = clustered(rng, [False, True], [0.4, 0.6], 60, 3, shared=0.7)
        low, high = clustered_accuracy_interval(videos, correct, seed=1, resamples=1000)
        held += low <= 0.6 <= high
        low, high = accuracy_interval(int(correct.sum()), len(correct))
        wilson += low <= 0.6 <= high
    assert 0.93 <= held / SIMULATIONS <= 0.97
    assert wilson / SIMULATIONS < 0.91


def test_an_accuracy_of_0_or_100_percent_or_of_one_video_has_wilsons_interval():
    for videos, correct in (("abb", [True] * 3), ("abb", [False] * 3), ("aaa", [True, False, True])):
        found = clustered_accuracy_interval(list(videos), correct, seed=0)
        assert found == pytest.approx(accuracy_interval(sum(correct), 3))
    assert clustered_accuracy_interval([], [], seed=0) is None


# Tests of a difference


@given(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from([-1, 0, 1])), min_size=1, max_size=20), st.randoms()
)
def test_flipping_videos_is_counting_all_signs(rows, shuffler):
    videos, changes = zip(*rows, strict=True)
    totals = [sum(change for video, change in rows if video == name) for name in sorted(set(videos))]
    sums = [
        sum(map(math.prod, zip(signs, totals, strict=True))) for signs in itertools.product([-1, 1], repeat=len(totals))
    ]
    expected = sum(abs(one) >= abs(sum(totals)) for one in sums) / len(sums)
    assert clustered_p_value(videos, changes) == pytest.approx(expected)
    shuffler.shuffle(rows)
    assert clustered_p_value(*zip(*rows, strict=True)) == clustered_p_value(videos, changes)


@given(st.integers(0, 40), st.integers(0, 40))
def test_flipping_videos_of_one_question_is_mcnemar(gained, lost):
    changes = [1] * gained + [-1] * lost + [0] * 5
    assert clustered_p_value(range(len(changes)), changes) == pytest.approx(difference_p_value(gained, lost))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 x 0.01; 2 x 0.03; 1 x 0.04, but not below
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


# Verdicts


def cell(method, *, control=None, run=False):
    spec = CellSpec(id=method, answerer="vlm", method=method, budget=8, answers=("x",), showing={"control": control})
    return Cell(spec, None if run else {}, JudgedCell(questions={}), {}, {})


def row(videos, changes, **others):
    """What `measure` says of a row."""
    low, high = difference_interval(videos, changes) or (None, None)
    numbers = {
        "difference": float(np.mean(changes)),
        "difference_low": low,
        "difference_high": high,
        "p_value": difference_p_value(int(np.sum(changes == 1)), int(np.sum(changes == -1))),
        "p_clustered": clustered_p_value(videos, changes),
        "n_paired": len(changes),
        "n_unpaired": 0,
        "videos": len(set(videos)),
    }
    return {"answerer": "vlm", "budget": 8, "flag": None} | numbers | others


BASELINE_ROW = {"answerer": "vlm", "budget": 8, "flag": None, "n_paired": None}


def verdicts(rows, cells, baseline_flag=None):
    baseline = cell("uniform")
    rows = [BASELINE_ROW | {"flag": baseline_flag}, *rows]
    add_verdicts(rows, [baseline, *cells], {one.spec.identity: baseline for one in cells})
    assert rows[0]["verdict"] is None
    return rows[1:]


def test_of_five_useless_methods_at_most_5_percent_of_tables_call_any_better_or_worse(
    monkeypatch,
):
    """All five are compared with the same baseline, and a video's questions mostly fall together."""
    rng, videos, cells = np.random.default_rng(3), names(40, 3), [cell(f"m{k}") for k in range(5)]
    monkeypatch.setattr("gc.collect", lambda: 0)  # multipletests calls it: 50 ms each time
    wrong, naive = 0, 0
    for _ in range(SIMULATIONS):
        hard = rng.beta(1, 1, size=(1, 40, 1))  # of each video, for all rows
        common, own = rng.random((6, 40, 1)) < hard, rng.random((6, 40, 3)) < hard
        right = np.where(rng.random((6, 40, 3)) < 0.7, common, own).reshape(6, -1).astype(int)
        made = verdicts([row(videos, method - right[0]) for method in right[1:]], cells)
        wrong += any(one["verdict"] != NO_EVIDENCE for one in made)
        naive += any(one["p_value"] < 0.05 for one in made)
    assert wrong / SIMULATIONS <= 0.05
    assert naive / SIMULATIONS > 0.3  # what one gets from McNemar's test, not corrected


def test_a_useful_method_is_found_among_useless_ones():
    rng, videos, cells = np.random.default_rng(4), names(200, 3), [cell(f"m{k}") for k in range(3)]
    chances = [[0.1, 0.6, 0.3], [0.3, 0.6, 0.1], [0.2, 0.6, 0.2]]
    made = [row(videos, clustered(rng, [-1, 0, 1], one, 200, 3, shared=0.5)) for one in chances]
    assert [one["verdict"] for one in verdicts(made, cells)] == [BETTER, WORSE, NO_EVIDENCE]


def test_methods_controls_and_runs_are_corrected_among_their_own():
    changes = np.array([1] * 12 + [-1] * 2 + [0] * 6)
    videos = names(20, 1)
    alone = row(videos, changes)["p_clustered"]
    cells = [cell("a"), cell("b"), cell("a", control="blank"), cell("theirs", run=True)]
    made = verdicts([row(videos, changes) for _ in cells], cells)
    assert [one["p_holm"] for one in made] == pytest.approx([2 * alone, 2 * alone, alone, alone])


def test_corrected_is_the_larger_of_the_two_p_values():
    """Each video wins three questions and loses two: sure, if the videos are what was drawn, but not the questions."""
    [made] = verdicts([row(names(12, 8), np.tile([1, 1, 1, 0, 0, 0, -1, -1], 12))], [cell("a")])
    assert made["p_clustered"] == pytest.approx(2 / 2**12)
    assert made["p_value"] > 0.1
    assert made["p_holm"] == made["p_value"]
    assert (made["verdict"], made["reason"]) == (NO_EVIDENCE, "p_holm is not below 0.05")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"n_paired": 0}, "no question that both answered"),
        ({"flag": "answers too alike"}, "flagged: answers too alike"),
        ({"difference_low": None, "difference_high": None}, "answers changed in fewer than 10 videos"),
        ({"n_unpaired": 5}, None),
        ({"n_unpaired": 6}, "6 questions that only one of the two answered"),
        ({"difference_low": 0.0}, "the interval holds zero"),
        ({"difference": -0.1, "difference_low": -0.2, "difference_high": -0.01}, None),
        ({"p_holm": 0.05}, "p_holm is not below 0.05"),
    ],
)
def test_what_speaks_against_a_difference(change, reason):
    sure = {"n_paired": 100, "flag": None, "videos": 50, "n_unpaired": 0, "p_holm": 0.01}
    sure |= {"difference": 0.1, "difference_low": 0.01, "difference_high": 0.2}
    assert doubt(sure | change, baseline_flag=None) == reason


def test_a_baseline_that_its_selection_did_not_reach_proves_nothing():
    changes = np.array([1] * 15 + [0] * 5)
    found = [
        verdicts([row(names(20, 1), changes)], [cell("a")], flag)[0] for flag in ("same pixels", "answers too alike")
    ]
    assert [one["verdict"] for one in found] == [NO_EVIDENCE, BETTER]
    assert found[0]["reason"] == "the baseline is flagged: same pixels"


# The detectable difference


@pytest.mark.parametrize(
    ("n_videos", "per_video", "shared", "differing"), [(900, 3, 0.3, 0.2), (60, 3, 0.5, 0.4), (300, 1, 0.0, 0.3)]
)
def test_the_detectable_difference_is_found_four_times_out_of_five(n_videos, per_video, shared, differing):
    rng, videos = np.random.default_rng(6), names(n_videos, per_video)

    def sample(difference):
        chances = [(differing - difference) / 2, 1 - differing, (differing + difference) / 2]
        return clustered(rng, [-1, 0, 1], chances, n_videos, per_video, shared)

    detectable = np.mean([detectable_difference(videos, sample(0.0)) for _ in range(20)])
    found = sum(clustered_p_value(videos, sample(detectable)) < 0.05 for _ in range(SIMULATIONS)) / SIMULATIONS
    assert found == pytest.approx(0.8, abs=0.04)


def test_the_detectable_difference_by_hand():
    changes = [1, -1] * 50 + [0] * 400
    z, power, n, d = 1.959964, 0.841621, 500, 0.2
    found = detectable_difference(range(n), changes)
    assert n * found - 1 == pytest.approx(z * math.sqrt(n * d) + power * math.sqrt(n * (d - found**2)), abs=1e-3)
    few, z = [1, -1] * 5 + [0] * 490, 3.290527  # more must differ than the ten that do, and all of them one way
    found = detectable_difference(range(n), few, level=0.001)
    assert n * found > 10
    assert n * found - 1 == pytest.approx(math.sqrt(n * found) * (z + power * math.sqrt(1 - found)), abs=1e-3)


def test_what_no_number_of_questions_could_show():
    assert detectable_difference(["a", "a"], [1, 0]) is None
    assert detectable_difference(names(9, 8), [1, 0, 0, -1] * 18) is None


def answered(changes, videos, unparsed=()):
    """Outcomes of a method and of its baseline with these differences; the method's unparsed answers by position."""
    made = []
    for side in (1, -1):
        made.append(
            {
                f"q{k:03}": Outcome(
                    Answer.model_construct(video_id=str(videos[k]), response="A"),
                    correct=change == side,
                    unparsed=side == 1 and k in unparsed,
                    recall=None,
                )
                for k, change in enumerate(changes)
            }
        )
    return made


def test_the_detectable_difference_is_found_at_the_level_that_a_family_of_five_must_reach():
    """The table says what its rows need; at the level of a single row nearly half of the tables would miss it."""
    rng, videos = np.random.default_rng(8), names(300, 1)

    def sample(difference):
        return rng.choice([-1, 0, 1], p=[0.15 - difference / 2, 0.7, 0.15 + difference / 2], size=300)

    def power(sizes):
        found = [clustered_p_value(videos, sample(np.mean(sizes))) < 0.05 / 5 for _ in range(SIMULATIONS)]
        return np.mean(found)

    said, alone = [], []
    for _ in range(20):
        drawn = sample(0.0)
        method, baseline = answered(drawn, videos)
        cells = [replace(cell(f"m{k}"), outcomes=method) for k in range(5)]
        first = replace(cell("uniform"), outcomes=baseline)
        rows = [BASELINE_ROW | {"flag": None}, *(row(videos, drawn) for _ in cells)]
        add_verdicts(rows, [first, *cells], {one.spec.identity: first for one in cells})
        said.append(rows[1]["detectable"])
        alone.append(detectable_difference(videos, drawn))
    assert power(said) == pytest.approx(0.8, abs=0.05)
    assert power(alone) < 0.65


@pytest.mark.parametrize(("unparsed", "reason"), [(range(40), True), (range(3), False)])
def test_a_verdict_that_unparsed_answers_decide_says_so(unparsed, reason):
    """T24: without the questions that the row left unparsed nothing is lost."""
    videos, lost = names(60, 2), np.array([-1] * 40 + [0] * 80)
    method, baseline = answered(lost, videos, unparsed)
    rows = [BASELINE_ROW | {"flag": None}, row(videos, lost)]
    first, second = replace(cell("uniform"), outcomes=baseline), replace(cell("a"), outcomes=method)
    add_verdicts(rows, [first, second], {second.spec.identity: first})
    assert rows[1]["verdict"] == WORSE
    expected = "decided by unparsed answers: 40 here, 0 of the baseline" if reason else None
    assert rows[1]["reason"] == expected


def test_questions_that_fall_together_count_as_one():
    changes = [1, -1, 0, 1, 0] * 10
    videos = [f"v{k}" for k in range(50)]
    assert design_effect(videos, changes) == pytest.approx(1)
    assert design_effect(videos * 4, changes * 4) == pytest.approx(4 * 50 / 49 * 199 / 200)
    found = detectable_difference(videos * 4, changes * 4)
    assert found == pytest.approx(detectable_difference(videos, changes), rel=0.01)
    assert design_effect(["a", "b"] * 2, [1, 1, 0, 0]) == 1


# Real runs


@pytest.fixture(scope="module")
def real():
    """Right or wrong, by run and question, of 2,700 real answers of a 7B model a run, and the questions' videos."""
    records = convert(build("datasets", {"kind": "videomme"}), DATA / "videomme.json.gz")
    questions = [Question(**record["normalised"]) for record in records]
    runs = {}
    for samples in sorted((DATA / "lmms_eval_runs").glob("*_samples_videomme.jsonl.gz")):
        answers = read_run(samples, questions)
        with gzip.open(samples, "rt") as file:
            scored = [sample["videomme_perception_score"] for sample in map(json.loads, file)]
        right = {one["question_id"]: one["pred_answer"] == one["answer"] for one in scored}
        assert set(right) == set(answers)
        runs[samples.name.split("_samples")[0]] = np.array([right[question.question_id] for question in questions])
    return [question.video_id for question in questions], runs


@needs_data
def test_real_runs_with_almost_the_same_answers_are_no_evidence(real):
    videos, runs = real
    changes = [right.astype(int) - runs["all_zero"] for name, right in runs.items() if name != "all_zero"]
    cells = [cell(str(number), run=True) for number in range(len(changes))]
    rows = [row(videos, one) for one in changes]
    for made in verdicts(rows, cells):
        assert (made["n_paired"], made["videos"]) == (2700, 900)
        assert made["verdict"] == NO_EVIDENCE
        assert made["difference_low"] is None or made["difference_high"] - made["difference_low"] < 0.006
    assert {detectable_difference(videos, one) is None for one in changes} == {
        changed_videos(videos, one) < 10 for one in changes
    }


@needs_data
def test_the_interval_of_a_real_run_is_near_the_clustered_normal_approximation(real):
    videos, runs = real
    right = runs["all_zero"]
    low, high = clustered_accuracy_interval(videos, right, seed=0)
    by_video = right.reshape(900, 3).mean(axis=1)  # three questions a video, in the order of the labels
    assert [len(set(videos[k : k + 3])) for k in range(0, 2700, 3)] == [1] * 900
    half = 1.96 * by_video.std(ddof=1) / 30
    assert (low, high) == pytest.approx((right.mean() - half, right.mean() + half), abs=0.001)
    wilson = accuracy_interval(int(right.sum()), 2700)
    assert high - low > 1.03 * (wilson.high - wilson.low)  # questions of one video do fall together
