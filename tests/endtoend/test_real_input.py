"""Real labels and real videos through the same rules. The accuracy means nothing here: the answerer is the demo's."""

import csv
import shutil
from pathlib import Path

import pytest

from framesift.answering.answer_file import read_answers
from framesift.data.labels import read_records
from framesift.video.table import read_videos
from project import ROOT, Project

DATA = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")


def test_real_questions_about_real_videos_reach_the_table(tmp_path):
    labels = (DATA / "videomme" / "test-00000-of-00001.parquet").resolve()
    videos = sorted((DATA / "videos").iterdir())
    names = list(dict.fromkeys(record["videoID"] for record in read_records(labels)))[: len(videos)]
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, video in zip(names, videos, strict=True):
        shutil.copy(video, folder / f"{name}{video.suffix}")
    dataset = {"data_dir": str(tmp_path), "labels": str(labels), "videos": "videos", "video_ids": names}
    table = {
        "dataset": "videomme",
        "answerers": ["demo_vlm"],
        "scorers": ["demo_clip", "demo_blip"],
        "selectors": ["uniform", "aks"],
        "budgets": [8],
        "group_by": "duration",
    }
    overlay = {"datasets": {"videomme": dataset | {"shards": 2, "chunks": 2}}, "tables": {"videomme": table}}
    project = Project(tmp_path / "project", overlay)
    project.run("results/tables/videomme.csv")

    with open(project.folder / "results" / "tables" / "videomme.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["scorer"]) for row in rows] == [
        ("uniform", ""), ("aks", "demo_clip"), ("aks", "demo_blip"),
    ]  # fmt: skip
    assert {(row["n"], row["n_total"], row["excluded"]) for row in rows} == {(str(3 * len(names)),) * 2 + ("0",)}

    (path,) = (project.folder / "results" / "videos").glob("*.parquet")
    known = read_videos(path)
    assert {video.codec for video in known.values()} >= {"h264", "hevc"}
    assert any("av1" in video.codec or "dav1d" in video.codec for video in known.values())
    for path in (project.folder / "results" / "answers").rglob("*.json"):
        for answer in read_answers(path).values():
            video = known[answer.video_id]
            assert len(answer.frames_given) == min(8, len(video.frames))
            assert set(answer.frames_given) <= set(video.frames)


def test_the_documented_command_converts_the_real_labels(tmp_path):
    import json
    import subprocess
    import sys

    labels = DATA / "videomme" / "test-00000-of-00001.parquet"
    subprocess.run(
        [sys.executable, "workflow/scripts/convert_labels.py", "--dataset", "videomme",
         "--labels", str(labels), "--out", str(tmp_path / "out.json")],
        cwd=ROOT, check=True,
    )  # fmt: skip
    records = json.loads(Path(tmp_path / "out.json").read_text())
    assert len(records) == 2700
    original = {record["question_id"]: record for record in read_records(labels)}
    for record in records:
        assert {key: record[key] for key in original[record["question_id"]]} == original[record["question_id"]]
