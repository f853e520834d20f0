"""Evidence recall: small cases by hand, and what must hold for all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framesift.errors import InputError
from framesift.evidence import read_evidence
from framesift.metrics.evidence import evidence_recall
from framesift.questions import Evidence

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
        ([], "is no evidence file"),
        ({"a": []}, r"evidence\.json: a"),
        ({"a": {"spans": []}}, r"a\.kind"),
        ({"a": {"kind": "one_moment", "spans": [[2, 1]]}}, "must not end before it starts"),
        ({"a": {"kind": "one_moment", "spans": [[1]]}}, r"a\.spans\.0"),
        ({"a": {"kind": "one_moment", "spans": [[0, None]]}}, r"a\.spans\.0\.1"),
    ],
)
def test_broken_files(tmp_path, content, message):
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_evidence(file)
