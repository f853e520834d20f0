"""BOLT, Q-Frame, WFS-SB, DIG and FOCUS: the released forms on golden vectors, and what the fair forms promise."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.selection.selectors import Candidates, ScoreError, best, choose, question_rng, spread
from framesift.selection.selectors._scaling import SCALED, scaled, within_unit
from framesift.selection.selectors.dig import refine, regions
from framesift.selection.selectors.qframe import gumbel_order, tiers
from framesift.selection.selectors.wfs_sb import FILTERS, coarsest_detail, find_peaks

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = ("bolt", "qframe", "wfs_sb", "dig", "focus")
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
#: Any finite scores: few values with many ties, all of one size, or of all sizes there are.
SCORES = st.one_of(
    st.lists(st.sampled_from([-1.0, 0.0, 0.25, 1.0]), min_size=2, max_size=150),
    st.lists(st.floats(0, 1, width=16), min_size=2, max_size=150),
    st.lists(st.floats(-1e-300, 1e-300), min_size=2, max_size=40),
    st.lists(FLOATS, min_size=2, max_size=80),
)


def golden(name):
    arrays = np.load(GOLDEN / f"{name}_golden.npz")
    return arrays, json.loads(str(arrays["meta"]))["cases"]


def candidates(values, fps=1.0, **more):
    values = np.asarray(values, dtype=np.float64)
    return Candidates(np.arange(len(values)) / fps, values, **more)


def selector(kind, variant="fair", **params):
    return build("selectors", {"kind": kind, "variant": variant, **params})


def positions(chooser, values, budget, seed=0, **more):
    return choose(chooser, candidates(values, **more), budget, question_rng(seed, "q")).positions.tolist()


def ordinary(n=600, seed=0):
    """Scores like those of a scorer: probabilities with some peaks."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=n))
    return 1 / (1 + np.exp(-2 * (walk - walk.mean()) / walk.std() - rng.normal(size=n)))


# What all of them promise


@pytest.mark.filterwarnings("ignore:overflow encountered in subtract")  # the range of scores of all sizes there are
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(values=SCORES, budget=st.integers(1, 70), fps=st.sampled_from([0.5, 0.96, 1.0, 2.0, 29.97]))
def test_a_fair_form_gives_the_budget_for_any_finite_scores(kind, values, budget, fps):
    assume(max(values) > min(values))
    chosen = positions(selector(kind), values, budget, fps=fps)
    assert len(chosen) == min(budget, len(values))
    assert all(a < b for a, b in pairwise(chosen))
    assert chosen[0] >= 0
    assert chosen[-1] < len(values)
    assert positions(selector(kind), values, budget, fps=fps) == chosen


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [ordinary(), np.full(600, 0.4), np.zeros(600), np.eye(1, 600, 7)[0], ordinary(5)])
@pytest.mark.parametrize("budget", [1, 2, 8, 64, 700])
def test_a_released_form_never_leaves_the_candidates(kind, values, budget):
    chosen = positions(selector(kind, "released"), values, budget)
    assert chosen
    assert len(chosen) <= budget
    assert 0 <= min(chosen) <= max(chosen) < len(values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["fair", "released"])
def test_scores_that_are_no_numbers_are_an_error(kind, variant):
    with pytest.raises(ScoreError, match="1 of 200 scores are NaN or infinite"):
        positions(selector(kind, variant), [*np.linspace(0, 1, 199), np.nan], 8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_matters_where_a_selector_says_so_and_only_there(kind):
    chooser = selector(kind)
    values = ordinary()
    results = {tuple(positions(chooser, values, 32, seed=seed)) for seed in range(4)}
    assert len(results) == (4 if chooser.random else 1)


@pytest.mark.parametrize("kind", ["bolt", "dig"])
@settings(max_examples=200, deadline=None)
@given(
    values=st.one_of(
        st.lists(st.integers(0, 1000), min_size=2, max_size=150), st.lists(st.integers(0, 5), min_size=20, max_size=60)
    ),
    budget=st.integers(1, 64),
    factor=st.sampled_from([2.0**-20, 0.5, 4.0, 2.0**30]),
    offset=st.integers(-100, 100),
)
def test_offset_and_scale_of_scores_are_nothing_to_some(kind, values, budget, factor, offset):
    assume(max(values) > min(values))
    other = (np.array(values) + offset) * factor  # exact, so that no tie is broken
    assert positions(selector(kind), other, budget) == positions(selector(kind), values, budget)


def test_offset_is_nothing_to_qframe_and_scale_is_its_gain():
    values = np.round(ordinary() * 1024)
    chosen = positions(selector("qframe", gain=0.01), values, 32)
    assert positions(selector("qframe", gain=0.01), values + 512, 32) == chosen
    assert positions(selector("qframe", gain=0.02), values / 2, 32) == chosen
    assert positions(selector("qframe", gain=0.02, tau=1.6), values, 32) == chosen
    assert positions(selector("qframe", gain=0.02), values, 32) != chosen


@pytest.mark.parametrize("kind", ["wfs_sb", "focus"])
def test_scores_outside_the_unit_interval_are_scaled_and_the_note_says_so(kind):
    values = np.round(ordinary() * 1024) / 1024
    values = (values - values.min()) / np.ptp(values)
    inside = choose(selector(kind), candidates(values), 32, question_rng(0, "q"))
    logits = choose(selector(kind), candidates(16 * values - 8), 32, question_rng(0, "q"))
    assert np.array_equal(logits.positions, inside.positions)
    assert SCALED in logits.note
    assert SCALED not in (inside.note or "")
    released = choose(selector(kind, "released"), candidates(16 * values - 8), 32, question_rng(0, "q"))
    assert not np.array_equal(np.sort(released.positions), inside.positions)


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        ([0.0, 0.3, 1.0], [0.0, 0.3, 1.0], None),
        ([0.15, 0.2, 0.35], [0.15, 0.2, 0.35], None),
        ([-0.5, 0.0, 0.5], [0.0, 0.5, 1.0], SCALED),
        ([0.5, 1.0, 1.5], [0.0, 0.5, 1.0], SCALED),
        ([-1.5e308, 0.0, 1.5e308], [0.0, 0.5, 1.0], SCALED),
    ],
)
def test_scaling_to_the_unit_interval(values, expected, note):
    given_ = np.array(values)
    scores, said = within_unit(given_)
    assert scores.tolist() == expected
    assert said == note
    assert [scaled(given_).min(), scaled(given_).max()] == [0, 1]


def test_offset_and_scale_of_rewards_are_nothing_to_corrected_dig():
    rng = np.random.default_rng(0)
    for _ in range(500):
        rewards = rng.integers(0, rng.integers(2, 12), rng.integers(3, 60)).astype(float)
        boundaries = np.arange(len(rewards) + 1)
        spans = regions(rewards, boundaries, 2, corrected=True)
        for factor, offset in ((2.0**-20, 7), (2.0**30, -3)):
            assert regions((rewards + offset) * factor, boundaries, 2, corrected=True) == spans


# BOLT


def test_bolt_is_the_release():
    arrays, cases = golden("bolt")
    for case in cases:
        values = arrays[f"sig__{case['signal']}"]
        power = 1 if case["power"] == -1 else case["power"]
        got = positions(selector("bolt", "released", power=power), values, case["budget"])
        # for one frame the release may give the position after the last; it is no target, and kept in range here
        assert got == [min(i, len(values) - 1) for i in case["out"]], case["id"]
    assert len(cases) >= 60


def test_fair_bolt_has_the_frames_of_the_release_once_and_the_best_others():
    values = ordinary(450) ** 9
    released = positions(selector("bolt", "released"), values, 64)
    assert len(set(released)) < 60
    fair = positions(selector("bolt"), values, 64)
    assert set(released) <= set(fair)
    left = sorted(set(range(450)) - set(fair))
    added = sorted(set(fair) - set(released))
    assert values[added].min() >= values[left].max()


def test_bolt_follows_the_scores_and_power_sharpens():
    values = np.concatenate([np.full(100, 1.0), np.full(100, 3.0), [0.0]])  # shares 1/4 and 3/4
    assert sum(i < 100 for i in positions(selector("bolt", power=1), values, 32)) == 8
    assert sum(i < 100 for i in positions(selector("bolt", power=2), values, 32)) == 3
    assert positions(selector("bolt", power=1), np.eye(1, 9, 4)[0] + [0, 0, 0, 0, 0, 0, 0, 0, 1], 1) == [4]


# Q-Frame


class Noise:
    """A generator that gives the noise it was made with."""

    def __init__(self, noise):
        self.noise = noise

    def random(self, size, dtype):
        assert (size, dtype) == (len(self.noise), self.noise.dtype)
        return self.noise


def test_qframe_is_the_release():
    arrays, cases = golden("qframe")
    compared = 0
    for case in cases:
        frames, text = arrays[f"img__{case['embeddings']}"] / 128, arrays[f"txt__{case['embeddings']}"] / 128
        scores, noise, whole = frames @ text, arrays[case["uniform"]], len(frames)
        params = {"tau": case["tau"], "gain": case["gain"]}
        order = gumbel_order(scores, noise, **params)
        known = case["n_finite"]  # beyond, the release's single precision underflows and the order is arbitrary
        assert order[:known].tolist() == case["order"][:known], case["id"]
        if known < whole:
            continue
        for name, frames_ in zip(("high", "mid", "low"), tiers(order, 4, 8, 32), strict=True):
            assert frames_.tolist() == case["qwen2vl"][name]
        released = selector("qframe", "released", high=4, mid=8, low=32, max_candidates=256, **params)
        shown = choose(released, candidates(scores), 8, Noise(noise)).positions.tolist()
        assert shown == sorted(i for tier in case["qwen2vl"].values() for i in tier)
        for budget in (8, 16, 32, 64):
            expected = case[f"top{budget}"]
            one_tier = selector("qframe", "released", max_candidates=256, **params)
            assert choose(one_tier, candidates(scores), budget, Noise(noise)).positions.tolist() == expected
            if np.ptp(scores):
                fair = choose(selector("qframe", **params), candidates(scores), budget, Noise(noise)).positions
                assert fair.tolist() == expected
        compared += 1
    assert compared >= 30


def test_released_qframe_thins_the_candidates_as_the_release():
    for grid in json.loads(str(np.load(GOLDEN / "qframe_golden.npz")["meta"]))["candidates"]:
        total = grid["total"]
        if total >= 128:
            chosen = positions(selector("qframe", "released", high=128), np.zeros(total), 1)
            assert chosen == grid["gpt4o"]
    assert positions(selector("qframe", "released", high=20), np.zeros(15), 1) == [*range(15)]


def test_qframe_draws_by_softmax():
    values = np.log([1.0, 2.0, 5.0])
    chooser = selector("qframe", tau=2, gain=2)
    first = [positions(chooser, values, 1, seed=seed)[0] for seed in range(2000)]
    assert np.bincount(first) / 2000 == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.04)


@pytest.mark.parametrize(
    ("params", "message"),
    [({"high": 4}, "need `variant: released`"), ({"variant": "released", "high": 0}, "no frames")],
)
def test_tiers_that_make_no_sense(params, message):
    with pytest.raises(InputError, match=message):
        build("selectors", {"kind": "qframe", **params})


# WFS-SB


def test_wfs_sb_is_the_release():
    arrays, cases = golden("wfs_sb")
    renamed = {"lambda_param": "lambda_", "strictness_factor": "strictness"}
    compared = with_embeddings = 0
    for case in cases:
        # An order of ties that NumPy's sort leaves open; peaks of nothing but rounding, which are no peaks here.
        if "argsort_order" in case["fragile"] or case["signal"] == "const_128":
            continue
        scores = arrays[f"sig__{case['signal']}"].astype(float)
        more = {}
        if case["features"]:
            more["embeddings"] = arrays[f"feat__{case['features']}"].astype(float)
        chooser = selector(
            "wfs_sb",
            "released",
            drift=case["drift"],
            min_distance_ratio=case["ratio"],
            min_distance_absolute=case["absolute_min"],
            **{renamed.get(name, name): value for name, value in case["config"].items()},
        )
        assert positions(chooser, scores, case["budget"], **more) == case["out"], case["id"]
        if case["signal"] != "zeros_100":  # equal scores never reach a fair form
            fair = chooser.model_copy(update={"variant": "fair"})
            assert positions(fair, scores, case["budget"], **more) == case["out"], case["id"]
        compared += 1
        with_embeddings += bool(more)
        if case["branch"] == "all":
            continue
        assert chooser.level(len(scores)) == case["level"]
        assert chooser.min_peak_distance(len(scores)) == case["min_peak_distance"]
        assert chooser.boundaries(scores).tolist() == case["peaks"]
        if case["branch"] == "segments":
            segments = [*pairwise([0, *case["peaks"], len(scores)])]
            weights = chooser.importance(scores, segments)
            assert weights == pytest.approx(case["importance"], abs=1e-9)
            kept = chooser.kept(weights)
            assert [[*segments[i]] for i in kept] == case["kept_segments"]
            assert chooser.allocation(weights[kept], case["budget"]).tolist() == case["allocation"]
    assert compared >= 70
    assert with_embeddings >= 15


def test_wfs_sb_with_scores_that_are_all_equal_or_too_large():
    released = selector("wfs_sb", "released")
    for value in (0.0, 0.4, 1e6):
        chosen = positions(released, np.full(128, value), 8)
        # half uniform, half the best, of equal ones the later
        assert chosen == sorted({0, 42, 84, 127, 126, 125, 124, 123})
    with pytest.raises(ScoreError, match="variance is not finite"):
        positions(released, [1e300, -1e300, 0, 1, 2, 3], 2)


def test_wfs_sb_avoids_what_looks_alike():
    """Two kinds of picture in turns, scores almost level: embeddings alone decide the second frame of a segment."""
    values = np.full(40, 0.5)
    values[3] = 0.6
    looks = np.eye(2)[np.arange(40) // 2 % 2]
    chosen = positions(selector("wfs_sb", drift=30, height_factor=1e9), values, 2)
    assert chosen == [0, 3]  # without a peak: half uniform, half best
    one_segment = selector("wfs_sb", min_distance_absolute=40, w_duration=1)
    values = ordinary(40)
    for frames in (positions(one_segment, values, 4, embeddings=looks), positions(one_segment, values, 4)):
        assert len(frames) == 4
    kinds = {tuple(looks[i]) for i in positions(one_segment, values, 4, embeddings=looks)}
    assert len(kinds) == 2


def test_wfs_sb_takes_a_zero_vector_for_unlike_all_others():
    blank = [5, 60, 110, 150]
    zeros, unlike = np.zeros((200, 5)), np.zeros((200, 5))
    zeros[:, 0] = unlike[:, 0] = 1
    zeros[blank] = 0
    unlike[blank] = np.eye(5)[1:]
    chosen = positions(selector("wfs_sb"), ordinary(200), 32, embeddings=zeros)
    assert chosen == positions(selector("wfs_sb"), ordinary(200), 32, embeddings=unlike)
    assert len({*blank} & {*chosen}) >= 3


@pytest.mark.parametrize("embeddings", [np.ones((5, 3)), np.full((50, 3), np.nan), np.ones(50)])
def test_wfs_sb_with_embeddings_that_do_not_fit(embeddings):
    with pytest.raises(ScoreError, match="embeddings"):
        positions(selector("wfs_sb"), ordinary(50), 8, embeddings=embeddings)


@pytest.mark.parametrize("wavelet", FILTERS)
@settings(deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=8, max_size=120), level=st.integers(1, 3))
def test_the_detail_is_linear_and_without_constants(wavelet, values, level):
    values = np.array(values)
    detail = coarsest_detail(values, FILTERS[wavelet], level)
    assert len(detail) == len(values)
    assert coarsest_detail(3 * values + 5, FILTERS[wavelet], level) == pytest.approx(3 * detail, abs=1e-9)


@settings(deadline=None)
@given(
    values=st.one_of(
        st.lists(st.integers(0, 9), min_size=3, max_size=80),
        st.lists(st.integers(0, 99), min_size=3, max_size=80, unique=True),
    ),
    height=st.integers(0, 6),
    distance=st.integers(1, 9),
    prominence=st.integers(0, 5),
)
def test_peaks_are_those_of_scipy(values, height, distance, prominence):
    signal = pytest.importorskip("scipy.signal")
    if len(set(values)) < len(values):
        distance = 1  # which of equal peaks stays is left open by scipy
    values = np.array(values, dtype=float)
    ours = find_peaks(values, height=height, distance=distance, prominence=prominence)
    theirs, _ = signal.find_peaks(values, height=height, distance=distance, prominence=prominence)
    assert ours.tolist() == theirs.tolist()


# DIG


def dig_cases():
    return json.loads(gzip.decompress((GOLDEN / "dig_refine_golden.json.gz").read_bytes()))["cases"]


def test_dig_is_the_release():
    cases = dig_cases()
    for case in cases:
        rewards, boundaries = np.array(case["rewards"], dtype=float), np.array(case["boundaries"])
        spans = regions(rewards, boundaries, case["wlen"], corrected=False)
        assert [[*span] for span in spans] == case["segments"], case["id"]
        assert refine(rewards, boundaries, case["budget"], case["wlen"]).tolist() == case["out"], case["id"]
    assert len(cases) >= 40


def test_corrected_dig_keeps_the_best_segment_when_it_is_the_last():
    cases = [case for case in dig_cases() if case["kind"] == "last"]
    for case in cases:
        rewards, boundaries = np.array(case["rewards"], dtype=float), np.array(case["boundaries"])
        assert max(case["out"]) <= boundaries[-2]
        corrected = refine(rewards, boundaries, case["budget"], case["wlen"], corrected=True)
        assert corrected[-1] == boundaries[-1]
        assert np.all(np.diff(corrected) > 0)
    assert cases


def test_corrected_dig_keeps_the_best_segments_when_they_are_equal():
    rewards, boundaries = np.array([0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0.0]), np.arange(12) * 10
    assert regions(rewards, boundaries, 1, corrected=False) == [(0, 110)]
    assert regions(rewards, boundaries, 1, corrected=True) == [(10, 39), (60, 89)]
    assert regions(rewards, boundaries, 0, corrected=True) == [(20, 29), (70, 79)]


def test_dig_of_its_two_rules_takes_the_one_that_finds_fewer():
    rewards = np.array([0, 100, 55, 55, 45, 45, 45, 45, 0, 0.0])
    # above half of the best: 1, 2, 3; above the mean of what is above the mean, and so on: 1
    assert regions(rewards, np.arange(11), 0, corrected=True) == [(1, 1)]
    # above half: 1; above the means: 1 and 2
    rewards = np.array([0, 100, 49.9, 1, 1, 1, 1, 1, 1, 1])
    assert regions(rewards, np.arange(11), 0, corrected=True) == [(1, 1)]
    # five by both rules, two of them barely above half
    rewards = np.array([0, 100, 99, 98, 55, 54, 1, 1, 1, 1, 1, 1, 1])
    assert regions(rewards, np.arange(14), 0, corrected=True) == [(i, i) for i in range(1, 6)]


def test_fair_dig_goes_by_equal_rewards_and_the_release_does_not():
    values = np.zeros(100)
    values[[20, 70]] = 1
    assert positions(selector("dig"), values, 4) == [18, 21, 69, 72]
    assert positions(selector("dig", "released"), values, 4) == [0, 33, 66, 99]


def test_dig_looks_around_the_peaks_and_fills_up_with_the_best():
    values = np.linspace(0, 0.1, 100)
    values[[20, 70]] = [1, 0.9]
    assert positions(selector("dig"), values, 10) == [*range(18, 23), *range(68, 73)]
    assert positions(selector("dig"), values, 12) == [*range(18, 23), *range(68, 73), 98, 99]
    assert positions(selector("dig", window=0), values, 2) == [20, 70]
    repeated = positions(selector("dig", "released"), values, 12)
    assert len(repeated) == 12
    assert set(repeated) == {*range(18, 23), *range(68, 73)}


def test_released_dig_takes_the_whole_video_where_nothing_stands_out():
    assert positions(selector("dig", "released"), np.ones(100), 5) == np.linspace(0, 99, 5, dtype=int).tolist()


# FOCUS


class Tape:
    """A generator that gives what the release drew, and checks that it is asked for the same draws."""

    def __init__(self, tape):
        self.tape = [*reversed(tape)]

    def choice(self, population, size, replace, p=None):
        total, weighted, *drawn = self.tape.pop()
        assert (np.size(population) if np.ndim(population) else population) == total
        assert (p is not None, size, replace) == (bool(weighted), len(drawn), False)
        return np.array(drawn, dtype=int)


def focus_cases():
    arrays, cases = golden("focus")
    for case in cases:
        params = {"interpolation" if k == "interpolation_method" else k: v for k, v in case["config"].items()}
        if params.get("interpolation") == "rbf":  # needs scipy, and no result of the paper uses it
            continue
        if case["min_gap_sec"] == 3:  # set by hand, past the rule
            params |= {"min_gap_sec": 3, "gap_ratio": 1e9}
        yield case, arrays[f"sig__{case['signal']}"].astype(float), params


def test_focus_is_the_release():
    compared = short = 0
    for case, values, params in focus_cases():
        chooser = selector("focus", "released", **params)
        assert chooser.least_gap(len(values), case["fps"], case["budget"]) == case["min_gap_sec"]
        for rng in (np.random.default_rng(case["seed"]), Tape(case["tape"])):
            replay = chooser.replay(values, case["fps"], case["budget"], rng)
            assert sorted(replay.chosen) == case["out"], case["id"]
            assert replay.coarse.tolist() == case["coarse"]
            assert replay.fine.tolist() == case["fine"]
            assert len(replay.scored) == case["frames_scored"]
            assert len(replay.arms) == case["n_arms"]
            assert [[start, end - 1] for start, end in replay.arms[:3]] == case["arms"]
            assert replay.upper_bounds == pytest.approx(case["arm_scores"], abs=1e-9)
            assert replay.drawn == case["arm_counts"]
        assert rng.tape == []
        compared += 1
        short += len(case["out"]) < min(case["budget"], len(values))
        if case["fps"] == 1 and len(values) > 1:
            given_ = candidates(values)
            choice = choose(chooser, given_, case["budget"], np.random.default_rng(case["seed"]))
            assert choice.positions.tolist() == case["out"]
            assert choice.note == f"scored {case['frames_scored']} of {len(values)} frames"
    assert compared >= 65
    assert short >= 5


class FirstOffered:
    """A generator that takes the first of what it may choose from."""

    def choice(self, population, size, replace, p=None):
        offered = np.arange(population) if np.ndim(population) == 0 else np.asarray(population)
        return offered[:size]


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "uniform"])
def test_focus_draws_only_frames_that_keep_the_gap(interpolation):
    """The release filters by the gap before it draws, with equal weights too."""
    frame = np.arange(64)
    values = 0.9 - (frame % 8) / 10 - (frame // 8) / 1000  # eight arms of eight frames, the first frame being the best
    chooser = selector(
        "focus", "released", interpolation=interpolation, top_ratio=0.5, min_gap_sec=3, gap_ratio=1e9, zoom_ratio=1
    )
    assert chooser.replay(values, 1.0, 16, FirstOffered()).chosen == [*range(0, 64, 8), *range(3, 64, 8)]


def test_fair_focus_keeps_the_release_and_fills_up_from_what_it_scored():
    filled = 0
    for case, values, params in focus_cases():
        if case["fps"] != 1 or np.ptp(values) == 0 or len(values) <= case["budget"]:
            continue
        if params.get("interpolation") == "linear":  # the release's is out of order, the fair form's is not
            continue
        rng = np.random.default_rng(case["seed"])
        fair = choose(selector("focus", **params), candidates(values), case["budget"], rng).positions
        assert set(case["out"]) <= set(fair.tolist())
        added = set(fair.tolist()) - set(case["out"])
        scored = {*case["coarse"], *case["fine"]}
        left = scored - set(fair.tolist())
        assert added <= scored or not left
        if added and left:
            assert min(values[i] for i in added) >= max(values[i] for i in left)
            filled += 1
    assert filled >= 3


def test_fair_focus_reads_no_score_that_the_bandit_did_not_ask_for():
    values = np.round(ordinary(300), 3)
    chooser = selector("focus", zoom_ratio=0.1, top_ratio=0.5)
    replay = chooser.replay(values, 1.0, 64, question_rng(0, "q"))
    hidden = values.copy()
    hidden[np.setdiff1d(np.arange(300), replay.scored)] = 0.987
    for budget in (64, len(replay.scored) + 20):
        assert positions(chooser, values, budget) == positions(chooser, hidden, budget)


def test_focus_scores_less_of_a_longer_video():
    notes = [choose(selector("focus"), candidates(ordinary(n)), 16, question_rng(0, "q")).note for n in (60, 600, 3600)]
    shares = [int(note.split()[1]) / int(note.split()[3]) for note in notes]
    assert shares[0] > shares[1] > shares[2]
    assert shares[2] == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_more_room_than_frames(kind):
    assert positions(selector(kind), ordinary(10), 10) == [*range(10)]
    assert len(positions(selector(kind), ordinary(11), 10)) == 10
    assert positions(selector(kind), np.ones(50), 8) == spread(50, 8).tolist()
    assert best(ordinary(11), 1)[0] in range(11)
