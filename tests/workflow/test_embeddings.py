"""Embeddings reach the selectors that need them: made once, kept, matched by id."""

import csv
import json
import re

import numpy as np
import pytest

import tiny_scorers
from tiny import TABLE, make_project

SELECTOR = '''
from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from framesift.selection.selectors import Candidates, Choice, Selector


class Nearest(Selector):
    """The frames most like the question, by embeddings alone."""

    needs_scores: ClassVar[bool] = False
    needs_embeddings: ClassVar[bool] = True
    needs_query: ClassVar[bool] = QUERY

    kind: Literal["NAME"] = "NAME"

    def select(self, candidates: Candidates, budget: int, rng: np.random.Generator) -> Choice:
        like = candidates.embeddings @ (candidates.query if self.needs_query else candidates.embeddings[0])
        lengths = np.linalg.norm(candidates.embeddings, axis=1)
        return Choice(np.argsort(-like, kind="stable")[:budget], f"lengths {lengths.min():.4f} to {lengths.max():.4f}")
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("embeddings") / "project", selectors=["uniform", "topk", "nearest"])
    folder = project.folder / "workflow" / "scripts" / "framesift" / "selection" / "selectors"
    for name, query in (("nearest", "True"), ("alike", "False")):
        (folder / f"{name}.py").write_text(SELECTOR.replace("NAME", name).replace("QUERY", query))
    tiny_scorers.write_dino(project.folder / "dino")
    project.config["encoders"] = {"dino": {"kind": "dino", "model": "./dino"}}
    project.config["selectors"] = {"nearest": {"kind": "nearest"}, "alike": {"kind": "alike"}}
    project.config["tables"]["tiny"]["scorers"] = ["demo_clip"]
    return project


def selections(project):
    return {path.stem.split("-")[0]: path for path in (project.folder / "results" / "selections").rglob("*.json")}


def frames(path):
    return {name: choice["frames"] for name, choice in json.loads(path.read_text())["questions"].items()}


def wanted(project):
    """The selections of the table, as targets: nothing is answered."""
    done = project.snakemake("--dry-run", "--cores", "1", "results/tables/tiny.csv", "--quiet", "progress")
    return sorted(set(re.findall(r"results/selections/[\w/.-]+\.json", done.stdout + done.stderr)))


def test_embeddings_of_a_scorer_give_the_same_order_as_its_scores(project):
    """Scores of CLIP are cosines of embeddings, so the nearest frames are the best ones."""
    targets = wanted(project)
    assert len(targets) == 3
    project.run(*targets)
    found = selections(project)
    assert frames(found["nearest"]) == frames(found["topk"])
    assert frames(found["nearest"]) != frames(found["uniform"])
    notes = {choice["note"] for choice in json.loads(found["nearest"].read_text())["questions"].values()}
    assert notes == {"lengths 1.0000 to 1.0000"}
    assert project.would_run(*targets) == {}
    cached = list((project.folder / "results" / "cache" / "scores").rglob("*.safetensors"))
    assert len(cached) == 2  # scores and embeddings come from the same entries


def test_an_encoder_without_text_serves_selectors_without_query(project):
    table = project.config["tables"]["tiny"]
    table |= {"selectors": ["uniform", "alike"], "encoder": "dino", "scorers": []}
    targets = wanted(project)
    assert dict(project.would_run(*targets)) == {"embed_frames": 1, "select_frames": 1}
    project.run(*targets)
    chosen = frames(selections(project)["alike"])
    assert all(len(one) == 4 and np.diff(one).min() > 0 for one in chosen.values())
    table["selectors"] = ["uniform", "nearest"]
    failed = project.snakemake("--dry-run", "results/tables/tiny.csv", check=False)
    assert (
        "selector 'nearest' needs the embedding of the question, and 'dino' cannot read"
        in failed.stdout + failed.stderr
    )
    table |= {"encoder": None, "scorers": ["demo_blip"]}
    failed = project.snakemake("--dry-run", "results/tables/tiny.csv", check=False)
    assert "selector 'nearest' needs embeddings, and 'demo_blip' keeps none" in failed.stdout + failed.stderr


def test_embeddings_that_were_pruned_are_missed_with_a_hint(project):
    table = project.config["tables"]["tiny"]
    table |= {"selectors": ["uniform", "alike"], "encoder": "dino", "scorers": []}
    selection = selections(project)["alike"]
    target = selection.relative_to(project.folder).as_posix()
    for path in (project.folder / "results" / "cache" / "scores").glob("dino-*/*.safetensors"):
        path.unlink()
    selection.unlink()
    failed = project.run(target, check=False)
    assert failed.returncode != 0
    log = next((project.folder / "logs" / "selections").rglob("alike-*.log")).read_text()
    assert "the embeddings of a video are gone or damaged" in log
    assert "--forcerun embed_frames" in log


def test_a_published_selection_becomes_a_row(project):
    """AKS's list of lists, in the order of the labels, for a table that names it among its selectors."""
    records = json.loads((project.folder / "results" / "labels" / "tiny.json").read_text())
    lists = [[0, 4, 8, 12] if number % 2 else [4, 8, 12, 16] for number in range(len(records))]
    (project.folder / "data" / "selected.json").write_text(json.dumps(lists))
    project.config["selectors"]["published"] = {
        "kind": "imported",
        "format": "aks",
        "selection": "data/selected.json",
        "original": "data/labels.parquet",
    }
    table = project.config["tables"]["tiny"]
    table |= {"selectors": ["uniform", "published"], "scorers": []}
    table.pop("encoder", None)
    project.run("results/measures/tiny.csv", TABLE)
    assert list(frames(selections(project)["imported"]).values()) == lists
    with open(project.folder / TABLE) as file:
        assert [(row["method"], row["n"]) for row in csv.DictReader(file)] == [("uniform", "12"), ("published", "12")]
    project.config["selectors"]["published"]["selection"] = "data/nothing.json"
    failed = project.snakemake("--dry-run", "results/measures/tiny.csv", check=False)
    assert "there is no such file" in failed.stdout + failed.stderr
