"""The demo as shipped: it must show what selection is worth, and what it costs."""

import csv

import pytest

from project import Project

TABLE = "results/tables/demo.csv"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("demo") / "project", {})
    project.run(TABLE)
    return project


@pytest.fixture(scope="module")
def groups(project):
    """Accuracy and n by (method, scorer, evidence) at 8 frames."""
    with open(project.folder / "results" / "tables" / "demo_groups.csv") as file:
        return {
            (row["method"], row["scorer"], row["group"]): (float(row["accuracy"]), int(row["n"]))
            for row in csv.DictReader(file)
            if row["grouping"] == "evidence" and row["budget"] == "8" and not row["control"]
        }


def short_events(groups, method, scorer):
    """Accuracy on all questions about one or two short moments."""
    parts = [groups[method, scorer, group] for group in ("one_moment", "two_moments")]
    return sum(accuracy * n for accuracy, n in parts) / sum(n for _, n in parts)


@pytest.mark.parametrize("scorer", ["demo_clip", "demo_blip"])
def test_selection_finds_short_events_that_uniform_frames_miss(groups, scorer):
    assert short_events(groups, "uniform", "") <= 0.45
    assert short_events(groups, "aks", scorer) >= 0.85
    assert (
        short_events(groups, "uniform", "") < short_events(groups, "topk", scorer) < short_events(groups, "aks", scorer)
    )


@pytest.mark.parametrize("scorer", ["demo_clip", "demo_blip"])
@pytest.mark.parametrize("method", ["topk", "aks"])
def test_selection_distorts_questions_about_the_whole_video(groups, method, scorer):
    assert groups["uniform", "", "whole_video"][0] > groups[method, scorer, "whole_video"][0] + 0.1


def test_no_method_is_right_everywhere(groups):
    methods = {(method, scorer) for method, scorer, _ in groups}
    for method in methods:
        assert min(accuracy for key, (accuracy, _) in groups.items() if key[:2] == method) < 1


def test_the_table_has_one_row_a_cell_and_nothing_is_left_to_do(project):
    with open(project.folder / TABLE) as file:
        rows = list(csv.DictReader(file))
    methods = [
        ("uniform", "", ""),
        ("uniform", "", "blank"),
        ("topk", "demo_clip", ""),
        ("topk", "demo_blip", ""),
        ("aks", "demo_clip", ""),
        ("aks", "demo_blip", ""),
    ]
    assert [(row["method"], row["scorer"], row["control"]) for row in rows] == methods
    assert {row["budget"] for row in rows} == {"8"}
    assert {(row["n"], row["n_total"], row["excluded"], row["flag"]) for row in rows} == {("96", "96", "0", "")}
    blank = rows[1]
    assert float(blank["accuracy"]) < 0.35, "four options and no picture"
    assert blank["verdict"] == "worse"
    assert {row["verdict"] for row in rows if row["method"] == "aks"} == {"better"}
    assert project.would_run(TABLE) == {}


def test_what_can_be_made_of_a_table_is_made_once(project):
    """Report, figures, manifest, published numbers and the text for a paper."""
    targets = [
        *("results/report/demo.html", "results/figures/demo", "results/manifests/demo.json"),
        *("results/published/demo.csv", "results/methods/demo.tex", "results/tables/demo.md"),
    ]
    project.run(*targets)
    assert all((project.folder / target).exists() for target in targets)
    assert {file.suffix for file in (project.folder / "results/figures/demo").iterdir()} >= {".svg", ".png"}
    assert project.would_run(*targets) == {}
