"""A dataset from the hub to the table of its videos, and one of one's own to its table, by Snakemake."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from barcode import write_video
from benchmarks import REPOSITORIES, zipped
from framesift.video.table import read_videos
from local_hub import Fault, LocalHub
from project import ROOT, Project
from tiny import SCRIPTS, VIDEOS, make_dataset

REPO = "someone/Video-MME"
INDEX = "results/videos/vm-73d00e1f4603.parquet"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """VideoMME in small, with videos that can be decoded."""
    folder = tmp_path_factory.mktemp("videos")
    files = REPOSITORIES["videomme"]()
    for archive, names in (("01", ("short1", "short2")), ("02", ("medium3", "long4"))):
        content = {}
        for number, name in enumerate(names):
            write_video(folder / f"{name}.mp4", 40 + 10 * number, 10)
            content[f"data/{name}.mp4"] = (folder / f"{name}.mp4").read_bytes()
        files[f"videos_chunked_{archive}.zip"] = zipped(content)
    return files


@pytest.fixture(scope="module")
def hub(repository):
    with LocalHub() as server:
        server.commit = server.add(REPO, repository)
        yield server


@pytest.fixture
def online(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", "")
    hub.requests.clear()
    return {"HF_HUB_OFFLINE": "0"}


def project_in(folder, hub, **fields):
    dataset = {"kind": "videomme", "data_dir": "data", "repo": REPO, "revision": hub.commit, **fields}
    return Project(folder, {"datasets": {"vm": dataset}})


def test_from_the_hub_to_the_table_of_videos(tmp_path, hub, online):
    project = project_in(tmp_path / "project", hub, limit=2)
    steps = {"download_dataset": 1, "convert_labels": 1, "index_videos": 1}
    assert dict(project.would_run(INDEX)) == steps
    project.run(INDEX, **online)
    assert list(read_videos(project.folder / INDEX)) == ["short1"]
    assert project.would_run(INDEX) == {}

    project.config["datasets"]["vm"]["limit"] = 4
    assert dict(project.would_run(INDEX)) == steps
    hub.requests.clear()
    project.run(INDEX, **online)
    assert list(read_videos(project.folder / INDEX)) == ["short1", "short2"]
    assert not any("parquet" in request.path for request in hub.requests if request.sent)
    assert project.would_run(INDEX) == {}

    # A video mended by hand is noticed, and nothing is fetched.
    target = project.folder / "data" / "data" / "short2.mp4"
    write_video(target, 70, 10)
    assert dict(project.would_run(INDEX)) == {"index_videos": 1}
    project.run(INDEX, HF_HUB_OFFLINE="1")
    assert read_videos(project.folder / INDEX)["short2"].n_frames == 70
    assert project.would_run(INDEX) == {}

    # Without a hub the rule works on what is there.
    project.run(INDEX, "--forcerun", "download_dataset", HF_HUB_OFFLINE="1")
    manifest = json.loads((project.folder / "results" / "datasets" / "vm.json").read_text())
    assert manifest["files"]["data/short2.mp4"]["from"] == "given"
    assert manifest["files"]["data/short1.mp4"]["from"] == f"{REPO}@{hub.commit}: videos_chunked_01.zip"
    assert project.would_run(INDEX) == {}


def test_a_video_that_is_missing_is_excluded(tmp_path, hub, online):
    project = project_in(tmp_path / "project", hub)
    project.run(INDEX, **online)
    (project.folder / "data" / "data" / "long4.mp4").unlink()
    assert dict(project.would_run(INDEX)) == {"index_videos": 1}
    project.run(INDEX, HF_HUB_OFFLINE="1")
    assert read_videos(project.folder / INDEX)["long4"].reason == "missing"
    project.run(INDEX, "--forcerun", "download_dataset", **online)
    assert read_videos(project.folder / INDEX)["long4"].reason == ""


def test_what_was_left_out_without_the_hub_is_tried_again_with_it(tmp_path, hub, online, repository):
    project = project_in(tmp_path / "project", hub, limit=2)
    labels = project.folder / "data" / "videomme" / "test-00000-of-00001.parquet"
    labels.parent.mkdir(parents=True)
    labels.write_bytes(repository["videomme/test-00000-of-00001.parquet"])
    manifest = "results/datasets/vm.json"
    project.run(manifest, HF_HUB_OFFLINE="1")
    assert json.loads((project.folder / manifest).read_text())["reasons"] == {
        "short1": "not downloaded: HF_HUB_OFFLINE is set"
    }
    assert project.would_run(manifest, HF_HUB_OFFLINE="1") == {}
    assert dict(project.would_run(manifest, **online)) == {"download_dataset": 1}
    project.run(manifest, **online)
    assert json.loads((project.folder / manifest).read_text())["missing"] == []
    assert project.would_run(manifest, **online) == project.would_run(manifest, HF_HUB_OFFLINE="1") == {}


def test_a_download_that_is_killed_goes_on_where_it_stopped(tmp_path, hub, online):
    big = {f"data/{name}.mp4": os.urandom(8_000_000) for name in ("short1", "short2", "medium3", "long4")}
    files = REPOSITORIES["videomme"]() | {"videos_chunked_01.zip": zipped(big)}
    del files["videos_chunked_02.zip"]
    commit = hub.add("someone/big", files)
    spec = {"kind": "videomme", "data_dir": str(tmp_path), "repo": "someone/big", "revision": commit}
    command = [sys.executable, str(SCRIPTS / "download_dataset.py"), "--spec", json.dumps(spec)]
    environment = {**os.environ, **online}
    hub.fail("videos_chunked_01.zip", Fault(cut_after=25_000_000, stall=60), whole=True)
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (parts := list(tmp_path.glob(".*.part"))) or parts[0].stat().st_size < 20_000_000:
        assert time.monotonic() < deadline, "the download did not begin"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    arrived = parts[0].stat().st_size
    hub.requests.clear()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"bytes={arrived}-" in {request.range for request in hub.requests}
    assert hub.sent("videos_chunked_01.zip") < 32_100_000 - arrived
    assert {path.stem: path.read_bytes() for path in (tmp_path / "data").glob("*.mp4")} == {
        name.split("/")[1].removesuffix(".mp4"): content for name, content in big.items()
    }
    assert "8 questions, 4 of 4 videos, 32.00 MB" in done.stderr


def test_the_example_of_ones_own_dataset(tmp_path):
    """What docs/datasets.md shows is written into files as it stands, and run."""
    text = (ROOT / "docs" / "datasets.md").read_text().split("## A dataset of your own")[1]
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL))
    project = Project(tmp_path / "project", {})
    (project.folder / "mine").mkdir()
    (project.folder / "mine" / "questions.csv").write_text(blocks["csv"])
    (project.folder / "mine.yaml").write_text(blocks["yaml"])
    made = make_dataset(tmp_path / "made")
    (project.folder / "mine" / "videos").mkdir()
    for name, video in zip(("kitchen", "garden"), VIDEOS, strict=True):
        shutil.copy(made / "videos" / f"{video}.mp4", project.folder / "mine" / "videos" / f"{name}.mp4")
    project.run("results/tables/mine.csv", "--configfile", "mine.yaml")
    with open(project.folder / "results" / "tables" / "mine.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["n"], row["excluded"]) for row in rows] == [("uniform", "3", "0"), ("topk", "3", "0")]
    assert {"accuracy[garden]", "accuracy[kitchen]"} <= rows[0].keys()
