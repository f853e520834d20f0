"""Training an M-LLM frame selector through the rules, from videos to selections, in miniature; and after a kill."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
import yaml

import tiny_scorers
from project import Project

WORLD = {"fps": 1, "short_videos": 2, "medium_videos": 0, "long_videos": 0, "short_seconds": 120}
DATASET = {
    "kind": "videomme", "labels": "labels.parquet", "videos": "videos", "evidence": "evidence.json", "download": False,
}  # fmt: skip
LABELS = {"vlm": {"kind": "scorer", "scorer": "demo_clip"}, "llm": {"kind": "peaks"}, "n": 32, "text": "question"}
STAGE = {"tasks": ["importance"], "batch_size": 4, "epochs": 1, "precision": "float32", "train_llm": "all"}
TRAINED = {
    "selector": {
        "vision": {"kind": "patches", "model": "resources/demo/clip", "pool": 1, "frames": 32},
        "llm": {"model": "llm/tiny/gpt"},
        "text": "question",
    },
    "labels": "mine",
    "data": ["seen"],
    "validation": ["held"],
    "stages": [{"stage": 1, "learning_rate": 1e-3, "max_steps": 3, **STAGE}, {"stage": 2, "max_steps": 4, **STAGE}],
}
MEASURES = "results/measures/mine.csv"


def config() -> dict:
    return {
        "demo": {"worlds": {"seen": {"prefix": "seen", **WORLD}, "held": {"prefix": "held", **WORLD}}},
        "datasets": {name: {**DATASET, "data_dir": f"results/{name}"} for name in ("seen", "held")},
        "scorers": {
            "mine": {"kind": "pseudo_labels", "labels": LABELS},
            "tiny_mllm": {"kind": "mllm_selector", "model": "results/selectors/tiny", "text": "question"},
        },
        "trained": {"tiny": TRAINED},
        "tables": {
            "mine": {
                "dataset": "held",
                "answerers": ["demo_vlm"],
                "scorers": ["mine", "tiny_mllm", "demo_clip"],
                "selectors": ["uniform", "topk", "nms"],
                "pairs": {"topk": ["demo_clip"], "nms": ["mine", "tiny_mllm"]},
                "budgets": [4],
            }
        },
    }


def write_language_model(folder) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    width = {"n_embd": 16, "n_inner": 16, "n_layer": 3, "n_head": 2, "n_positions": 96}
    marks = {"vocab_size": len(tiny_scorers.WORDS), "bos_token_id": 2, "eos_token_id": 3}
    GPT2LMHeadModel(GPT2Config(**width, **marks)).save_pretrained(folder)
    tiny_scorers.word_tokenizer(end=False).save_pretrained(folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("training") / "project", config())
    write_language_model(project.folder / "llm" / "tiny" / "gpt")
    return project


def selectors(project):
    return {folder.name: folder for folder in (project.folder / "results" / "selectors" / "tiny").iterdir()}


def test_what_needs_a_selector_trains_it_and_nothing_runs_twice(project):
    wanted = project.would_run(MEASURES)
    assert {name: wanted[name] for name in ("train_selector", "label_frames")} == {
        "train_selector": 2,
        "label_frames": 2,
    }
    project.run(MEASURES)
    assert len(selectors(project)) == 2
    final = [f for f in selectors(project).values() if len(json.loads((f / "training.json").read_text())) == 2]
    assert [stage["steps"] for stage in json.loads((final[0] / "training.json").read_text())] == [3, 4]
    with (project.folder / MEASURES).open(newline="") as file:
        chosen = {(row["method"], row["scorer"]) for row in csv.DictReader(file)}
    assert chosen == {("uniform", ""), ("topk", "demo_clip"), ("nms", "mine"), ("nms", "tiny_mllm")}
    assert project.would_run(MEASURES) == Counter()
    assert not list((project.folder / "results" / "cache" / "training").iterdir())  # progress is of no use any more


@pytest.mark.slow
def test_a_killed_training_goes_on_with_the_losses_that_it_would_have_had(project):
    """The second stage once more, killed after a step."""
    project.run(MEASURES)  # nothing runs if the test above has trained it
    kept = {name: (folder / "curves.csv").read_text() for name, folder in selectors(project).items()}
    _, final = sorted(selectors(project).values(), key=lambda folder: len((folder / "curves.csv").read_text()))
    project.config["trained"]["tiny"]["stages"][1]["save_every"] = 1  # changes no result
    assert project.would_run(MEASURES) == Counter()
    shutil.rmtree(final)
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    (project.folder / "test.yaml").write_text(yaml.safe_dump(project.config))
    target = final.relative_to(project.folder).as_posix()
    command = [sys.executable, "-m", "snakemake", "--configfile", "test.yaml", "--cores", "2", target]
    env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    run = subprocess.Popen(command, cwd=project.folder, env=env, start_new_session=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    progress = project.folder / "results" / "cache" / "training" / final.name / "progress.safetensors"
    deadline = time.monotonic() + 120
    while not progress.is_file() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not final.exists()
    project.snakemake("--unlock")
    project.run(target)
    assert "resuming after step" in (project.folder / "logs" / "selectors" / "tiny" / f"{final.name}.log").read_text()
    assert (final / "curves.csv").read_text() == kept[final.name]
