"""Evidence recall: small cases by hand, and what must hold for all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framesift.core.errors import InputError
from framesift.data.evidence import evidence_in_seconds, read_evidence
from framesift.data.questions import Evidence, Question
from framesift.measures.evidence import evidence_recall
from framesift.video.table import Video

SECONDS = st.floats(0, 1000, allow_nan=False)
SPANS = st.lists(st.tuples(SECONDS, SECONDS).map(lambda span: tuple(sorted(span))), min_size=1, max_size=5)
TIMES = st.lists(SECONDS, max_size=8)


@pytest.mark.parametrize(
    ("times", "spans", "tolerance", "expected"),
    [
        ([1.0, 5.0], [(4.0, 6.0)], 0, 1.0),
        ([1.0, 5.0], [(4.0, 6.0), (8.0, 9.0)], 0, 0.5),
        ([4.0, 6.0], [(4.0, 4.5), (5.0, 6.0)], 0, 1.0),  # both ends count
        ([3.999], [(4.0, 6.0)], 0, 0.0),
        ([3.5], [(4.0, 6.0)], 0.5, 1.0),
        ([6.6], [(4.0, 6.0)], 0.5, 0.0),
        ([5.0, 5.1, 5.2], [(4.0, 6.0), (8.0, 9.0)], 0, 0.5),  # many frames of one span are one span
        ([], [(4.0, 6.0)], 0, 0.0),
        ([5.0], [], 0, None),
    ],
)
def test_by_hand(times, spans, tolerance, expected):
    assert evidence_recall(times, spans, tolerance) == expected


@given(TIMES, SPANS)
def test_is_a_share_and_order_is_nothing(times, spans):
    recall = evidence_recall(times, spans)
    assert 0 <= recall <= 1
    assert recall == evidence_recall(reversed(times), spans[::-1])


@given(TIMES, SPANS, SECONDS, st.floats(0, 10))
def test_more_frames_or_more_tolerance_never_lower_it(times, spans, another, tolerance):
    recall = evidence_recall(times, spans)
    assert evidence_recall([*times, another], spans) >= recall
    assert evidence_recall(times, spans, tolerance) >= recall


def test_a_file(tmp_path):
    file = tmp_path / "evidence.json"
    file.write_text(
        json.dumps({"a": {"kind": "one_moment", "spans": [[1, 2.5]]}, "b": {"kind": "whole_video", "spans": []}})
    )
    assert read_evidence(file) == {
        "a": Evidence(kind="one_moment", spans=((1.0, 2.5),)),
        "b": Evidence(kind="whole_video"),
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not an evidence file"),
        ({"a": []}, r"evidence\.json: a"),
        ({"a": {"spans": []}}, r"a\.kind"),
        ({"a": {"kind": "one_moment", "spans": [[2, 1]]}}, "must not end before it starts"),
        ({"a": {"kind": "one_moment", "spans": [[1]]}}, r"a\.spans\[0\]"),
        ({"a": {"kind": "one_moment", "spans": [[0, None]]}}, r"a\.spans\[0\]\[1\]"),
    ],
)
def test_broken_files(tmp_path, content, message):
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_evidence(file)


def test_scenes_of_kfs_bench(tmp_path):
    file = tmp_path / "anno.csv"
    file.write_text(
        "id,segment_id,scene_id,start,end\nq1,1,0,1:05,1:07.5\nq1,0,0,0:00:12,0:00:13\nq2,0,4,59:58,1:00:02\n"
    )
    evidence = read_evidence(file)
    assert evidence["q1"] == Evidence(kind="one_moment", spans=((12, 14), (65, 68.5)))
    assert evidence["q2"].spans == ((3598, 3603),)
    for line, message in (("q3,0,0,12,13", "expected a time as h:m:s or m:s"), ("q3,0,0,0:09,0:05", "end before")):
        (tmp_path / "bad.csv").write_text(f"id,segment_id,scene_id,start,end\n{line}\n")
        with pytest.raises(InputError, match=rf"bad\.csv: record 1: .*{message}"):
            read_evidence(tmp_path / "bad.csv")
    (tmp_path / "bad.csv").write_text("id,start,end\nq,0:01,0:02\n")
    with pytest.raises(InputError, match=r"column 'scene_id': is missing"):
        read_evidence(tmp_path / "bad.csv")


def question(question_id, evidence=None):
    return Question(question_id=question_id, video_id="v", question="?", answer="yes", evidence=evidence)


def test_evidence_that_names_frames_is_turned_into_seconds(tmp_path):
    videos = {"v": Video("v", "v.mp4", fps=25.0)}
    asked = [question("a", Evidence.of_moments(frames=(50, 25))), question("b"), question("c", Evidence(kind="x"))]
    found = evidence_in_seconds(asked, videos)
    assert found["a"] == Evidence(kind="two_moments", spans=((1, 1), (2, 2)))
    assert list(found) == ["a", "c"]
    with pytest.raises(InputError, match=r"question a: has evidence in frames(.|\n)*--videos"):
        evidence_in_seconds(asked, {})
    (tmp_path / "own.json").write_text('{"a": {"kind": "own", "spans": [[3, 4]]}, "z": {"kind": "unknown"}}')
    assert evidence_in_seconds(asked, videos, tmp_path / "own.json")["a"].kind == "own"
    assert evidence_recall([2.9], found["a"].spans, tolerance=1.0) == 0.5
