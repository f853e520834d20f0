"""The variants of AKS: the release on all of its golden vectors, and the paper's quotas."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.selection.selectors import Candidates, ScoreError, choose

GOLDEN = Path(__file__).parents[1] / "golden"
VARIANTS = ("fair", "released", "paper")
#: Inputs that cannot reach a selector here, for which the release has a result or an exception of its own.
NOT_OURS = {"budget0", "empty", "fn_shorter", "fn_longer", "strings", "nested"}


def candidates(values):
    return Candidates(np.arange(len(values), dtype=float), np.asarray(values, dtype=np.float64))


def aks(variant, **params):
    return build("selectors", {"kind": "aks", "variant": variant, **params})


def positions(selector, values, budget):
    return choose(selector, candidates(values), budget, None).positions.tolist()


def test_the_released_variant_is_the_release_on_every_golden_vector():
    golden = json.loads(gzip.decompress((GOLDEN / "aks_golden.json.gz").read_bytes()))
    selectors = [
        (setting, aks("released", s_thr=setting["t1"], max_depth=setting["all_depth"])) for setting in golden["configs"]
    ]
    compared = short = 0
    for vector in golden["vectors"]:
        for (setting, selector), output in zip(selectors, vector["by_config"], strict=True):
            expected = list(itertools.accumulate(vector["outputs"][output]))
            budget = setting["max_num_frames"]
            assert positions(selector, vector["scores"], budget) == expected, (vector["id"], setting)
            compared += 1
            short += len(expected) < min(budget, len(vector["scores"]))
    assert compared == len(golden["vectors"]) * len(golden["configs"]) == 9396
    assert short > 500  # where the depth does not divide the budget, the release is matched too


def pathological():
    content = json.loads((GOLDEN / "aks_pathological.json").read_text())
    return [case for case in content["cases"] if case["name"] not in NOT_OURS]


@pytest.mark.parametrize("case", pathological(), ids=lambda case: case["name"])
def test_the_released_variant_on_hand_made_inputs(case):
    given_ = case["input"]
    names = {"t1": "s_thr", "d": "max_depth", "t2": "t2", "ratio": "ratio"}
    selector = aks("released", **{names[key]: value for key, value in given_.items() if key in names})
    budget = given_.get("B", 64)
    if not np.all(np.isfinite(given_["s"])):
        with pytest.raises(ScoreError, match="NaN or infinite"):
            positions(selector, given_["s"], budget)
        return
    frames = given_.get("fn") or list(range(len(given_["s"])))
    expected = case["result"]["output"]
    # the release sorts frame numbers, not positions; the same wherever frames ascend
    assert sorted(frames[i] for i in positions(selector, given_["s"], budget)) == expected


def test_the_released_variant_is_not_fair():
    assert [aks(variant).fair for variant in VARIANTS] == [True, False, True]


def test_fewer_candidates_than_frames_are_all_given():
    assert positions(aks("released"), [0.1, 0.9, 0.5], 8) == [0, 1, 2]
    assert positions(aks("released", ratio=2), [0.1, 0.9, 0.5, 0.2, 0.7], 8) == [0, 2]  # int(5 / 2) of them


def test_what_only_the_release_knows_is_refused_elsewhere():
    for variant in ("fair", "paper"):
        for extra in ({"t2": 0.1}, {"ratio": 2}):
            with pytest.raises(InputError, match="belong to the variant `released`"):
                aks(variant, **extra)


def test_a_quota_follows_the_length_of_a_segment():
    """Nine frames, four of them wanted: the halves have four and five, so each gets two, whatever the scores say."""
    values = [9, 8, 7, 6, 0, 0, 0, 1, 2]
    assert positions(aks("paper", s_thr=1, max_depth=1), values, 4) == [0, 1, 7, 8]


def test_the_paper_judges_a_segment_by_its_own_quota():
    """Four frames stand out in the first half: enough for its quota of four, not for the whole budget of eight."""
    values = np.zeros(64)
    values[4:8], values[[36, 44, 52, 60]] = 1, 0.5
    assert positions(aks("paper"), values, 8) == [4, 5, 6, 7, 36, 44, 52, 60]
    assert positions(aks("fair"), values, 8) == [4, 8, 16, 24, 36, 44, 52, 60]


def test_no_depth_of_the_paper_exceeds_the_budget():
    """With depth beyond log2 of the budget every leaf would give one frame; the paper's bound gives the same."""
    values = np.random.default_rng(3).random(300)
    deep, bounded = (positions(aks("paper", s_thr=1, max_depth=depth), values, 6) for depth in (30, 3))
    assert deep == bounded
    assert len(deep) == 6


@settings(max_examples=200)
@given(
    values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=150),
    budget=st.integers(1, 70),
    s_thr=st.floats(0, 1),
    depth=st.integers(0, 8),
    variant=st.sampled_from(("fair", "paper")),
)
def test_fair_variants_give_exactly_the_budget(values, budget, s_thr, depth, variant):
    chosen = positions(aks(variant, s_thr=s_thr, max_depth=depth), values, budget)
    assert len(chosen) == len(set(chosen)) == min(budget, len(values))
    assert chosen == sorted(chosen)


@given(
    values=st.lists(st.floats(0, 1, width=32), min_size=64, max_size=200),
    exponent=st.integers(0, 6),
    s_thr=st.floats(0.01, 1),
    data=st.data(),
)
def test_released_and_fair_agree_where_the_depth_divides_the_budget(values, exponent, s_thr, data):
    depth = data.draw(st.integers(0, exponent))
    values[0], values[1] = 0, 1
    budget = 2**exponent
    released, fair = (positions(aks(v, s_thr=s_thr, max_depth=depth), values, budget) for v in ("released", "fair"))
    assert released == fair
