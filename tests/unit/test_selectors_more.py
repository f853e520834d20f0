"""The baselines and the smaller methods: random, bins, suppression, DPSelect, and the conventions of uniform."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.measures.coverage import gaps, largest_gap, mean_distance
from framesift.measures.overlap import jaccard
from framesift.measures.redundancy import neighbour_similarity
from framesift.selection.selectors import Candidates, ScoreError, choose, question_rng, select
from framesift.selection.selectors.dpselect import distances, most_changed, peaks

DPSELECT = np.load(Path(__file__).parents[1] / "golden" / "dpselect_golden.npz")
CASES = [case for case in json.loads(str(DPSELECT["cases"])) if case["raises"] is None]
#: Features with equal distances, whose order is a detail of the reference's `topk`.
TIES = ("feat__const_9x3x8", "feat__alternating_12x3x8")
FAIR = [
    {"kind": "random"},
    {"kind": "bin"},
    {"kind": "cats"},
    {"kind": "cats", "rho": 0.05},
    {"kind": "nms"},
    {"kind": "nms", "divisor": 0.1},
    {"kind": "dpselect"},
    {"kind": "dpselect", "window": 7},
    *({"kind": "uniform", "convention": convention} for convention in ("linspace", "midpoint", "grid")),
]
SECONDS = st.floats(0, 100, allow_nan=False)


def name(spec):
    return "-".join(str(value) for value in spec.values())


@settings(max_examples=60)
@pytest.mark.parametrize("spec", FAIR, ids=name)
@given(data=st.data(), budget=st.integers(1, 70), seed=st.integers(0, 3))
def test_exactly_the_budget_for_any_scores_and_embeddings(spec, data, budget, seed):
    values = data.draw(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=120))
    embeddings = data.draw(arrays(np.float64, (len(values), 3), elements=st.floats(-2, 2, width=16)))
    candidates = Candidates(np.arange(len(values), dtype=float), np.array(values), embeddings)
    selector = build("selectors", spec)
    assert selector.fair
    chosen, again = (choose(selector, candidates, budget, question_rng(seed, "q")).positions for _ in range(2))
    assert len(chosen) == len(set(chosen.tolist())) == min(budget, len(values))
    assert np.all(np.diff(chosen) > 0)
    assert np.array_equal(chosen, again)


def test_random_depends_on_the_seed_and_is_even():
    assert build("selectors", {"kind": "random"}).random
    first, second = (select("random", timestamps=np.arange(500), budget=8, seed=seed).tolist() for seed in (0, 1))
    assert first != second
    draws = np.concatenate([select("random", timestamps=np.arange(10), budget=3, seed=seed) for seed in range(1000)])
    assert np.bincount(draws, minlength=10) == pytest.approx(300, abs=60)


def test_bins_share_a_remainder_over_the_video():
    """Ten candidates in four bins: of two, three, two and three."""
    values = np.zeros(10)
    assert select("bin", scores=[*values[:-1], 1], budget=4).tolist() == [0, 2, 5, 9]
    assert select("bin", scores=[1, 2, 3, 1, 3, 3, 0, 0, 0, 9], budget=4).tolist() == [1, 2, 5, 9]


def test_bins_are_the_deepest_level_of_aks_where_they_divide():
    values = np.random.default_rng(5).random(256)
    for budget in (4, 8, 32):
        deepest = {"variant": "released", "s_thr": 1, "max_depth": int(np.log2(budget))}
        assert select("bin", scores=values, budget=budget).tolist() == (
            select("aks", scores=values, budget=budget, **deepest).tolist()
        )


def test_suppression_keeps_neighbours_of_a_pick_away():
    """128 candidates, eight wanted: a radius of four, the frame at it included."""
    values = np.zeros(128)
    values[60:69] = [5, 6, 7, 8, 9, 8, 7, 6, 5]
    values[69] = 4
    chosen = select("nms", scores=values, budget=8)
    assert {64, 69} <= set(chosen.tolist())
    assert min(np.diff(chosen)) == 5


def test_suppression_at_half_the_candidates_and_beyond():
    values = np.random.default_rng(0).random(64)
    assert select("nms", scores=values, budget=32).tolist() == select("topk", scores=values, budget=32).tolist()
    chosen = select("nms", scores=values, budget=8, divisor=0.125)  # a radius of 64: one free frame in all
    assert chosen.tolist() == select("topk", scores=values, budget=8).tolist()


def test_cats_is_denser_where_scores_bend():
    """A flat rise and a zigzag of the same height: the zigzag's picks may lie closer together."""
    flat = np.concatenate([np.linspace(0, 1, 50), np.linspace(1, 0, 50)])
    bent = flat.copy()
    bent[40:60:2] -= 0.5
    spaced, close = (np.diff(select("cats", scores=values, budget=10, rho=100)).min() for values in (flat, bent))
    assert spaced >= 9  # the radius is ten, less what little the first peak bends and fading takes
    assert close <= 6


def test_a_suppressed_region_comes_back():
    values = np.zeros(100)
    values[50], values[[49, 51]] = 1, 0.9
    quick, slow = (set(select("cats", scores=values, budget=10, rho=rho).tolist()) for rho in (0.1, 50))
    assert {49, 50, 51} <= quick
    assert not {49, 51} & slow


@pytest.mark.parametrize(
    ("convention", "expected"),
    [("linspace", [0, 3, 6, 9]), ("midpoint", [1, 3, 6, 8]), ("grid", [0, 2, 4, 6])],
)
def test_conventions_of_uniform(convention, expected):
    assert select("uniform", timestamps=np.arange(10), budget=4, convention=convention).tolist() == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_dpselect_is_the_release(case):
    features = DPSELECT[case["feat"]]
    change = distances(features)
    assert change == pytest.approx(DPSELECT[case["feat"].replace("feat__", "dist__")], abs=2e-6)
    k, mask = case["keep"], DPSELECT[f"{case['key']}__mask"]
    assert k == max(1, round(case["ratio"] * len(features)))
    # the reference rounds distances to float32, which makes ties of its own
    change = change.astype(np.float32)
    curves = change.mean(axis=1, keepdims=True) if case["patch_sync"] else change
    for patch, curve in enumerate(curves.T):
        peak = peaks(curve, case["window"])
        kept = np.sort(most_changed(curve, peak, k))
        wanted = DPSELECT[f"{case['key']}__idx"]
        wanted = wanted if wanted.ndim == 1 else wanted[:, patch]
        if case["feat"] in TIES and case["ratio"] < 1:
            assert sorted(curve[kept]) == pytest.approx(sorted(curve[wanted]), abs=2e-6)
            assert sorted(peak[kept]) == sorted(mask[:, patch])
        else:
            assert kept.tolist() == wanted.tolist()
            assert peak[kept].tolist() == mask[:, patch].tolist()


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["patch_sync"] and case["feat"] not in TIES], ids=lambda case: case["id"]
)
def test_dpselect_as_a_selector_is_the_frame_wise_release(case):
    features = DPSELECT[case["feat"]].astype(float)
    chosen = select("dpselect", embeddings=features, budget=case["keep"], window=case["window"])
    assert chosen.tolist() == DPSELECT[f"{case['key']}__idx"].tolist()


def test_dpselect_where_the_release_raises():
    assert select("dpselect", embeddings=np.ones((1, 8)), budget=1).tolist() == [0]
    one_patch = DPSELECT["feat__one_patch_10x1x8"]
    assert select("dpselect", embeddings=one_patch[:, 0], budget=2).tolist() == (
        select("dpselect", embeddings=one_patch, budget=2).tolist()
    )


def test_dpselect_takes_cuts_first_and_needs_embeddings():
    shots = np.repeat(np.eye(4), 10, axis=0)
    assert select("dpselect", embeddings=shots, budget=4).tolist() == [0, 10, 20, 30]
    assert select("dpselect", embeddings=np.zeros((5, 3)), budget=2).tolist() == [0, 1]  # black frames are no error
    with pytest.raises(ScoreError, match="embeddings"):
        select("dpselect", scores=np.arange(20), budget=4)
    with pytest.raises(InputError, match="odd number"):
        build("selectors", {"kind": "dpselect", "window": 4})


def test_coverage_by_hand():
    assert gaps([2, 8], 10) == pytest.approx([0.2, 0.6, 0.2])
    assert largest_gap([2, 8], 10) == pytest.approx(0.6)
    assert largest_gap([], 10) == 1
    assert mean_distance([], 10) is None
    assert mean_distance([2.5, 7.5], 10) == pytest.approx(1 / 8)
    for bad in ([11], [-1], [float("nan")]):
        with pytest.raises(ValueError, match="outside"):
            gaps(bad, 10)
    with pytest.raises(ValueError, match="no coverage"):
        gaps([], 0)


@given(times=st.lists(SECONDS, min_size=1, max_size=12), more=SECONDS)
def test_coverage_of_more_frames_is_never_worse(times, more):
    assert sum(gaps(times, 100)) == pytest.approx(1)
    assert largest_gap([*times, more], 100) <= largest_gap(times, 100) + 1e-12
    assert mean_distance([*times, more], 100) <= mean_distance(times, 100) + 1e-12
    assert mean_distance(times, 100) >= 1 / (4 * len(times)) - 1e-12
    moments = np.linspace(0, 100, 4001)
    nearest = np.abs(moments[:, None] - np.array(times)).min(axis=1).mean() / 100
    assert mean_distance(times, 100) == pytest.approx(nearest, abs=1e-3)


def test_redundancy_by_hand():
    assert neighbour_similarity([[1, 0], [2, 0], [0, 3]]) == pytest.approx(0.5)
    assert neighbour_similarity([[1, 0]]) is None
    for bad in ([[0, 0], [1, 0]], [[np.nan, 0], [1, 0]]):
        with pytest.raises(ValueError, match="zero, NaN or infinite"):
            neighbour_similarity(bad)


def test_overlap_by_hand():
    assert jaccard([1, 2, 3], [3, 2, 7, 7]) == 0.5
    assert jaccard([], []) == 1
    assert jaccard([1], []) == 0
