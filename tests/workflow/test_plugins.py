"""A component of each family in a package, and the recipes of CONTRIBUTING.md in a folder, make a table."""

import csv
import os

import pytest
import yaml

import tiny
from forecast import graph, reruns
from project import Project
from recipes import FILES, write_folder, write_packages

pytestmark = pytest.mark.slow  # two tables; tests/contract looks at plug-ins without one

TABLE, TEXT = "results/tables/mine.csv", "results/methods/mine.tex"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A project with plug-ins, its table made; and the folder that packages are installed in."""
    site = tmp_path_factory.mktemp("site")
    packed = write_packages(site)
    config = yaml.safe_load(FILES["my.yaml"])
    table = config["tables"]["mine"]
    config["encoders"] = {"colour": {"kind": packed["encoders"], "model": "resources/demo/clip"}}
    config["scorers"]["packed"] = {"kind": packed["scorers"], "model": "resources/demo/clip"}
    config["selectors"] |= {"packed": {"kind": packed["selectors"]}, "mmr": {"kind": "mmr"}}
    config["answerers"]["packed"] = {"kind": packed["answerers"]}
    config["tables"]["mine"] = table | {
        "selectors": ["uniform", "spaced", "packed", "mmr"],
        "answerers": ["packed"],
        "scorers": ["prompted", "packed"],
        "encoder": "colour",
        "pairs": {"spaced": ["prompted"], "packed": ["packed"], "mmr": ["packed"]},
    }
    config["datasets"]["mine"]["kind"] = packed["datasets"]
    project = Project(tmp_path_factory.mktemp("plugins") / "project", config)
    write_folder(project.folder)
    tiny.make_dataset(project.folder / "data")
    project.run(TABLE, TEXT, PYTHONPATH=str(site))
    return project, site


def test_plugins_of_all_families_make_a_table(world):
    project, _ = world
    with open(project.folder / TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["answerer"], row["method"], row["scorer"]) for row in rows} == {
        ("packed", method, scorer)
        for method, scorer in (("uniform", ""), ("spaced", "prompted"), ("packed", "packed"), ("mmr", "packed"))
    }
    assert len({row["accuracy"] for row in rows}) == 1  # all take the first option


def test_the_text_names_plugins_and_cites_what_they_bring(world):
    project, _ = world
    text, entries = ((project.folder / TEXT).with_suffix(suffix).read_text() for suffix in (".tex", ".bib"))
    for said in (r"spaced best frames~\cite{doe2026spaced}", r"CLIP with a prompt~\cite{radford2021clip}",
                 "mean colour", "the first option", "Clips"):  # fmt: skip
        assert said in text, said
    assert "@misc{doe2026spaced," in entries


def test_an_edited_plugin_reruns_what_it_made_and_no_more(world, monkeypatch):
    project, site = world
    monkeypatch.syspath_prepend(site)
    before = graph(project, [TABLE])
    selector = project.folder / "my_plugins" / "selectors" / "spaced.py"
    original = selector.read_text()
    selector.write_text(original.replace(">= self.gap", "> self.gap"))
    assert reruns(before, graph(project, [TABLE]))["select_frames"] == 1
    selector.write_text(f"# another comment\n{original}")
    os.utime(selector)
    assert not reruns(before, graph(project, [TABLE]))
    encoder = site / "outside_encoders" / "component.py"  # without a version: identified by its code
    encoder.write_text(encoder.read_text().replace("+ 3", "+ 4"))
    edited = reruns(before, graph(project, [TABLE]))
    assert (edited["embed_frames"], edited["score_frames"]) == (1, 0)
    scorer = project.folder / "my_plugins" / "scorers" / "prompted_clip.py"  # with one
    encoder.write_text(encoder.read_text().replace("+ 4", "+ 3"))
    scorer.write_text(scorer.read_text().replace("truncation=True", "truncation=1"))
    assert not reruns(before, graph(project, [TABLE]))
