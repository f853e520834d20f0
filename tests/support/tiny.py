"""A tiny dataset in VideoMME's schema with real videos, made by the demo's own programs, and a configuration for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from project import ROOT, Project

SCRIPTS = ROOT / "workflow" / "scripts"
#: Two videos of two minutes: enough for more candidates than the budget, and quick.
WORLD = {"short_videos": 2, "medium_videos": 0, "long_videos": 0, "short_seconds": 120, "one_moment_questions": 2}
VIDEOS = ("demo-short-1", "demo-short-2")
TABLE = "results/tables/tiny.csv"


def program(name: str, *arguments: object) -> None:
    """Run one of the workflow's programs."""
    subprocess.run([sys.executable, str(SCRIPTS / name), *map(str, arguments)], check=True, capture_output=True)


def make_dataset(folder: Path, world: dict | None = None) -> Path:
    """Write labels.parquet, evidence.json and videos/ into `folder`."""
    spec = json.dumps(world or WORLD)
    folder.mkdir(parents=True, exist_ok=True)
    program("make_demo_labels.py", "--spec", spec, "--labels", folder / "labels.parquet",
            "--evidence", folder / "evidence.json")  # fmt: skip
    for video in VIDEOS:
        program("make_demo_video.py", "--spec", spec, "--video", video, "--out", folder / "videos" / f"{video}.mp4")
    return folder


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
