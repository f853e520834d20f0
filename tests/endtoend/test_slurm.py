"""A real SLURM on this machine, the shipped profile, and jobs that are killed from outside: the table is the same.

`make slurm-check` (SLURM_CHECK=1) runs the whole demo there in place of the tiny dataset.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import slurm_cluster
from project import Project
from slurm_cluster import ask
from tiny import make_project

WHY_NOT = slurm_cluster.why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

DEMO = "SLURM_CHECK" in os.environ
TABLE = f"results/tables/{'demo' if DEMO else 'tiny'}.csv"
PROFILE = ("--profile", "profiles/slurm")
ON_GPU = {"score_frames", "evaluate_selection"}
ON_LOGIN_NODE = {"convert_labels", "assign_shards"}

#: Memory that index_videos shall need: too much for its first attempt, not for its second.
SITE = {**slurm_cluster.SITE, "set-resources": {"index_videos": {"mem_mb": "1000 * attempt"}}}
NEEDED_MB = 1200

#: Stands before `python` in PATH and writes down each call: where it ran, with which GPU, and whether it ended. The
#: first call of some programs fails, or waits to be killed.
WITNESS = """#!{python}
import json, os, subprocess, sys, time
program = os.path.basename(sys.argv[1]).removesuffix(".py")

def note(**what):
    call = dict(program=program, job=os.environ.get("SLURM_JOB_ID"), node=os.environ.get("SLURMD_NODENAME"),
                gpu=os.environ.get("CUDA_VISIBLE_DEVICES"), pid=os.getpid(), time=time.time(), **what)
    with open({calls!r}, "a") as file:
        file.write(json.dumps(call) + "\\n")

def first():
    try:
        return bool(os.open(os.path.join({marks!r}, program), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False

note(event="start")
if program == "index_videos":
    needed = b"x" * ({needed_mb} << 20)
    time.sleep(4)  # SLURM looks once a second
    del needed
if program == "select_frames" and first():
    sys.exit(1)
if program in ("score_frames", "merge_scores") and first():
    note(event="wait")
    time.sleep(120)
code = subprocess.call([{python!r}, *sys.argv[1:]])
note(event="end", code=code)
sys.exit(code)
"""


class Run:
    """One run by the profile, with its faults: what it printed, and every call of a program."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self._calls, self.took_down = project, folder / "calls.jsonl", ""
        tools, marks = folder / "tools", folder / "marks"
        tools.mkdir()
        marks.mkdir()
        witness = {"python": sys.executable, "calls": str(self._calls), "marks": str(marks), "needed_mb": NEEDED_MB}
        (tools / "python").write_text(WITNESS.format(**witness))
        (tools / "python").chmod(0o755)
        (project.folder / "test.yaml").write_text(yaml.safe_dump(project.config))
        (project.folder / "profiles/slurm/site.yaml").write_text(yaml.safe_dump(SITE))
        path = f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-c", slurm_cluster.IMPATIENT_SNAKEMAKE, "--configfile", "test.yaml", *PROFILE]
        log = folder / "snakemake.log"
        with open(log, "w") as out:
            self._running = subprocess.Popen(
                [*command, TABLE], cwd=project.folder, env=env, stdout=out, stderr=subprocess.STDOUT
            )
            faults = [threading.Thread(target=fault) for fault in (self._cancel, self._take_a_node_down)]
            try:
                for fault in faults:
                    fault.start()
                self.code = self._running.wait(timeout=1800)
            finally:
                if self._running.poll() is None:
                    self._running.kill()
                    self._running.wait()
                for fault in faults:
                    fault.join()
        self.log = log.read_text()

    def calls(self, program: str = "", event: str = "start") -> list[dict]:
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        calls = [call for call in map(json.loads, lines) if call["event"] == event]
        return [call for call in calls if program in ("", call["program"])]

    def _waiting(self, program: str) -> dict | None:
        """The call of `program` that waits to be killed, as soon as there is one."""
        while self._running.poll() is None:
            if calls := self.calls(program, "wait"):
                return calls[0]
            time.sleep(0.2)
        return None

    def _cancel(self) -> None:
        if call := self._waiting("score_frames"):
            ask("scancel", call["job"])

    def _take_a_node_down(self) -> None:
        if call := self._waiting("merge_scores"):
            self.took_down = call["node"]
            ask("scontrol", "update", f"nodename={self.took_down}", "state=down", "reason=test")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm")
    if DEMO:
        project = Project(folder / "project", {})
    else:
        project = make_project(folder / "project", scorers=["demo_clip"], selectors=["uniform", "aks"])
        project.config["datasets"]["tiny"]["shards"] = 2
    with slurm_cluster.cluster(folder / "cluster"):
        run = Run(project, folder)
        assert run.code == 0, run.log
        run.would_run_by_profile = project.snakemake("--dry-run", *PROFILE, TABLE)
    summary = Counter(call["program"] for call in run.calls(event="end"))
    print(f"\n{sum(summary.values())} programs ended well, {run.log.count('Trying to restart job')} jobs resubmitted")
    return run


def test_a_cancelled_job_is_submitted_again(run):
    [killed] = run.calls("score_frames", "wait")
    assert f"SLURM-job '{killed['job']}' failed, SLURM status is: 'CANCELLED'" in run.log
    shards = len(run.calls("score_frames", "end"))
    assert len({call["job"] for call in run.calls("score_frames")}) == shards + 1


def test_a_job_that_fails_is_submitted_again(run):
    ended = run.calls("select_frames", "end")
    assert len({call["job"] for call in run.calls("select_frames")}) == len(ended) + 1
    assert {call["code"] for call in ended} == {0}


def test_a_job_over_its_memory_gets_more(run):
    first, second = run.calls("index_videos")
    assert first["job"] != second["job"]
    assert [call["job"] for call in run.calls("index_videos", "end")] == [second["job"]]
    assert f"SLURM-job '{first['job']}' failed" in run.log


def test_a_job_whose_node_goes_down_runs_on_another(run):
    [killed] = run.calls("merge_scores", "wait")
    assert killed["node"] == run.took_down
    again = [call for call in run.calls("merge_scores") if call["job"] == killed["job"]][1:]
    assert [call["node"] for call in again] == [{"cpu1": "cpu2", "cpu2": "cpu1"}[run.took_down]]
    assert killed["pid"] not in {call["pid"] for call in run.calls("merge_scores", "end")}, "the first was killed"


def test_jobs_that_use_a_gpu_get_one_and_the_others_none(run):
    calls = run.calls()
    assert {call["program"] for call in calls if call["gpu"]} == ON_GPU
    assert {call["gpu"] for call in calls if call["program"] in ON_GPU} <= {"0", "1"}
    assert {call["node"] for call in calls if call["gpu"]} == {"gpu1"}
    assert {call["node"] for call in calls if not call["gpu"]} == {"cpu1", "cpu2", None}


def test_no_two_jobs_have_the_same_gpu_at_a_time(run):
    until = {call["pid"]: call["time"] for call in run.calls(event="end")}
    used = sorted((call["time"], until[call["pid"]], call["gpu"]) for call in run.calls()
                  if call["gpu"] and call["pid"] in until)  # fmt: skip
    for gpu in ("0", "1"):
        times = [(start, end) for start, end, number in used if number == gpu]
        assert times, f"GPU {gpu} was never used"
        assert all(end <= start for (_, end), (start, _) in pairwise(times))


def test_only_short_jobs_stay_on_the_login_node(run):
    assert {call["program"] for call in run.calls() if not call["job"]} == ON_LOGIN_NODE


def test_what_slurm_caught_of_failed_jobs_is_kept_and_of_others_not(run):
    kept = {path.stem for path in (run.project.folder / "logs" / "slurm").rglob("*.log")}
    failed = {call["job"] for program in ("score_frames", "select_frames", "index_videos")
              for call in run.calls(program)} - {call["job"] for call in run.calls(event="end")}  # fmt: skip
    assert kept == failed


def test_after_it_neither_executor_has_anything_to_do(run):
    done = run.would_run_by_profile
    assert "Nothing to be done" in done.stdout + done.stderr
    assert run.project.would_run(TABLE) == {}


def test_the_table_is_that_of_a_local_run(run):
    folder = run.project.folder
    by_slurm = (folder / TABLE).read_bytes()
    shutil.move(folder / "results", folder / "results_slurm")
    run.project.run(TABLE)
    assert (folder / TABLE).read_bytes() == by_slurm
