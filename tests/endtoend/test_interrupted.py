"""kill -9 in every stage, then run again: nothing is lost, nothing is done twice, and the table is the same."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tiny import TABLE, make_project

PROGRAMS = (
    *("convert_labels", "index_videos", "assign_shards", "score_frames"),
    *("merge_scores", "select_frames", "evaluate_selection", "judge_answers", "make_table"),
)

#: Stands before `python` in PATH. Each program is killed the first time it is called: as soon as it has kept a first
#: piece of work, or, for those that keep none, while it starts.
KILLER = """#!{python}
import glob, os, subprocess, sys, time
program = os.path.basename(sys.argv[1]).removesuffix(".py")
mark = os.path.join({marks!r}, program)
if os.path.exists(mark):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
open(mark, "w").close()
kept = {{"index_videos": "videos/*", "score_frames": "scores/*/*", "evaluate_selection": "answers/*/*"}}.get(program)
child = subprocess.Popen([{python!r}, *sys.argv[1:]])
started = time.time()
while child.poll() is None:
    if kept and any(os.path.getsize(file) for file in glob.glob("results/cache/" + kept)):
        break
    if not kept and time.time() > started + 0.2:
        break
    time.sleep(0.002)
child.kill()
child.wait()
sys.exit(137)
"""


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project", scorers=["demo_clip"], selectors=["uniform", "aks"])


def journal_keys(project):
    lines = [
        json.loads(line)
        for file in (project.folder / "results" / "cache" / "answers").rglob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    return Counter(line["key"] for line in lines)


def cached(project, what):
    return {
        path: path.stat().st_mtime_ns for path in (project.folder / "results" / "cache" / what).rglob("*.safetensors")
    }


def test_killed_in_every_stage(project):
    tools, marks = project.folder / "tools", project.folder / "marks"
    tools.mkdir()
    marks.mkdir()
    (tools / "python").write_text(KILLER.format(python=sys.executable, marks=str(marks)))
    (tools / "python").chmod(0o755)
    path = f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    scored_before, answered_before = {}, Counter()
    for _ in range(len(PROGRAMS) + 2):
        done = project.run(TABLE, check=False, PATH=path)
        for file, stamp in scored_before.items():
            assert file.stat().st_mtime_ns == stamp, "a finished video was scored again"
        assert answered_before <= journal_keys(project)
        scored_before, answered_before = cached(project, "scores"), journal_keys(project)
        leftovers = [file for file in (project.folder / "results").rglob("*.tmp*") if file.is_file()]
        assert all(file.name.startswith(".") for file in leftovers), "what is half written must not look whole"
        if done.returncode == 0:
            break
        assert not (project.folder / TABLE).exists()
    assert done.returncode == 0
    assert {file.name for file in marks.iterdir()} == set(PROGRAMS), "every program was killed once"
    assert set(journal_keys(project).values()) == {1}, "no question was asked twice"
    assert project.would_run(TABLE) == {}
    assert_the_table_is_that_of_an_uninterrupted_run(project)


def assert_the_table_is_that_of_an_uninterrupted_run(project):
    interrupted = (project.folder / TABLE).read_bytes()
    os.rename(project.folder / "results", project.folder / "results_interrupted")
    project.run(TABLE)
    assert (project.folder / TABLE).read_bytes() == interrupted


def test_snakemake_itself_is_killed(project):
    """What was done stays; after --unlock, which the message names, the rest is done."""
    (project.folder / "test.yaml").write_text(yaml.safe_dump(project.config))
    command = [sys.executable, "-m", "snakemake", "--configfile", "test.yaml", "--cores", "2", TABLE]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with open(project.folder / "killed.log", "w") as log:
        running = subprocess.Popen(command, cwd=project.folder, env=env, stdout=log, stderr=log, start_new_session=True)
        while not cached(project, "scores") and running.poll() is None:
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    scored = cached(project, "scores")
    assert scored
    refused = project.run(TABLE, check=False)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout + refused.stderr
    project.snakemake("--unlock")
    project.run(TABLE)
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in scored.items())
    assert_the_table_is_that_of_an_uninterrupted_run(project)
