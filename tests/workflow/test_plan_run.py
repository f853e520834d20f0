"""A plan says what Snakemake would do, what is cached and what it costs, and changes nothing."""

import json
import os
import subprocess
import sys

import pytest
import yaml

import warm
from project import ROOT
from tiny import TABLE, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(
        tmp_path_factory.mktemp("plan") / "project", scorers=["demo_clip"], selectors=["uniform", "topk"]
    )


@pytest.fixture(scope="module")
def before(project):
    """The plan of the first run."""
    return plan_run(project)


@pytest.fixture(scope="module")
def done(project, before):
    project.run(TABLE)
    return project


def program(project, *arguments):
    (project.folder / "test.yaml").write_text(yaml.safe_dump(project.config))
    command = [warm.folder() / "python", "workflow/scripts/plan_run.py", *arguments, "--configfile", "test.yaml"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, env=environment)


def plan_run(project, target=TABLE):
    made = program(project, target, "--json")
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def jobs(plan):
    counts = {}
    for step in plan["steps"]:
        counts[step["rule"]] = counts.get(step["rule"], 0) + step["jobs"]
    return counts


def step(plan, rule, what=""):
    return next(one for one in plan["steps"] if (one["rule"], one["what"]) == (rule, what))


def results(project):
    return {file for file in (project.folder / "results").rglob("*") if file.is_file()}


def test_a_first_run_has_counts_and_no_estimate(project, before):
    assert jobs(before) == dict(project.would_run(TABLE))
    assert before["data"]["tiny"] == {"questions": 12, "videos": 2, "hours": None}
    assert step(before, "evaluate", "demo_vlm")["work"] == {"questions": 24, "frames shown": 96}
    assert all(
        not any(one["cost"][name] for name in ("gpu_hours", "cpu_hours", "gigabytes")) for one in before["steps"]
    )
    assert not (project.folder / "results").exists(), "a plan makes nothing"
    text = program(project, TABLE).stdout
    assert "GPU-hours: no measurement yet" in text
    assert "CPU-hours: no measurement yet" in text
    assert "never made" in text


def test_a_finished_table_has_nothing_to_do(done, before):
    plan = plan_run(done)
    assert plan["steps"] == []
    assert plan["finished"] == jobs(before)
    assert "Nothing would run" in program(done, TABLE).stdout


def test_one_more_selector_is_planned_as_snakemake_plans_it(done):
    there = results(done)
    with done.restored():
        done.config["selectors"] = {"spread": {"kind": "nms"}}
        done.config["tables"]["tiny"]["selectors"] = ["uniform", "topk", "spread"]
        plan = plan_run(done)
        assert jobs(plan) == dict(done.would_run(TABLE))
    assert results(done) == there
    assert jobs(plan) == {"select_frames": 1, "evaluate": 1, "judge_answers": 1, "make_table": 1}
    asked = step(plan, "evaluate", "demo_vlm")
    assert asked["reasons"] == {"never made": 1}
    assert asked["work"]["questions"] == 12
    assert asked["cost"]["cpu_hours"]["measurements"] == 2
    assert asked["cost"]["cpu_hours"]["amount"] > 0
    assert asked["cost"]["gpu_hours"] is None, "the model ran on the CPU"
    assert step(plan, "select_frames", "spread")["cost"]["cpu_hours"] is None, "it never ran"
    assert step(plan, "make_table")["cost"]["cpu_hours"]["measurements"] == 1
    (reason,) = step(plan, "make_table")["reasons"]
    assert reason == "the row `spread with demo_clip, 4 frames, demo_vlm` is new in the table"


def test_an_edit_is_named_as_the_reason(done):
    with done.restored():
        done.config["answerers"] = {"demo_vlm": {"max_new_tokens": 4}}
        plan = plan_run(done)
    (reason,) = step(plan, "evaluate", "demo_vlm")["reasons"]
    assert reason.startswith("answerer.max_new_tokens was")


def test_what_caches_hold_is_left_out_of_the_work(done):
    with done.restored():
        for folder in ("scores", "selections", "answers", "judged", "tables"):
            (done.folder / "results" / folder).rename(done.folder / f"{folder}.aside")
        try:
            plan = plan_run(done)
        finally:
            for folder in ("scores", "selections", "answers", "judged", "tables"):
                (done.folder / f"{folder}.aside").rename(done.folder / "results" / folder)
    scoring = step(plan, "score_frames", "demo_clip")
    assert scoring["kept"] == {"videos": 2}
    assert scoring["work"] == {"videos": 0, "hours": 0, "frames": 0}
    asked = step(plan, "evaluate", "demo_vlm")
    assert asked["kept"]["answers"] + asked["work"]["questions"] == 24
    assert asked["kept"]["answers"] > 12, "all but those that two selections asked with the same frames"


def test_a_target_that_nothing_makes_is_refused(project):
    for target in ("results/tables/other.csv", "results/nothing.txt"):
        made = program(project, target)
        assert made.returncode == 1
        assert made.stderr.startswith("error: ")


def test_the_number_of_jobs_does_not_grow_with_the_videos():
    """Two sizes of the benchmark's world, one with more videos than Snakemake is told of one by one."""
    command = [sys.executable, "tools/bench_plan.py", "--videos", "30", "2500", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    small, large = (one["table"]["jobs"] for one in json.loads(done.stdout))
    assert small == large
    # 4 answerers, 3 budgets, 8 selectors, 4 chunks
    assert large["evaluate"] == 4 * 3 * 8 * 4
    assert large["select_frames"] == 3 * 8
    assert large["score_frames"] == large["embed_frames"] == 8
    assert large["index_videos"] == 1
