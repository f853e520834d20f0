"""A scorer of the hub, by Snakemake: its checkpoint is fetched once, by a job of its own."""

import json

import pytest

from local_hub import LocalHub
from project import ROOT
from tiny import make_project

TABLE = "results/measures/tiny.csv"


@pytest.fixture(scope="module")
def hub():
    files = {path.name: path.read_bytes() for path in (ROOT / "resources" / "demo" / "clip").iterdir()}
    with LocalHub() as server:
        server.commit = server.add("someone/clip", files, kind="model")
        yield server


def test_a_scorer_of_the_hub(tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("FRAMESIFT_CHECKPOINTS", raising=False)
    project = make_project(tmp_path / "project", scorers=["hub_clip"], selectors=["uniform", "topk"])
    project.config["scorers"] = {"hub_clip": {"kind": "clip", "model": "someone/clip", "revision": hub.commit}}
    name = f"someone--clip-{hub.commit[:12]}"
    manifest = project.folder / "results" / "checkpoints" / f"{name}.json"

    assert project.run(TABLE, check=False, HF_HUB_OFFLINE="1").returncode != 0
    log = (project.folder / "logs" / "checkpoints" / f"{name}.log").read_text()
    assert "is needed, but nothing may be downloaded (HF_HUB_OFFLINE is set)" in log
    assert hub.requests == []

    project.run(TABLE, HF_HUB_OFFLINE="0")
    found = json.loads(manifest.read_text())
    assert (found["origin"], found["folder"]) == ("download", f"data/checkpoints/someone--clip/{hub.commit}")
    assert project.would_run(TABLE) == {}

    # From here on without a hub. How files are fetched changes no score.
    hub.requests.clear()
    project.run(TABLE, "--forcerun", "score_frames", HF_HUB_OFFLINE="1")
    project.edit(
        "workflow/scripts/framesift/checkpoints/fetch.py", '"origin": found.origin', '"origin": str(found.origin)'
    )
    assert dict(project.would_run(TABLE)) == {"download_checkpoint": 1}
    project.run(TABLE, HF_HUB_OFFLINE="1")
    assert project.would_run(TABLE) == {}
    assert hub.requests == []
