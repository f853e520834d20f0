"""Broken videos and useless scores cost their own questions, and the table counts them; the run goes on."""

import csv
import json
import shutil
from fractions import Fraction

import pytest

from barcode import write_video
from framesift.answering.answer_file import read_answers
from framesift.config.models import Config
from framesift.config.plan import Plan
from framesift.selection.select_frames import read_selection
from framesift.video.table import read_videos
from project import ROOT, Project
from tiny import TABLE, config

#: What the index must say of each video (None: usable), and how many candidates a usable one has.
VIDEOS = {
    "good": (None, 30),
    "brief": (None, 3),  # fewer candidates than the budget
    "slow": (None, 20),  # a frame every two seconds: all are candidates
    "clipped": (None, None),  # lacks its last seconds
    "cut": ("is cut off", 0),
    "empty": ("the file is empty", 0),
    "text": ("the file cannot be read as a video", 0),
    "missing": ("no video file was found", 0),
}
BROKEN = [name for name, (error, _) in VIDEOS.items() if error]


def checkpoint_with(folder, value):
    """The demo's CLIP with the projection of images set to one value: its scores are NaN, or all equal."""
    import torch
    from transformers import CLIPModel

    shutil.copytree(ROOT / "resources" / "demo" / "clip", folder)
    model = CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        model.visual_projection.weight.fill_(value)
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("bad") / "project", config(scorers=["demo_clip", "nan", "equal"]))
    videos = project.folder / "data" / "videos"
    videos.mkdir(parents=True)
    write_video(videos / "good.mp4", 300, 10)
    write_video(videos / "brief.mp4", 13, 4)
    write_video(videos / "slow.mp4", 20, Fraction(1, 2))
    write_video(project.folder / "whole.mkv", 300, 10)
    whole = (project.folder / "whole.mkv").read_bytes()
    (videos / "cut.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    (videos / "clipped.mkv").write_bytes(whole[: len(whole) * 92 // 100])
    (videos / "empty.mp4").touch()
    (videos / "text.mp4").write_text("no video\n" * 100)
    records = [
        {
            "video_id": name,
            "duration": "short",
            "domain": "Synthetic",
            "sub_category": "Bad",
            "url": "",
            "videoID": name,
            "question_id": f"{name}-1",
            "task_type": "OCR Problems",
            "question": "What digit is on the red star?",
            "options": ["A. 1", "B. 2", "C. 3", "D. 4"],
            "answer": "A",
        }
        for name in VIDEOS
    ]
    (project.folder / "data" / "labels.json").write_text(json.dumps(records))
    (project.folder / "data" / "evidence.json").write_text("{}")
    project.config["datasets"]["tiny"]["labels"] = "labels.json"
    for name, value in (("nan", float("nan")), ("equal", 0.0)):
        checkpoint_with(project.folder / "models" / "of" / name, value)
        project.config["scorers"] = project.config.get("scorers", {}) | {
            name: {"kind": "clip", "model": f"models/of/{name}"}
        }
    project.config["tables"]["tiny"] |= {"selectors": ["uniform", "topk"], "group_by": None}
    refused = project.run(TABLE, check=False)
    assert refused.returncode != 0
    project.refusal = refused.stdout + refused.stderr
    project.config["datasets"]["tiny"]["max_excluded"] = 1.0
    project.run(TABLE)
    return project


@pytest.fixture(scope="module")
def rows(project):
    with open(project.folder / TABLE) as file:
        return {(row["method"], row["scorer"]): row for row in csv.DictReader(file)}


def test_the_index_says_what_is_wrong(project):
    (path,) = (project.folder / "results" / "videos").glob("tiny-*.parquet")
    table = read_videos(path)
    assert set(table) == set(VIDEOS)
    for name, (error, candidates) in VIDEOS.items():
        assert (table[name].error is None) == (error is None)
        assert (error or "") in (table[name].error or "")
        if candidates is not None:
            assert len(table[name].frames) == candidates
    assert not table["clipped"].complete
    assert 25 < len(table["clipped"].frames) < 30


def test_too_many_unusable_videos_stop_the_run_and_are_listed(project):
    assert "4 of 8 videos cannot be used (2 broken, 1 short, 1 missing)" in project.refusal
    assert "expected: at most 1 of them" in project.refusal
    assert "or raise max_excluded of the dataset" in project.refusal
    (path,) = (project.folder / "results" / "videos").glob("tiny-*-excluded.csv")
    with open(path) as file:
        listed = {row["video_id"]: row for row in csv.DictReader(file)}
    assert {name: row["reason"] for name, row in listed.items()} == {
        "cut": "short",
        "empty": "broken",
        "missing": "missing",
        "text": "broken",
    }
    assert {row["questions"] for row in listed.values()} == {"1"}


def test_broken_videos_are_excluded_and_counted(rows):
    for key in (("uniform", ""), ("topk", "demo_clip")):
        assert int(rows[key]["n"]) == len(VIDEOS) - len(BROKEN)
        assert int(rows[key]["excluded"]) == len(BROKEN)
        assert int(rows[key]["frames_min"]) == 3  # the brief video, taken whole
        assert int(rows[key]["frames_max"]) == 4


def test_scores_that_are_no_numbers_exclude_their_questions(project, rows):
    row = rows["topk", "nan"]
    # of the brief video all candidates are taken, whatever their scores
    assert (row["n"], row["excluded"]) == ("1", str(len(VIDEOS) - 1))


def test_equal_scores_give_uniform_frames_and_say_so(project, rows):
    plan = Plan(Config.model_validate(_merged(project)))
    cells = {(cell.selector_name, cell.scorer_name): cell for cell in plan.cells("tiny")}
    uniform = read_selection(project.folder / plan.selection("tiny", cells["uniform", None].selecting))
    equal = read_selection(project.folder / plan.selection("tiny", cells["topk", "equal"].selecting))
    assert equal["good-1"].note == "all scores are equal: uniform frames"
    assert {name: choice.frames for name, choice in equal.items()} == {
        name: choice.frames for name, choice in uniform.items()
    }
    assert rows["topk", "equal"]["accuracy"] == rows["uniform", ""]["accuracy"]


def test_the_answers_tell_why_a_question_is_left_out(project):
    plan = Plan(Config.model_validate(_merged(project)))
    cell = plan.cells("tiny")[0]
    (path,) = plan.answers("tiny", cell.answering, cell.selecting)
    answers = read_answers(project.folder / path)
    assert {name.removesuffix("-1") for name, answer in answers.items() if answer.error} == set(BROKEN)
    assert "the file is empty" in answers["empty-1"].error


def test_a_dataset_without_one_usable_video_is_a_mistake(project):
    (project.folder / "data" / "none").mkdir()
    project.config["datasets"]["none"] = project.config["datasets"]["tiny"] | {"videos": "none"}
    done = project.run("results/videos/none-" + "0" * 12 + ".parquet", check=False)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert "none of the 8 videos can be used" in text
    assert "hint: set data_dir and videos of the dataset" in text
    del project.config["datasets"]["none"]


def test_what_is_missing_is_named_before_anything_runs(project):
    project.config["datasets"]["lost"] = {"kind": "videomme", "data_dir": "nowhere", "download": False}
    done = project.run("results/labels/lost.json", check=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "datasets.lost.labels: there is no such file" in text
    assert "nowhere/videomme/test-00000-of-00001.parquet" in text
    del project.config["datasets"]["lost"]


def _merged(project):
    import yaml

    merged = yaml.safe_load((project.folder / "config" / "config.yaml").read_text())
    for section, entries in project.config.items():
        merged[section] = {**merged.get(section, {}), **entries}
    return merged
