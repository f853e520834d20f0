"""Measures of selections, by hand on three small questions, and through the program."""

import csv
import json

import numpy as np
import pytest

from framesift.data.questions import NORMALISED, Evidence
from framesift.measures.measure import MeasureInputs, measure, overlaps
from framesift.scoring.embedding_table import Embeddings, write_embeddings
from framesift.selection.select_frames import Selected, write_selection
from framesift.storage.tensors import write_tensors
from framesift.video.table import Video, write_videos
from tiny import program

FRAMES = [10 * j for j in range(10)]
VIDEO = Video("v", "v.mp4", duration=10.0, fps=10.0, frames=FRAMES, stamps=FRAMES, times=[float(j) for j in range(10)])
VIDEO = Video(**vars(VIDEO) | {"digest": "d"})


def chosen(*seconds):
    return Selected(video_id="v", frames=[10 * s for s in seconds], times=[float(s) for s in seconds], candidates=10)


SELECTION = {
    "a": chosen(0, 5, 9),
    "b": chosen(2, 2, 3),
    "c": Selected(video_id="v", error="scores: no"),
}
BASELINE = {"a": chosen(0, 4, 9), "b": chosen(2, 3, 9), "c": chosen(1, 2, 3)}
EVIDENCE = {
    "a": Evidence(kind="one_moment", spans=((6.5, 7.0),)),
    "b": Evidence(kind="two_moments", spans=((3.0, 3.5), (8.0, 9.0))),
}
SCENES = {"a": (((0.0, 1.0),), ((8.0, 10.0),)), "c": (((0.0, 1.0),),)}


@pytest.fixture
def embeddings(tmp_path):
    """Frames turn by 18 degrees a second."""
    angles = np.arange(10) * np.pi / 10
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    write_tensors(tmp_path / "v.safetensors", {"features": features}, {})
    write_embeddings(tmp_path / "e.safetensors", {"v": {"file": str(tmp_path / "v.safetensors")}}, {}, {})
    return Embeddings([tmp_path / "e.safetensors"])


def test_by_hand(embeddings):
    row = measure(SELECTION, BASELINE, ["a", "b", "c"], MeasureInputs({"v": VIDEO}, EVIDENCE, SCENES, embeddings))
    assert (row["n"], row["excluded"]) == (2, 1)
    assert row["frames_mean"] == 3
    assert row["distinct_mean"] == 2.5
    assert row["recall_0s"] == pytest.approx((0 + 1 / 2) / 2)
    assert row["recall_1s"] == pytest.approx((0 + 1 / 2) / 2)
    assert row["recall_2s"] == pytest.approx((1 + 1 / 2) / 2)
    assert row["recall_4s"] == pytest.approx((1 + 1 / 2) / 2)
    assert row["largest_gap"] == pytest.approx((0.5 + 0.7) / 2)
    assert row["overlap"] == pytest.approx((2 / 4 + 2 / 3) / 2)
    turned = np.cos(np.array([5, 4, 0, 1]) * np.pi / 10)
    assert row["redundancy"] == pytest.approx((turned[:2].mean() + turned[2:].mean()) / 2)
    assert row["n_scenes"] == 1
    assert row["kfr"] == pytest.approx(2 / 3)
    assert row["shr"] == 1


def test_what_is_not_known_is_not_measured():
    row = measure(SELECTION, None, ["b"], MeasureInputs({}, {}, {}, None))
    assert row["n"] == 1
    unknown = ("recall_0s", "largest_gap", "mean_distance", "redundancy", "overlap", "n_scenes", "kfr", "ukss")
    assert {name: row[name] for name in unknown} == dict.fromkeys(unknown)
    nothing = measure(SELECTION, None, ["c"], MeasureInputs({}, {}, {}, None))
    assert (nothing["n"], nothing["excluded"], nothing["frames_mean"]) == (0, 1, None)


def test_frames_that_are_no_candidates_have_no_redundancy(embeddings):
    odd = {"a": Selected(video_id="v", frames=[0, 15, 90], times=[0.0, 1.5, 9.0], candidates=10)}
    row = measure(odd, None, ["a"], MeasureInputs({"v": VIDEO}, EVIDENCE, {}, embeddings))
    assert row["redundancy"] is None
    assert row["largest_gap"] == pytest.approx(0.75)


def test_overlaps_are_symmetric():
    matrix = overlaps({"one": SELECTION, "other": BASELINE})
    assert matrix == pytest.approx(np.array([[1, 7 / 12], [7 / 12, 1]]))
    assert np.isnan(overlaps({"one": {"c": SELECTION["c"]}, "other": {"c": BASELINE["c"]}})[0]).all()


def test_the_program_measures_every_group(tmp_path):
    normalised = {"question": "?", "options": ["x", "y"], "answer": "A", "video_id": "v"}
    records = [
        {NORMALISED: {**normalised, "question_id": name, "groups": {"duration": "short" if name == "a" else "long"}}}
        for name in "abc"
    ]
    (tmp_path / "labels.json").write_text(json.dumps(records))
    evidence = {name: entry.model_dump() for name, entry in EVIDENCE.items()}
    (tmp_path / "evidence.json").write_text(json.dumps(evidence))
    write_videos(tmp_path / "videos.parquet", [VIDEO], {})
    cells = []
    for method, selection in (("uniform", BASELINE), ("mine", SELECTION)):
        write_selection(tmp_path / f"{method}.json", selection, {})
        cells.append({"method": method, "scorer": None, "budget": 3, "selection": str(tmp_path / f"{method}.json")})
    spec = json.dumps({"baseline": "uniform", "selections": cells})
    program("measure_selections.py", "--spec", spec, "--labels", tmp_path / "labels.json", "--videos",
            tmp_path / "videos.parquet", "--evidence", tmp_path / "evidence.json", "--out", tmp_path / "out.csv",
            "--overlaps-out", tmp_path / "overlaps.csv")  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    found = {(row["method"], row["grouping"], row["group"]): row for row in rows}
    assert found["mine", "", ""]["overlap"] == "0.5833"
    assert found["uniform", "", ""]["overlap"] == ""
    assert found["mine", "duration", "short"]["n"] == "1"
    assert found["mine", "duration", "long"]["excluded"] == "1"
    assert found["mine", "evidence", "two_moments"]["recall_0s"] == "0.5000"
    assert len(rows) == 2 * (1 + 2 + 2)
    lines = (tmp_path / "overlaps.csv").read_text().splitlines()
    assert lines[0] == "selection,uniform//3,mine//3"
    assert lines[1] == "uniform//3,1.0000,0.5833"
