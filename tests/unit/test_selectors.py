"""Selectors: the contract that all of them keep, AKS against the release, and the rules around them."""

import gzip
import itertools
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from framesift.core.components import build
from framesift.selection.selectors import Candidates, ScoreError, choose, methods, question_rng, select, spread

GOLDEN = Path(__file__).parents[1] / "golden" / "aks_golden.json.gz"


def candidates(values):
    """Candidates with these scores; embeddings and query follow from them: equal scores, equal frames."""
    values = np.asarray(values, dtype=np.float64)
    distinct, frames = np.unique(values, return_inverse=True)
    vectors = np.random.default_rng(zlib.crc32(values.tobytes())).standard_normal((len(distinct) + 1, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Candidates(np.arange(len(values), dtype=float), values, vectors[frames], vectors[-1])


def test_aks_is_the_release_wherever_the_release_is_well_defined():
    golden = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    fragile = [(case["id"], case["max_num_frames"], case["t1"], case["all_depth"]) for case in golden["fragile"]]
    compared = 0
    for vector in golden["vectors"]:
        given_ = candidates(vector["scores"])
        for setting, output in zip(golden["configs"], vector["by_config"], strict=True):
            budget, t1, depth = setting["max_num_frames"], setting["t1"], setting["all_depth"]
            if not setting["divides"] or (vector["id"], budget, t1, depth) in fragile:
                continue
            aks = build("selectors", {"kind": "aks", "s_thr": t1, "max_depth": depth})
            expected = list(itertools.accumulate(vector["outputs"][output]))
            got = [int(i) for i in choose(aks, given_, budget, question_rng(0, "q")).positions]
            assert got == expected, (vector["id"], setting)
            compared += 1
    assert compared > 7000


def test_aks_gives_the_budget_where_the_release_gives_nothing():
    """16 frames at depth 5: the release takes int(16 / 32) = 0 frames of every leaf."""
    values = np.random.default_rng(0).random(400)
    aks = build("selectors", {"kind": "aks"})
    assert len(choose(aks, candidates(values), 16, question_rng(0, "q")).positions) == 16


def test_aks_takes_the_peak_alone_where_it_stands_out():
    values = np.zeros(100)
    values[40:48] = 1
    assert choose(build("selectors", {"kind": "aks"}), candidates(values), 8, None).positions.tolist() == [
        *range(40, 48)
    ]


def test_topk_prefers_the_earlier_of_equals():
    assert choose(build("selectors", {"kind": "topk"}), candidates([1, 2, 2, 2, 0]), 2, None).positions.tolist() == [
        1,
        2,
    ]


def test_uniform_includes_both_ends_and_needs_no_scores():
    chosen = choose(build("selectors", {"kind": "uniform"}), Candidates(np.arange(101.0)), 5, None)
    assert chosen.positions.tolist() == [0, 25, 50, 75, 100]
    assert spread(9, 1).tolist() == [4]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_an_error(bad):
    values = np.linspace(0, 1, 50)
    values[7] = bad
    with pytest.raises(ScoreError, match="1 of 50 scores are NaN or infinite"):
        choose(build("selectors", {"kind": "aks"}), candidates(values), 8, None)


def test_equal_scores_give_uniform_frames_and_say_so():
    choice = choose(build("selectors", {"kind": "topk"}), candidates(np.ones(50)), 8, None)
    assert choice.positions.tolist() == spread(50, 8).tolist()
    assert choice.note == "all scores are equal: uniform frames"


def test_scores_that_are_missing_are_an_error():
    with pytest.raises(ScoreError, match="needs 50 scores, and there are 0"):
        choose(build("selectors", {"kind": "topk"}), Candidates(np.arange(50.0)), 8, None)


def test_generators_depend_on_seed_and_question_alone():
    draws = {(seed, name): question_rng(seed, name).integers(1 << 60) for seed in (0, 1) for name in ("a", "b")}
    assert len(set(draws.values())) == 4
    assert draws[0, "a"] == question_rng(0, "a").integers(1 << 60)


PATHOLOGICAL = json.loads((GOLDEN.parent / "aks_pathological.json").read_text())["cases"]
#: What is no input of a selector: lists of frames that do not belong to the scores.
ABOUT_FRAMES = ("fn_shorter", "fn_longer", "fn_unsorted_dups")


@pytest.mark.parametrize("kind", methods())
@pytest.mark.parametrize(
    "case", [case for case in PATHOLOGICAL if case["name"] not in ABOUT_FRAMES], ids=lambda c: c["name"]
)
def test_every_selector_has_an_outcome_for_every_odd_input(kind, case):
    """Exactly the budget, or an error that says why: never a short, repeated or silently arbitrary selection."""
    values, budget = case["input"]["s"], case["input"].get("B", 64)
    selector = build("selectors", {"kind": kind})
    n = len(values)
    vectors = np.random.default_rng(0).standard_normal((max(n, 1), 16))[:n]
    query = np.random.default_rng(1).standard_normal(16)

    def chosen():
        return select(kind, scores=values, embeddings=vectors, query=query, timestamps=np.arange(n), budget=budget)

    flat = np.asarray(values, dtype=float)
    if budget < 1:
        with pytest.raises(ValueError, match="at least one frame"):
            chosen()
    elif n > budget and flat.ndim > 1:
        with pytest.raises(ScoreError, match="not a list"):
            chosen()
    elif n > budget and selector.needs_scores and not np.all(np.isfinite(flat)):
        with pytest.raises(ScoreError, match="NaN or infinite"):
            chosen()
    else:
        positions = chosen()
        assert len(positions) == min(budget, n)
        assert np.all(np.diff(positions) > 0)


def test_times_must_ascend():
    with pytest.raises(ScoreError, match="no ascending list"):
        select("topk", scores=[1, 2, 3], timestamps=[0, 2, 1], budget=2)
