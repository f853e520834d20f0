"""mDP3, MaxInfo, KFC, AdaRD-Key, FRAG, MMR and facility location: golden vectors, definitions, properties."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framesift.core.components import build
from framesift.selection.selectors import Candidates, choose, facility_location, kfc, maxinfo
from framesift.selection.selectors.adard import vb_scale

GOLDEN = Path(__file__).parents[1] / "golden"
FAIR = [
    {"kind": "mdp3"},
    {"kind": "mdp3", "segment": 3},
    {"kind": "mdp3_global"},
    {"kind": "maxinfo"},
    {"kind": "maxinfo", "norm": "none", "tol": 1.0},
    {"kind": "kfc"},
    {"kind": "kfc", "max_nodes": 5, "radius": 2, "low_rank": False},
    {"kind": "adard"},
    {"kind": "adard", "tau": 10.0},
    {"kind": "mmr"},
    {"kind": "facility_location"},
    {"kind": "facility_location", "alpha": 0.0},
    {"kind": "frag"},
    {"kind": "frag", "proposals": "pairs"},
]
NESTED = [
    {"kind": "mdp3_global"},
    {"kind": "adard", "tau": 10.0},  # with the gate shut, for the weight depends on the budget
    {"kind": "mmr"},
    {"kind": "facility_location", "alpha": 0.0},  # the share of relevance too
    {"kind": "frag"},
    {"kind": "frag", "proposals": "pairs"},
]


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def golden(name):
    """Number, settings and arrays of each case of a golden file."""
    with np.load(GOLDEN / f"{name}_golden.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return [(int(i), case, arrays) for i, case in zip(arrays["case_ids"], arrays["cases"], strict=True)]


def given_(embeddings, query=(), scores=()):
    arrays = [np.asarray(values, dtype=np.float64) for values in (scores, embeddings, query)]
    return Candidates(np.arange(len(embeddings), dtype=float), *arrays)


def chosen(spec, candidates, budget):
    return choose(build("selectors", spec), candidates, budget, np.random.default_rng(0)).positions


def picked(spec, candidates, budget):
    """In the order of choice."""
    return build("selectors", spec).select(candidates, budget, np.random.default_rng(0)).tolist()


def random_candidates(seed, n, d=6, spread=0.7):
    rng = np.random.default_rng(seed)
    x = unit(rng.standard_normal(d) + spread * rng.standard_normal((n, d)))
    return given_(x, unit(rng.standard_normal(d) + x[0]), rng.random(n))


# Golden vectors


def test_mdp3_is_the_release():
    compared = 0
    for i, case, data in golden("mdp3"):
        if 53 <= i <= 58:
            continue
        kind = "mdp3_global" if case["variant"] == "single" else "mdp3"
        candidates = given_(unit(data[f"x{case['input']}"]), unit(data[f"q{case['input']}"]))
        assert chosen({"kind": kind}, candidates, int(case["K"])).tolist() == data[f"s{i}"].tolist(), i
        compared += 1
    assert compared >= 46


def test_rect_maxvol_is_the_release():
    compared = 0
    for i, case, data in golden("maxinfo"):
        rows = data.get(f"Qs{case['input']}_{case['norm']}", np.empty(0))
        if not rows.size or rows.shape[0] <= rows.shape[1]:
            continue
        expected = data[f"s{i}"].tolist()
        assert maxinfo.rect_maxvol(rows, int(case["K"]), float(case["tol"])).tolist() == expected, i
        compared += 1
    assert compared >= 28


def test_maxinfo_is_the_release_with_an_exact_decomposition():
    compared = 0
    for i, case, data in golden("maxinfo"):
        if 75 <= i <= 79:
            continue
        features = float(data[f"scale{case['input']}"]) * unit(data[f"x{case['input']}"])
        spec = {"kind": "maxinfo", "variant": "released", "tol": float(case["tol"]), "norm": str(case["norm"])}
        order = build("selectors", spec).order(features, int(case["K"]))
        assert order.tolist() == data[f"e{i}"].tolist(), i
        assert chosen(spec, given_(features), int(case["K"])).tolist() == sorted(data[f"e{i}"].tolist()), i
        compared += 1
    assert compared >= 38


def test_kfc_is_the_release():
    """Before the local search, after it, and after one in time order, which is the fair form's."""
    compared = whole = 0
    low_rank = {}
    for i, case, data in golden("kfc"):
        if 77 <= i <= 80:
            continue
        budget, radius, number = int(case["K"]), int(case["radius"]), int(case["input"])
        features, query = unit(data[f"x{number}"]), unit(data[f"q{number}"])
        n = len(features)
        if number not in low_rank:
            low_rank[number] = kfc._low_rank(features, features @ query)
        scores = low_rank[number]
        spec = {
            "kind": "kfc",
            "radius": radius,
            "max_nodes": None if case["shrink"] == "n4" else 128,
            "low_rank": True,
        }
        nodes = build("selectors", {**spec, "variant": "released"})._nodes(n, budget)
        picks = kfc._grow(scores(nodes), budget)
        before, released, ascending = (data[f"{array}{i}"].tolist() for array in "gsa")
        assert nodes[list(set(picks))].tolist() == before, i
        assert kfc._move(nodes[list(set(picks))], n, radius, scores).tolist() == released, i
        assert kfc._move(nodes[sorted(picks)], n, radius, scores).tolist() == ascending, i
        compared += 1

        if n <= 300:
            candidates = given_(10 * features, 10 * query)
            assert chosen({**spec, "variant": "released"}, candidates, budget).tolist() == released, i
            whole += 1
            if case["shrink"] == "n4":  # else the fair form has fewer nodes
                assert chosen(spec, candidates, budget).tolist() == ascending, i
    assert compared >= 38
    assert whole >= 20


def test_baselines_are_their_definitions():
    compared = 0
    specs = {
        "topk": lambda _: {"kind": "topk"},
        "mmr": lambda value: {"kind": "mmr", "lam": value},
        "fl": lambda value: {"kind": "facility_location", "alpha": value},
    }
    for i, case, data in golden("baselines"):
        candidates = given_(unit(data[f"x{case['input']}"]), (), data[f"r{case['input']}"])
        spec = specs[str(case["method"])](float(case["param"]))
        order = picked(spec, candidates, min(int(case["K"]), len(candidates)))
        assert (sorted(order) if case["method"] == "topk" else order) == data[f"s{i}"].tolist(), i
        compared += 1
    assert compared >= 60


# Fast forms against their definitions


def mdp3_kernel(a, b):
    return sum(np.exp(-np.sum((a - b) ** 2) / (2 * alpha)) for alpha in (1 / 8, 1 / 4, 1 / 2, 1, 2))


def mdp3_by_definition(candidates, budget, segment, lam=0.2):
    x, n = candidates.embeddings, len(candidates)
    matrix = np.array([[mdp3_kernel(a, b) for b in x] for a in x])
    weight = [2 / lam * np.log(mdp3_kernel(candidates.query, a)) for a in x]

    def value(frames):
        return sum(weight[i] for i in frames) + np.linalg.slogdet(matrix[np.ix_(frames, frames)])[1]

    best = {0: (0.0, [])}
    for start in range(0, n, segment):
        members = range(start, min(n, start + segment))
        new = {0: (0.0, [])}
        for count in sorted(best):
            so_far, trace = best[count]
            context = [max(trace)] if trace else []
            picks, score = [], 0.0
            for taken in range(min(budget - count, len(members)) + 1):
                if taken:
                    options = {i: value([*context, *picks, i]) for i in members if i not in picks}
                    pick = max(options, key=options.get)
                    picks, score = [*picks, pick], options[pick]
                if count + taken not in new or so_far + score > new[count + taken][0]:
                    new[count + taken] = (so_far + score, [*trace, *sorted(picks)])
        best = new
    return best[budget][1]


@pytest.mark.parametrize("seed", range(8))
def test_mdp3_by_definition(seed):
    candidates = random_candidates(seed, 23)
    for budget, segment in ((1, 5), (4, 5), (7, 8), (12, 4)):
        expected = mdp3_by_definition(candidates, budget, segment)
        assert chosen({"kind": "mdp3", "segment": segment}, candidates, budget).tolist() == expected
    expected = mdp3_by_definition(candidates, 9, 23)
    assert chosen({"kind": "mdp3_global"}, candidates, 9).tolist() == expected
    assert chosen({"kind": "mdp3", "segment": 23}, candidates, 9).tolist() == expected


@pytest.mark.parametrize("seed", range(8))
def test_adard_by_definition(seed):
    candidates = random_candidates(seed, 40, d=16)
    x, scores = candidates.embeddings, candidates.scores * (0.3 if seed % 2 else 1)
    budget, eps = 12, 1e-6
    shut = scores.max() < 0.4
    lam = 1 if shut else vb_scale(scores, budget)
    picks = []
    for _ in range(budget):
        gains = np.full(len(x), -np.inf)
        for i in set(range(len(x))) - set(picks):
            g = x[picks] @ x[i]
            d2 = 1 + eps - g @ np.linalg.solve(x[picks] @ x[picks].T + eps * np.eye(len(picks)), g)
            gains[i] = (0 if shut else scores[i]) + lam * np.log(d2)
        picks.append(int(gains.argmax()))
    assert picks[0] == (0 if shut else scores.argmax())
    assert picked({"kind": "adard"}, given_(x, (), scores), budget) == picks


def test_the_weight_of_adard_is_a_constant_on_long_videos():
    scores = np.random.default_rng(0).random(1000)
    assert vb_scale(scores, 64) == pytest.approx(0.6, abs=1e-3)
    assert vb_scale(scores, 1000) == pytest.approx((0.05 + 0.6 / (1 + 2 * scores.std() / scores.mean())) / 2, rel=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_mmr_by_definition(seed):
    candidates = random_candidates(seed, 40)
    x, scores = candidates.embeddings, candidates.scores
    scaled = (scores - scores.min()) / np.ptp(scores)
    picks = []
    for _ in range(15):
        value = [0.3 * scaled[i] - 0.7 * max((x[i] @ x[j] for j in picks), default=0) for i in range(len(x))]
        picks.append(max((i for i in range(len(x)) if i not in picks), key=lambda i: value[i]))
    assert picked({"kind": "mmr", "lam": 0.3}, candidates, 15) == picks


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_facility_location_by_definition(seed, alpha, monkeypatch):
    candidates = random_candidates(seed, 60, spread=2.0)
    similar = np.maximum(candidates.embeddings @ candidates.embeddings.T, 0)
    scores = candidates.scores
    scaled = (scores - scores.min()) / np.ptp(scores)

    def value(frames):
        return (1 - alpha) * similar[frames].max(axis=0).mean() + alpha / 20 * scaled[frames].sum()

    picks = []
    for _ in range(20):
        options = {i: value([*picks, i]) for i in range(60) if i not in picks}
        largest = max(options.values())
        picks.append(min(i for i, option in options.items() if option > largest - 1e-12))
    spec = {"kind": "facility_location", "alpha": alpha}
    monkeypatch.setattr(facility_location, "BATCH", 4)
    assert picked(spec, candidates, 20) == picks
    monkeypatch.setattr(facility_location, "STORED", 0)
    assert picked(spec, candidates, 20) == picks


@pytest.mark.parametrize("seed", range(8))
def test_maxinfo_by_definition(seed):
    x = random_candidates(seed, 50, d=12).embeddings * 7
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    rows = maxinfo.project(x, 5)
    sign = np.sign((rows * u[:, :5]).sum(axis=0))
    assert np.allclose(rows * sign, u[:, :5] * s[:5])
    assert np.allclose(np.abs(maxinfo.project(x[:8], 5)), np.abs(_svd_rows(x[:8], 5)))  # fewer rows than columns

    square = maxinfo.rect_maxvol(rows, 5, 0.3).tolist()
    inside = abs(np.linalg.det(rows[square]))
    for i, j in itertools.product(range(5), range(50)):
        assert abs(np.linalg.det(rows[[*square[:i], j, *square[i + 1 :]]])) <= 1.05 * inside + 1e-9
    grown = list(square)
    while len(grown) < 20:
        error = ((rows @ np.linalg.pinv(rows[grown])) ** 2).sum(axis=1)
        error[grown] = 0
        if error.max() <= 0.5**2:
            break
        grown.append(int(error.argmax()))
    assert len(grown) > 5
    assert maxinfo.rect_maxvol(rows, 20, 0.5).tolist() == grown


def _svd_rows(x, rank):
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    return u[:, :rank] * s[:rank]


def kfc_by_definition(candidates, budget, nodes, radius, low_rank):
    x, q, n = candidates.embeddings, candidates.query, len(candidates)
    scores = np.zeros((n, n))
    for i, j in itertools.product(range(n), repeat=2):
        scores[i, j] = x[min(i, j)] @ q + (np.exp(-x[i] @ x[j]) if i != j else x[i] @ q)
    if low_rank:
        u, s, v = np.linalg.svd(scores)
        scores = (u[:, : n // 4] * s[: n // 4]) @ v[: n // 4]
    frames = [max(nodes, key=lambda i: scores[i, i])]
    scores = scores - np.diag(np.diagonal(scores))
    while len(frames) < budget:
        rest = [i for i in nodes if i not in frames]
        frames.append(max(rest, key=lambda i: sum(scores[min(i, j), max(i, j)] for j in frames)))
    frames.sort()
    for at in range(budget):
        best, total = frames[at], scores[np.ix_(frames, frames)].sum()
        for i in range(frames[at] - radius, frames[at] + radius + 1):
            if 0 <= i < n and i not in frames:
                moved = [*frames[:at], i, *frames[at + 1 :]]
                if scores[np.ix_(moved, moved)].sum() > total + 1e-12:
                    best, total = i, scores[np.ix_(moved, moved)].sum()
        frames[at] = best
    return sorted(frames)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("low_rank", [True, False])
def test_kfc_by_definition(seed, low_rank):
    candidates = random_candidates(seed, 60, spread=1.5)
    for budget, radius in ((3, 1), (5, 2), (10, 2), (20, 1)):
        # a step of five puts the middle of each at 2, 7, ...; up to four times the budget all frames are nodes
        nodes = list(range(60)) if budget >= 15 else list(range(2, 60, 5))
        spec = {"kind": "kfc", "max_nodes": 12, "radius": radius, "low_rank": low_rank}
        assert chosen(spec, candidates, budget).tolist() == kfc_by_definition(
            candidates, budget, nodes, radius, low_rank
        )


# What the released forms do


@pytest.mark.parametrize(("n", "budget", "count"), [(100, 4, 8), (100, 8, 8), (100, 30, 30), (7, 3, 7), (8, 20, 8)])
def test_maxinfo_as_released_gives_what_it_gives(n, budget, count):
    candidates = random_candidates(0, n, d=24)
    assert len(chosen({"kind": "maxinfo", "variant": "released"}, candidates, budget)) == count
    assert len(chosen({"kind": "maxinfo"}, candidates, budget)) == min(n, budget)


def test_maxinfo_saturates_and_the_fair_form_does_not():
    candidates = random_candidates(0, 600, d=24, spread=2.0)
    released = chosen({"kind": "maxinfo", "variant": "released"}, candidates, 256)
    assert 60 < len(released) < 100
    fair = chosen({"kind": "maxinfo"}, candidates, 256)
    assert len(fair) == 256
    assert set(released) < set(fair)


def test_maxinfo_looks_at_no_scores():
    candidates = random_candidates(0, 300, d=24)
    unscored = Candidates(candidates.times, embeddings=candidates.embeddings)
    assert np.array_equal(chosen({"kind": "maxinfo"}, candidates, 200), chosen({"kind": "maxinfo"}, unscored, 200))


@pytest.mark.parametrize("variant", ["fair", "released"])
@pytest.mark.parametrize("vector", [np.zeros(12), np.ones(12)])
def test_maxinfo_on_a_video_that_stands_still(variant, vector):
    spec = {"kind": "maxinfo", "variant": variant}
    positions = chosen(spec, given_(np.tile(vector, (40, 1))), 16)
    assert len(set(positions.tolist())) == len(positions) >= 11


def test_kfc_as_released_gives_a_short_video_frames_twice():
    candidates = random_candidates(0, 3)
    assert chosen({"kind": "kfc", "variant": "released"}, candidates, 5).tolist() == [0, 1, 1, 2, 2]
    assert chosen({"kind": "kfc"}, candidates, 5).tolist() == [0, 1, 2]


def test_kfc_as_released_may_have_fewer_nodes_than_the_budget():
    candidates = random_candidates(0, 100)
    spec = {"kind": "kfc", "max_nodes": 10}
    assert len(chosen({**spec, "variant": "released"}, candidates, 20)) == 10
    assert len(chosen(spec, candidates, 20)) == 20
    assert len(chosen({"kind": "kfc", "variant": "released"}, candidates, 20)) == 20  # 128 nodes, all of them frame 0


def test_pairs_of_frag():
    scores = [0.0, 0.9, 1.0, 0.8, 0.0, 0.1, 0.7, 0.0]
    spec = {"kind": "frag", "proposals": "pairs"}
    candidates = given_(np.eye(8), (), scores)
    assert chosen({**spec, "variant": "released"}, candidates, 5).tolist() == [1, 2, 2, 3]
    assert chosen(spec, candidates, 5).tolist() == [0, 1, 2, 3, 4]
    assert chosen(spec, candidates, 2).tolist() == [1, 2]
    assert chosen({"kind": "frag"}, candidates, 4).tolist() == [1, 2, 3, 6]


# Properties of the fair forms


@st.composite
def videos(draw):
    """Candidates of any length, dimension and number of different frames, unit vectors or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(1, 90)), draw(st.sampled_from([1, 2, 5, 16, 120]))
    vectors = rng.standard_normal((draw(st.integers(1, n)), d)) + draw(st.sampled_from([0, 1, 30]))
    if not draw(st.booleans()):
        vectors[0] = 0
    else:
        vectors = unit(vectors) * draw(st.sampled_from([1, 1, 1, 0.01, 20]))
    x = vectors[rng.integers(len(vectors), size=n)]
    scores = draw(st.sampled_from([rng.random(n), rng.normal(0, 50, n), rng.integers(0, 3, n), np.full(n, 0.5)]))
    return given_(x, unit(rng.standard_normal(d)), scores)


@pytest.mark.parametrize("spec", FAIR, ids=str)
@settings(deadline=None)
@given(candidates=videos(), budget=st.integers(1, 100))
def test_fair_forms_keep_the_protocol(spec, candidates, budget):
    positions = chosen(spec, candidates, budget)
    assert len(positions) == min(budget, len(candidates))
    assert np.all(np.diff(positions) > 0)
    assert 0 <= positions[0] <= positions[-1] < len(candidates)
    assert np.array_equal(chosen(spec, candidates, budget), positions)


@pytest.mark.parametrize("spec", NESTED, ids=str)
@settings(deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 90), budget=st.integers(1, 40))
def test_a_larger_budget_keeps_what_a_smaller_one_gives(spec, seed, n, budget):
    candidates = random_candidates(seed, n, d=24)
    smaller, larger = (set(chosen(spec, candidates, k).tolist()) for k in (budget, budget + 1))
    assert smaller <= larger


@settings(deadline=None)
@given(seed=st.integers(0, 1000), budget=st.integers(8, 60))
def test_maxinfo_is_nested_from_its_rank_on(seed, budget):
    candidates = random_candidates(seed, 150, d=24)
    smaller, larger = (set(chosen({"kind": "maxinfo"}, candidates, k).tolist()) for k in (budget, budget + 1))
    assert smaller <= larger


@pytest.mark.parametrize("kind", ["mdp3", "mdp3_global", "adard"])
def test_frames_seen_before_come_last(kind):
    """Twelve different frames, each five times: a budget of twelve takes each once."""
    rng = np.random.default_rng(3)
    different = unit(rng.standard_normal((12, 24)))
    frames = np.repeat(np.arange(12), 5)
    candidates = given_(different[frames], unit(different.sum(axis=0)), rng.random(60))
    positions = chosen({"kind": kind}, candidates, 12)
    assert sorted(frames[positions]) == list(range(12))


def test_mmr_and_facility_location_take_the_earlier_of_equal_frames():
    different = unit(np.random.default_rng(4).standard_normal((9, 24)))
    candidates = given_(np.repeat(different, 7, axis=0), (), np.repeat(np.linspace(1, 0.5, 9), 7))
    for spec in ({"kind": "mmr", "lam": 0.2}, {"kind": "facility_location", "alpha": 0.0}):
        assert chosen(spec, candidates, 9).tolist() == list(range(0, 63, 7))


def test_maxinfo_keeps_nothing_of_a_video_before():
    """An array that is filled anew is another video, though it is the same object."""
    frames = np.random.default_rng(0).standard_normal((120, 16))
    reversed_ = frames[::-1].copy()
    buffer = frames.copy()
    first = chosen({"kind": "maxinfo"}, Candidates(np.arange(120.0), embeddings=buffer), 12)
    buffer[:] = reversed_
    again = chosen({"kind": "maxinfo"}, Candidates(np.arange(120.0), embeddings=buffer), 12)
    assert again.tolist() == sorted((119 - first).tolist())
