"""On a cluster each job reads the configuration anew: it comes to the same parameters, whatever is there by then.

Jobs are started by a shell in place of a cluster's scheduler; SLURM itself is in `tests/endtoend/test_slurm.py`.
"""

import importlib.util
import re

import pytest

from tiny import TABLE, make_project

SUBMIT = "sh -c 'nohup sh \"$0\" > /dev/null 2>&1 & echo $!'"


def needs(module):
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"needs {module.replace('_', '-')}")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Made without a cluster, in two parts."""
    project = make_project(tmp_path_factory.mktemp("cluster") / "project", scorers=["demo_clip"], selectors=["topk"],
                           baseline="topk")  # fmt: skip
    project.config["datasets"]["tiny"] |= {"shards": 2, "chunks": 2}
    project.run(TABLE)
    return project


@needs("snakemake_executor_plugin_slurm")
def test_what_was_made_here_is_not_made_again_on_a_cluster(project):
    """Though the profile gives jobs other threads, memory and time."""
    options = ("--profile", "profiles/slurm", TABLE)
    site = {"FRAMESIFT_SITE": "profiles/slurm/site.example.yaml"}
    done = project.snakemake("--dry-run", *options, **site)
    assert "Nothing to be done" in done.stdout + done.stderr
    done = project.snakemake("--dry-run", "--forcerun", "score_frames", *options, **site)
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE))
    assert counts == {
        "score_frames": "2", "merge_scores": "1", "select_frames": "1", "evaluate": "2", "judge_answers": "1",
        "make_table": "1", "total": "8",
    }  # fmt: skip


@pytest.mark.slow
@needs("snakemake_executor_plugin_cluster_generic")
def test_jobs_keep_to_the_division_that_they_were_submitted_for(project):
    """Two shards and two chunks are finished, three are configured, and files of the two go while jobs run."""
    table = (project.folder / TABLE).read_bytes()
    project.config["datasets"]["tiny"] |= {"shards": 3, "chunks": 3}
    options = ("--executor", "cluster-generic", "--cluster-generic-submit-cmd", SUBMIT, "--jobs", "2")
    quick = ("--latency-wait", "1", "--max-status-checks-per-second", "10", "--seconds-between-status-checks", "1")
    done = project.snakemake(*options, *quick, "--forcerun", "score_frames", "--", TABLE)
    assert "8 of 8 steps" in done.stdout + done.stderr
    assert (project.folder / TABLE).read_bytes() == table
    made = {file.name for file in (project.folder / "results").rglob("[0-9]*-of-*")}
    assert made == {f"{part}-of-2.{kind}" for part in (1, 2) for kind in ("parquet", "json")}
    assert project.would_run(TABLE) == {}
    # what is new is divided as configured
    project.config["selectors"] = {"topk": {"kind": "bin"}}
    assert dict(project.would_run(TABLE)) == {"select_frames": 1, "evaluate": 3, "judge_answers": 1, "make_table": 1}
