"""A tiny dataset in VideoMME's schema with real videos, made by the demo's own programs, and a configuration for it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import shared
import warm
from project import ROOT, Project

SCRIPTS = ROOT / "workflow" / "scripts"
#: Two videos of two minutes: enough for more candidates than the budget, and quick.
WORLD = {"short_videos": 2, "medium_videos": 0, "long_videos": 0, "short_seconds": 120, "one_moment_questions": 2}
VIDEOS = ("demo-short-1", "demo-short-2")
TABLE = "results/tables/tiny.csv"


def program(name: str, *arguments: object) -> None:
    """Run one of the workflow's programs."""
    command = [warm.folder() / "python", SCRIPTS / name, *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def make_dataset(folder: Path) -> Path:
    """Put labels.parquet, evidence.json and videos/ into `folder`."""
    return shared.copy_of("tiny-dataset", _make_dataset, folder)


def _make_dataset(folder: Path) -> None:
    spec = json.dumps(WORLD)
    folder.mkdir()
    program("make_demo_labels.py", "--spec", spec, "--labels", folder / "labels.parquet",
            "--evidence", folder / "evidence.json")  # fmt: skip
    for video in VIDEOS:
        program("make_demo_video.py", "--spec", spec, "--video", video, "--out", folder / "videos" / f"{video}.mp4")


def config(data_dir: str = "data", **table: object) -> dict:
    """A configuration with the one table `tiny` over the dataset in `data_dir`."""
    dataset = {"kind": "videomme", "data_dir": data_dir, "labels": "labels.parquet", "videos": "videos"}
    dataset["download"] = False
    settings = {
        "dataset": "tiny",
        "answerers": ["demo_vlm"],
        "scorers": ["demo_clip", "demo_blip"],
        "selectors": ["uniform", "topk", "aks"],
        "budgets": [4],
        "group_by": "evidence",
    }
    return {"datasets": {"tiny": {**dataset, "evidence": "evidence.json"}}, "tables": {"tiny": settings | table}}


def make_project(folder: Path, **table: object) -> Project:
    """A project with the tiny dataset beside it; nothing has run yet."""
    project = Project(folder, config(**table))
    make_dataset(folder / "data")
    return project


def finished_project(folder: Path) -> Project:
    """The project of `make_project` with no other settings, after a run to its table."""
    shared.copy_of("tiny-finished", _finish, folder)
    return Project(folder, config(), copied=True)


def _finish(folder: Path) -> None:
    done = make_project(folder).run(TABLE)
    assert "19 of 19 steps" in done.stdout + done.stderr
