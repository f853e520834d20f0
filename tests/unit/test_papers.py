"""A table beside published numbers, and what a paper has to say of it: the programs, on the configured tables."""

import csv
import json
import sys
from pathlib import Path

import pytest
import yaml

import compare_published
import write_methods
from framesift.answering.answer_file import Answer, write_answers
from framesift.config.load import load_config
from framesift.config.plan import Plan
from framesift.config.tables import Tables
from framesift.data.questions import NORMALISED, Question
from framesift.papers.published import FOLDER, read_published
from framesift.papers.references import bibtex
from framesift.storage.files import write_json
from framesift.tables import columns

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.chdir(ROOT)
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    raw["tables"]["videomme"] |= {"answerers": ["llava_video_7b"], "scorers": ["blip"], "budgets": [64]}
    raw["tables"]["videomme"]["protocol"] = "released"
    return Tables(Plan(load_config(raw)))


def run(program, monkeypatch, **options):
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", *value)]
    monkeypatch.setattr(sys, "argv", ["program.py", *map(str, words)])
    program.main()


def test_aks_is_compared_with_its_paper(tables, tmp_path, monkeypatch):
    spec = tables.published_spec("videomme")
    rows = [
        {
            **dict.fromkeys(columns.TABLE),
            **dict(zip(compare_published.NAMES, row["names"], strict=True)),
            "n": 2700, "n_total": 2700, "accuracy": 0.65, "accuracy_low": 0.63, "accuracy_high": 0.67,
        }
        for row in spec["rows"]
    ]  # fmt: skip
    columns.write_csv(tmp_path / "table.csv", columns.TABLE, rows)
    run(
        compare_published, monkeypatch, spec=[json.dumps(spec)], table=[tmp_path / "table.csv"],
        out=[tmp_path / "out.csv"],
    )  # fmt: skip
    with open(tmp_path / "out.csv") as file:
        found = [row for row in csv.DictReader(file) if row["paper"] == "tang2025aks" and row["comparable"] == "True"]
    by_method = {row["method"]: row for row in found}
    assert (by_method["aks"]["theirs"], by_method["aks"]["within"]) == ("65.3000", "True")
    assert (by_method["uniform"]["theirs"], by_method["uniform"]["ours"]) == ("64.4000", "65.0000")


def test_questions_in_the_form_of_a_benchmark_are_compared_with_nothing(tables):
    assert tables.published_spec("demo")["rows"] == []
    assert len(tables.published_spec("videomme")["rows"]) == 3


def test_what_a_paper_says_of_a_table(tables, tmp_path, monkeypatch):
    question = Question(question_id="q", video_id="v", question="?", options=("a", "b"), answer="A")
    write_json(tmp_path / "labels.json", [{NORMALISED: question.model_dump()}])
    made_by = {"versions": {"lmms-eval": "0.7.3", "transformers": "4.46.3", "torch": "2"}}
    write_answers(tmp_path / "answers.json", {"q": Answer(video_id="v")}, made_by)
    run(
        write_methods, monkeypatch, spec=[json.dumps(tables.methods_spec("videomme"))],
        labels=[tmp_path / "labels.json"], answers=[tmp_path / "answers.json"],
        text_out=[tmp_path / "m.tex"], bib_out=[tmp_path / "m.bib"],
    )  # fmt: skip
    text, entries = (tmp_path / "m.tex").read_text(), (tmp_path / "m.bib").read_text()
    for words in ("transformers 4.46.3", "lmms-eval 0.7.3", "64 frames", r"\texttt{released}", "tang2025aks"):
        assert words in text
    assert "{tang2025aks," in entries


def test_a_project_adds_numbers_and_papers_of_its_own(tables, tmp_path, monkeypatch):
    """config/published/*.csv and config/references.bib of the working folder are read beside those of Framesift."""
    monkeypatch.chdir(tmp_path)
    assert (tables.published, tables.references) == ([], [])
    digest = tables.published_digest()
    Path("config/published").mkdir(parents=True)
    header, *numbers = (FOLDER / "aks.csv").read_text().splitlines()
    number = next(line for line in numbers if "videomme" in line).replace("tang2025aks", "me2026mine")
    Path("config/published/mine.csv").write_text(f"{header}\n{number}\n")
    Path("config/references.bib").write_text("@misc{me2026mine,\n  title = {Mine}\n}\n")
    assert (tables.published, tables.references) == (["config/published/mine.csv"], ["config/references.bib"])
    assert tables.published_digest() == digest, "own files are inputs of the rules, not part of the digest"
    papers = [row.paper for row in read_published(more=tables.published, references=tables.references)]
    assert papers.count("me2026mine") == 1
    assert len(papers) == len(read_published()) + 1
    assert bibtex(["me2026mine"], tables.references).startswith("@misc{me2026mine,")
