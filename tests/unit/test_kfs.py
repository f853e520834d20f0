"""KFS-Bench's metrics: its own evaluation on synthetic annotations, and the rules of this project."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framesift.core.errors import InputError
from framesift.data.scenes import scenes_of
from framesift.measures.kfs import kfs, kfs_means

GOLDEN = json.loads(gzip.decompress((Path(__file__).parents[1] / "golden" / "kfs_metrics_golden.json.gz").read_bytes()))
COLUMNS = ("id", "segment_id", "scene_id", "start", "end")
SECONDS = st.floats(0, 100, allow_nan=False)
SEGMENT = st.tuples(SECONDS, st.floats(0.5, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
SCENES = st.lists(st.lists(SEGMENT, min_size=1, max_size=3), min_size=1, max_size=4)


def scenes(group):
    return scenes_of(dict(zip(COLUMNS, row, strict=True)) for row in group["anno"])


def annotated_results(group, annotated):
    """The reference leaves out results without annotation."""
    return [result for result in group["results"] if result["id"] in annotated]


def test_every_golden_question():
    compared = 0
    for group in GOLDEN["groups"]:
        annotated = scenes(group)
        for result, expected in zip(annotated_results(group, annotated), group["per_question"], strict=True):
            value = kfs(result["frame_timestamps"], annotated[result["id"]])
            got = {"kfr": value.kfr, "shr": value.shr, "bsr": value.bsr, "bds": value.bds, "ukss": value.ukss}
            assert result["id"] == expected.pop("id")
            assert got == pytest.approx(expected, abs=1e-12)
            compared += 1
    assert compared == 61


@pytest.mark.parametrize("group", GOLDEN["groups"])
def test_golden_means(group):
    annotated = scenes(group)
    results = annotated_results(group, annotated)
    # numbered, since one question of a group is there twice, and the reference counts it so
    means = kfs_means(
        {str(number): result["frame_timestamps"] for number, result in enumerate(results)},
        {str(number): annotated[result["id"]] for number, result in enumerate(results)},
    )
    got = {"kfr": means.kfr, "shr": means.shr, "ukss": means.ukss}
    assert got == pytest.approx(group["aggregate"], abs=1e-12)
    assert means.questions == len(results)


def test_questions_left_out_or_made_up_are_refused():
    scenes = {"a": [[(0, 2)]], "b": [[(4, 6)]]}
    with pytest.raises(InputError, match="1 annotated questions have no frames"):
        kfs_means({"a": [1]}, scenes)
    with pytest.raises(InputError, match="1 questions are not annotated"):
        kfs_means({"a": [1], "b": [1], "c": [1]}, scenes)
    with pytest.raises(InputError, match="no annotated questions"):
        kfs_means({}, {})


@pytest.mark.parametrize("times", [[], [1.0, float("nan")], [float("inf")]])
def test_frames_that_cannot_be_measured_are_refused(times):
    with pytest.raises(InputError, match="question a: needs at least one frame, and finite times"):
        kfs_means({"a": times}, {"a": [[(0, 2)]]})


def test_by_hand():
    """Ten frames, four in a scene of six seconds, one in a scene of two, none in the third."""
    scenes = [[(0, 3), (10, 13)], [(20, 22)], [(50, 52)]]
    value = kfs([0, 1, 10, 13, 22, 30, 31, 32, 33, 34], scenes)
    assert (value.kfr, value.shr, value.bsr) == (0.5, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert kfs([30], scenes).ukss == 0
    one = kfs([1, 30], scenes[:1])
    assert (one.bds, one.ukss) == (1, pytest.approx(0.5 ** (1 / 3)))


def test_times_of_annotations():
    rows = [{"id": "a", "scene_id": "0", "start": "0:01:00", "end": "75:00.5"}]
    assert scenes_of(rows) == {"a": ([(60, 4501.5)],)}
    with pytest.raises(ValueError, match="must not end before it starts"):
        scenes_of([rows[0] | {"end": "0:10"}])
    with pytest.raises(ValueError, match="expected a time"):
        scenes_of([rows[0] | {"end": "10"}])


@given(times=st.lists(SECONDS, min_size=1, max_size=10), scenes=SCENES)
def test_values_are_shares_and_order_is_nothing(times, scenes):
    value = kfs(times, scenes)
    for share in (value.kfr, value.shr, value.bsr, value.bds, value.ukss):
        assert 0 <= share <= 1 + 1e-12
    assert kfs(times[::-1], scenes) == value
    assert value.bsr <= value.shr + 1e-12
