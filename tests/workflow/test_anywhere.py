"""The workflow runs in any folder, with a configuration of its own or none, and as a module of another workflow."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from forecast import graph
from project import ROOT
from tiny import config, make_dataset

MEASURES = "results/measures/tiny.csv"
#: Four quick jobs: labels, videos, uniform selections, measures.
UNIFORM = config(selectors=["uniform"], scorers=[])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("anywhere") / "data")


@pytest.fixture
def folder(tmp_path, data):
    """A working folder with data and a configuration, and nothing of Framesift; its path has a space."""
    folder = tmp_path / "my analysis"
    (folder / "config").mkdir(parents=True)
    (folder / "data").symlink_to(data)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(UNIFORM))
    return folder


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_a_working_folder_with_its_own_configuration(folder, tmp_path):
    done = snakemake(tmp_path, "-s", f"{ROOT}/Snakefile", "-d", str(folder), MEASURES)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 steps" in done.stderr
    assert (folder / MEASURES).is_file()
    assert json.loads((folder / "results/framesift.json").read_text())["version"]


def test_a_module_of_another_workflow(folder):
    (folder / "Snakefile").write_text(
        f"""configfile: "config/config.yaml"

module framesift:
    snakefile: "{ROOT}/Snakefile"
    config: config

use rule * from framesift

rule mine:
    input: "{MEASURES}"
    output: "mine.txt"
    shell: "wc -l {{input}} > {{output}}"
"""
    )
    done = snakemake(folder, "mine.txt")
    assert done.returncode == 0, done.stderr
    assert "5 of 5 steps" in done.stderr
    assert MEASURES in (folder / "mine.txt").read_text()


def test_a_folder_without_a_configuration_has_the_demo(tmp_path):
    jobs = graph(SimpleNamespace(folder=tmp_path, config={}), ["results/tables/demo.csv"], ROOT)
    assert {"make_demo_video", "score_frames", "evaluate", "make_table"} <= {job.rule for job in jobs}
    assert not [file for job in jobs for file in job.inputs if os.path.isabs(file)]


def test_results_of_a_newer_release_are_left_alone(folder):
    (folder / "results").mkdir()
    (folder / "results/framesift.json").write_text('{"version": "99.0"}')
    done = snakemake(folder, "-s", f"{ROOT}/Snakefile", MEASURES)
    assert done.returncode != 0
    for part in ("made by a newer Framesift", "results/framesift.json: version", "'99.0'"):
        assert part in done.stderr
    assert not (folder / MEASURES).exists()
