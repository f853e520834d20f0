"""Finished results survive edits of the program that change no result, and a move of the checkout."""

import os
import shutil

import pytest

from forecast import graph, reruns
from framesift.answering.answerers.llava_onevision_hf import LlavaOnevisionHf
from framesift.core.versions import STAGES
from framesift.data.benchmarks.videomme import VideoMME
from framesift.scoring.scorers.blip_itm import BlipItm
from framesift.scoring.scorers.clip import Clip
from project import PARTS
from rewording import reword
from tiny import TABLE, make_project

COSTLY = {"score_frames", "embed_frames", "label_frames", "train_selector", "evaluate"}
LIBRARY = "workflow/scripts/framesift"
PAGES = [
    TABLE,
    *("results/report/tiny.html", "results/figures/tiny", "results/manifests/tiny.json", "results/measures/tiny.csv"),
    *("results/published/tiny.csv", "results/methods/tiny.tex"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("edits") / "project")
    project.jobs = graph(project, PAGES)
    assert len(project.jobs) > 20
    return project


@pytest.fixture
def edited(project):
    """The project to edit, and what would rerun if it had been run to its end before."""
    with project.restored():
        yield project, lambda: dict(reruns(project.jobs, graph(project, PAGES)))


def test_rewording_all_messages_reruns_nothing(edited):
    project, would_rerun = edited
    assert reword(project.folder / "workflow" / "scripts") > 1000
    assert would_rerun() == {}


def test_renaming_modules_reruns_nothing(edited):
    project, would_rerun = edited
    library = project.folder / LIBRARY
    for old, new in (("storage/checksums", "storage/digests"), ("scoring/score_videos", "scoring/scorer_runs")):
        (library / f"{old}.py").rename(library / f"{new}.py")
        for file in (project.folder / "workflow").rglob("*.py"):
            dotted = [f"framesift.{name.replace('/', '.')}" for name in (old, new)]
            file.write_text(file.read_text().replace(*dotted))
    assert would_rerun() == {}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("scoring/scorers/clip.py", "truncation=True", "truncation=False"),
        ("scoring/score_videos.py", "EVERY = 15.0", "EVERY = 16.0"),
        ("answering/evaluate.py", '"random_seed": 0', '"random_seed": 1'),
    ],
)
def test_costly_results_do_not_follow_the_text_of_the_program(edited, file, old, new):
    project, would_rerun = edited
    project.edit(f"{LIBRARY}/{file}", old, new)
    assert not COSTLY & would_rerun().keys()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("decoding", {"score_frames", "evaluate"}),
        ("scoring", {"score_frames", "evaluate"}),
        ("answering", {"evaluate"}),
        (Clip, {"score_frames", "evaluate"}),
        (BlipItm, {"score_frames", "evaluate"}),
        (LlavaOnevisionHf, {"evaluate"}),
        (VideoMME, {"evaluate"}),
    ],
)
def test_raising_a_version_reruns_what_it_made(edited, monkeypatch, raised, expected):
    _, would_rerun = edited
    if isinstance(raised, str):
        monkeypatch.setitem(STAGES, raised, STAGES[raised] + 1)
    else:
        monkeypatch.setattr(raised, "version", raised.version + 1)
    found = would_rerun()
    assert COSTLY & found.keys() == expected
    assert found.get("score_frames", 0) == (0 if expected == {"evaluate"} else 1 if raised in (Clip, BlipItm) else 2)


def test_the_arithmetic_of_a_selector_reruns_that_selector_alone(edited):
    project, would_rerun = edited
    project.edit(f"{LIBRARY}/selection/selectors/aks.py", "quota == 1", "quota <= 1")
    found = would_rerun()
    assert found["select_frames"] == found["evaluate"] == 2
    assert "score_frames" not in found


def test_a_moved_checkout_reruns_nothing(project, tmp_path):
    """The working folder stays; the workflow, with new dates on all its files, is somewhere else."""
    moved = tmp_path / "moved" / "checkout"
    moved.mkdir(parents=True)
    for part in PARTS:
        source = project.folder / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, moved / part)
    for file in moved.rglob("*"):
        os.utime(file)
    assert dict(reruns(project.jobs, graph(project, PAGES, moved))) == {}
