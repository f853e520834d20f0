"""Finished runs of others become a table, and those in which the selection never reached the model are flagged."""

import csv
from pathlib import Path

import pytest

from project import ROOT, Project

DATA = ROOT.parent / "shared" / "data" / "videomme"
RUNS = {
    "aks": "selected_frames_ASK_8_updated",
    "theirs": "selected_frames_dbfp1",
    "theirs_16": "selected_frames_dbfp1_16_frames_max",
    "zeroed": "all_zero",
}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")


def test_the_runs_of_a_public_fork_are_flagged(tmp_path):
    """Nine runs of the same 7B model, a control with every frame number zeroed among them: 59.4 to 59.6 %."""
    folder = (DATA / "lmms_eval_runs").resolve()
    runs = {
        name: {
            "samples": str(folder / f"{stem}_samples_videomme.jsonl.gz"),
            "results": str(folder / f"{stem}_results.json.gz"),
            "answerer": "LLaVA-NeXT-Video-7B-Qwen2",
            "method": name,
            "budget": 16 if name.endswith("16") else 8,
        }
        for name, stem in RUNS.items()
    }
    labels = str((DATA / "test-00000-of-00001.parquet").resolve())
    table = {"dataset": "videomme", "runs": list(RUNS), "baseline": "zeroed", "group_by": "duration"}
    dataset = {"kind": "videomme", "data_dir": ".", "labels": labels, "download": False}
    project = Project(
        tmp_path / "project", {"runs": runs, "datasets": {"videomme": dataset}, "tables": {"fork": table}}
    )
    project.run("results/tables/fork.csv")
    with open(project.folder / "results" / "tables" / "fork.csv") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert {row["flag"] for row in rows.values()} == {"answers too alike"}
    assert {(row["n"], row["excluded"]) for row in rows.values()} == {("2700", "0")}
    for row in rows.values():
        assert float(row["lmms_eval"]) == pytest.approx(59.5, abs=0.15)  # the task's own number, as the run printed it
        assert float(row["accuracy"]) == pytest.approx(0.595, abs=0.0015)
    log = (project.folder / "logs" / "tables" / "fork.log").read_text()
    assert log.count("did the selection reach the model?") == 6
    assert "theirs" in log
    printed = Path(project.folder / "logs" / "answers" / "videomme" / "runs" / "zeroed.log").read_text()
    assert "59.444" in printed
