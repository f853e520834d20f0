"""Manifests, comparisons and crates, on a small project written by hand."""

import base64
import copy
import json
import subprocess
from pathlib import Path

import pytest

from framesift.core.errors import InputError
from framesift.core.spec import canonical_json
from framesift.provenance.compare import RecordedRun, compare, compare_tables
from framesift.provenance.crate import export_crate
from framesift.provenance.differences import differences, row_differences
from framesift.provenance.environment import commit, machine
from framesift.provenance.lineage import made, recorded
from framesift.provenance.manifest import make_manifest, pins, read_manifest, write_manifest

REVISION = "0123456789abcdef0123456789abcdef01234567"
CELL = "d/vlm-0/topk-8-1"
ANSWERS = f"results/answers/{CELL}/1-of-1.json"
SELECTION = "results/selections/d/topk-8-1.json"
SPECS = {
    "evaluate": {
        "answerer": {"kind": "vlm", "model": "some/vlm", "revision": REVISION},
        "dataset": {"kind": "videomme"},
    },
    "select_frames": {"budget": 8, "selector": {"kind": "topk"}},
    "convert_labels": {"kind": "videomme", "limit": None},
}
TABLE_SPEC = {
    "table": "t",
    "dataset": "d",
    "protocol": "fair",
    "baseline": None,
    "group_by": None,
    "cells": [
        {"id": CELL, "answerer": "vlm", "method": "topk", "scorer": None, "budget": 8,
         "selection": SELECTION, "answers": [ANSWERS]}
    ],
}  # fmt: skip


def write(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def record(root: Path, output: str, rule: str, inputs=(), spec=None, **more) -> None:
    """What Snakemake would keep of a job."""
    command = f"python workflow/scripts/none.py --spec '{canonical_json(spec)}'" if spec else "none"
    content = {
        "rule": rule,
        "input": list(inputs),
        "shellcmd": command,
        "params": [],
        "starttime": 1e9,
        "endtime": 1e9 + 2,
    }
    name = base64.urlsafe_b64encode(output.encode()).decode()
    parts = [name[start : start + 254] for start in range(0, len(name), 254)]
    place = root.joinpath(".snakemake/metadata", *(f"@{part}" for part in parts[:-1]), parts[-1])
    write(place, {**content, **more})


def make_project(root: Path, labels: str = "", response: str = "A", seconds: float = 1.0) -> Path:
    """One table of one row and one question. `labels` is where the original labels lie; else in the project."""
    labels = labels or "data/labels.json"
    write(root / labels, "[]")
    write(root / "results/labels/d.json", [])
    write(root / SELECTION, {"made_by": {"spec": SPECS["select_frames"], "code": "b" * 12}, "questions": {}})
    answer = {"video_id": "v", "response": response, "frames_given": [0, 5], "times_given": [0, 1], "seconds": seconds}
    made_by = {"spec": SPECS["evaluate"], "code": "a" * 12, "versions": {"torch": "2.0"}}
    write(root / ANSWERS, {"made_by": made_by, "questions": {"q": answer}})
    verdict = {"answer": "A", "parsed": response, "correct": response == "A"}
    judged = {"made_by": {"spec": {"judge": None}, "code": "c" * 12}, "cells": {CELL: {"questions": {"q": verdict}}}}
    write(root / "results/judged/t.json", judged)
    accuracy = "1.0000" if response == "A" else "0.0000"
    columns = "answerer,method,scorer,budget,control,n,accuracy,frames_mean"
    write(root / "results/tables/t.csv", f"{columns}\nvlm,topk,,8,,1,{accuracy},2.00\n")
    write(root / "results/datasets/d.json", {"repo": "some/data", "revision": REVISION, "questions": 1, "missing": []})
    record(root, "results/labels/d.json", "convert_labels", [labels], SPECS["convert_labels"])
    record(root, SELECTION, "select_frames", ["results/labels/d.json"], SPECS["select_frames"])
    record(root, ANSWERS, "evaluate", ["results/labels/d.json", SELECTION], SPECS["evaluate"])
    record(root, "results/judged/t.json", "judge_answers", ["results/labels/d.json", ANSWERS], {"judge": None})
    inputs = ["results/labels/d.json", SELECTION, ANSWERS, "results/judged/t.json"]
    record(root, "results/tables/t.csv", "make_table", inputs, TABLE_SPEC)
    return root


@pytest.fixture
def manifest(tmp_path):
    return make_manifest("t", make_project(tmp_path / "project"))


# how a file was made


def test_a_record_under_a_long_name_is_found(tmp_path):
    path = f"results/{'x' * 300}.json"
    record(tmp_path, path, "some_rule", ["a", "b"])
    assert made(path, tmp_path).rule == "some_rule"
    assert made(path, tmp_path).inputs == ("a", "b")
    assert list(recorded(tmp_path)) == [path]


def test_a_file_without_a_record_is_known_by_what_it_says_of_itself(tmp_path):
    write(tmp_path / "results/x.json", {"made_by": {"spec": {"budget": 8}, "code": "0" * 12, "weights": "w"}})
    found = made("results/x.json", tmp_path)
    assert (found.rule, found.spec, found.code, found.facts["weights"]) == (None, {"budget": 8}, "0" * 12, "w")


def test_a_damaged_record_counts_as_none(tmp_path):
    record(tmp_path, "results/x.json", "some_rule")
    (file,) = (tmp_path / ".snakemake/metadata").iterdir()
    file.write_text(file.read_text()[:20])
    assert not made("results/x.json", tmp_path).known


# differences


def test_settings_that_differ_are_named_by_their_place():
    was = {"selector": {"kind": "aks", "s_thr": 0.8}, "budget": 8}
    now = {"selector": {"kind": "aks", "s_thr": 0.5}, "budget": 8, "seed": 1}
    assert [item.words() for item in differences(was, now)] == [
        "seed was not set, is now 1",
        "selector.s_thr was 0.8, is now 0.5",
    ]


def test_files_of_cells_are_no_settings():
    assert differences({"cells": {"a": ["x"]}}, {"cells": {"b": ["y"]}}) == []


def test_a_part_that_appears_is_told_by_its_fields():
    found = differences({"scorer": None}, {"scorer": {"kind": "clip"}})
    assert [item.field for item in found] == ["scorer.kind"]


def test_rows_that_come_and_go_are_told():
    now = copy.deepcopy(TABLE_SPEC)
    now["cells"][0] |= {"id": "d/vlm-0/topk-16-1", "budget": 16}
    assert row_differences(TABLE_SPEC, now) == [
        "the row `topk, 8 frames, vlm` is no longer in the table",
        "the row `topk, 16 frames, vlm` is new in the table",
    ]


def test_pins_of_an_environment_are_read():
    assert pins("dependencies:\n  - python=3.11\n  - pip:\n      - lmms-eval==0.7.3\n") == {
        "python": "3.11",
        "lmms-eval": "0.7.3",
    }


# the manifest


def test_a_row_has_its_numbers_settings_and_models(manifest):
    row = manifest["rows"][CELL]
    assert row["numbers"] == {"n": 1, "accuracy": 1.0, "frames_mean": 2.0}
    assert row["configuration"]["select_frames"] == SPECS["select_frames"]
    assert row["models"] == {"answerer": {"kind": "vlm", "model": "some/vlm", "revision": REVISION}}
    assert manifest["datasets"]["d"]["repo"] == "some/data"
    assert manifest["datasets"]["d"]["revision"] == REVISION


def test_a_manifest_is_the_same_twice_but_for_what_is_set_apart(tmp_path):
    one = make_manifest("t", make_project(tmp_path / "one", seconds=1.0))
    other = make_manifest("t", make_project(tmp_path / "other", seconds=2.5))
    assert one.pop("made") != other.pop("made")
    assert one == other


def test_a_file_elsewhere_is_told_by_digest_and_name_only(tmp_path):
    outside = tmp_path / "home" / "somebody" / "labels.json"
    manifest = make_manifest("t", make_project(tmp_path / "project", labels=str(outside)))
    digest = manifest["files"]["results/labels/d.json"]["inputs"][0].split("/")[1]
    assert manifest["files"][f"elsewhere/{digest}/labels.json"]["sha256"].startswith(digest)
    assert "somebody" not in json.dumps(manifest)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such table"):
        make_manifest("other", make_project(tmp_path))


def test_a_table_that_nobody_recorded_is_refused(tmp_path):
    write(tmp_path / "results/tables/t.csv", "n\n1\n")
    with pytest.raises(InputError, match="nobody recorded what it was made from"):
        make_manifest("t", tmp_path)


def test_a_file_that_is_no_manifest_is_refused(tmp_path):
    write(tmp_path / "x.json", {"table": "t"})
    with pytest.raises(InputError, match="is no manifest"):
        read_manifest(tmp_path / "x.json")


def git(root, *arguments):
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True)


def test_the_commit_and_changed_files_are_told(tmp_path):
    assert commit(tmp_path) is None
    write(tmp_path / "Snakefile", "one")
    git(tmp_path, "init")
    git(tmp_path, "add", "Snakefile")
    git(tmp_path, "commit", "-m", "first")
    found = commit(tmp_path)
    assert len(found["commit"]) == 40
    assert found["dirty"] is False
    write(tmp_path / "Snakefile", "two")
    assert commit(tmp_path) == {"commit": found["commit"], "dirty": True, "changed": ["Snakefile"]}


def test_a_project_inside_of_another_repository_has_no_commit(tmp_path):
    write(tmp_path / "README", "")
    git(tmp_path, "init")
    git(tmp_path, "add", "README")
    git(tmp_path, "commit", "-m", "first")
    write(tmp_path / "project" / "Snakefile", "")
    assert commit(tmp_path / "project") is None


def test_the_machine_is_told_by_its_parts():
    assert machine().keys() == {"system", "architecture", "cpu", "cores", "memory_gib", "gpus"}


# two runs


def causes(first, second):
    (row,) = compare_tables(RecordedRun("t", first, None), RecordedRun("t", second, None)).rows
    return row.causes


def changed(manifest, edit):
    other = copy.deepcopy(manifest)
    edit(other)
    return other


def test_two_folders_that_are_equal_have_no_difference(tmp_path):
    one, other = make_project(tmp_path / "one"), make_project(tmp_path / "other", seconds=9)
    (found,) = compare(one / "results", other / "results")
    assert found.same


def test_changed_answers_are_counted(tmp_path):
    one, other = make_project(tmp_path / "one"), make_project(tmp_path / "other", response="B")
    (found,) = compare(one / "results", other)
    (row,) = found.rows
    assert row.numbers["accuracy"] == (1.0, 0.0)
    assert (row.questions.asked, row.questions.answers, row.questions.gained, row.questions.lost) == (1, 1, 0, 1)
    assert row.causes == [
        "nothing that is recorded differs: the results themselves vary (order of sums on a GPU, a server)"
    ]


def test_answers_that_were_edited_since_the_manifest_are_not_counted(tmp_path):
    one, other = make_project(tmp_path / "one"), make_project(tmp_path / "other")
    write_manifest(other / "results/manifests/t.json", make_manifest("t", other))
    make_project(other, response="B")
    (row,) = compare(one / "results", other / "results/manifests/t.json")[0].rows
    assert row.questions is None


def edit_version(manifest):
    manifest["files"][ANSWERS]["versions"]["torch"] = "2.1"


def edit_revision(manifest):
    other = "f" * 40
    manifest["rows"][CELL]["configuration"]["evaluate"]["answerer"]["revision"] = other
    manifest["rows"][CELL]["models"]["answerer"]["revision"] = other


def edit_weights(manifest):
    manifest["rows"][CELL]["models"]["answerer"]["weights"] = "other"


def edit_labels(manifest):
    manifest["files"]["data/labels.json"]["sha256"] = "0" * 64


def edit_video(manifest):
    manifest["videos"]["v"] = "0" * 64


def edit_code(manifest):
    manifest["files"][SELECTION]["code"] = "d" * 12
    manifest["modules"] = {
        "show_table.py": "1",
        "framesift/core/errors.py": "3",
        "framesift/__init__.py": "0",
        "convert_labels.py": "4",
    }


def edit_setting(manifest):
    # in the specs of two steps, as a scorer's is
    for rule in ("select_frames", "convert_labels"):
        manifest["rows"][CELL]["configuration"][rule]["scorer"] = {"text": "question"}


CAUSES = {
    "a version": (edit_version, "the package torch was 2.0, is now 2.1"),
    "a revision": (edit_revision, f"answerer.revision was {REVISION}, is now {'f' * 40}"),
    "weights": (edit_weights, "the weights of the answerer some/vlm differ"),
    "labels": (edit_labels, "the content of data/labels.json differs"),
    "a video": (edit_video, "the video v is only in the second"),
    "code": (edit_code, "the code of select_frames differs: framesift/core/errors.py"),
    "a setting of several steps": (edit_setting, "scorer.text was not set, is now question"),
}


@pytest.mark.parametrize("what", CAUSES)
def test_what_differs_is_named_once_and_alone(manifest, what):
    edit, expected = CAUSES[what]
    manifest["programs"] = {code * 12: ["framesift.core.errors"] for code in "bd"}
    manifest["modules"] = {
        "show_table.py": "1",
        "framesift/core/errors.py": "2",
        "framesift/__init__.py": "0",
        "convert_labels.py": "2",
    }
    assert causes(manifest, manifest) == []
    assert causes(manifest, changed(manifest, edit)) == [expected]


def test_rows_of_one_run_alone_are_named(manifest):
    other = changed(manifest, lambda content: content["rows"].clear())
    found = compare_tables(RecordedRun("t", manifest, None), RecordedRun("t", other, None))
    assert found.only_first == ["topk, 8 frames, vlm"]
    assert not found.same


def test_folders_without_a_common_table_are_refused(tmp_path):
    one = make_project(tmp_path / "one")
    with pytest.raises(InputError, match="is not in both"):
        compare(one / "results", one / "results", "other")
    with pytest.raises(InputError, match="there is no such file or folder"):
        compare(one / "results", tmp_path / "nowhere")


# the crate


@pytest.fixture
def crate(tmp_path):
    root = make_project(tmp_path / "project", labels=str(tmp_path / "home" / "somebody" / "labels.json"))
    write(root / "config/config.yaml", "datasets: {d: {data_dir: /srv/somebody/data}}\n")
    export_crate("t", root, tmp_path / "crate", author="Ada")
    metadata = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in metadata["@graph"]}


def test_a_crate_says_what_it_conforms_to(crate):
    assert crate["ro-crate-metadata.json"]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert crate["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert crate["./"]["conformsTo"] == {"@id": "https://w3id.org/ro/wfrun/process/0.5"}


def test_a_crate_has_what_its_root_must_have(crate):
    root = crate["./"]
    assert {"name", "description", "datePublished", "license", "hasPart"} <= root.keys()
    assert crate[root["license"]["@id"]]["name"] == "Apache-2.0"
    assert crate["#framesift"]["license"] == root["license"]
    assert crate[root["author"]["@id"]]["name"] == "Ada"


def test_every_reference_of_a_crate_leads_somewhere(crate):
    def references(value):
        if isinstance(value, dict):
            yield from [value["@id"]] if "@id" in value else ()
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    known = {*crate, "https://w3id.org/ro/crate/1.1"}  # what RO-Crate itself defines
    for entity in crate.values():
        for value in entity.values():
            assert set(references(value)) <= known, entity["@id"]


def test_every_file_of_a_crate_is_there_and_described(crate, tmp_path):
    there = {
        file.relative_to(tmp_path / "crate").as_posix() for file in (tmp_path / "crate").rglob("*") if file.is_file()
    }
    described = {name for name, entity in crate.items() if entity["@type"] == "File"}
    assert described == there - {"ro-crate-metadata.json"}
    assert described == {
        "results/tables/t.csv",
        "results/manifests/t.json",
        "config/used.json",
        "config/config.yaml",
    }
    parts = {part["@id"] for part in crate["./"]["hasPart"]}
    assert described <= parts


def test_data_and_models_are_named_by_their_revision(crate):
    (action,) = [entity for entity in crate.values() if entity["@type"] == "CreateAction"]
    used = {item["@id"] for item in action["object"]}
    data = f"https://huggingface.co/datasets/some/data/tree/{REVISION}/"  # a Dataset's id ends in a slash
    model = f"https://huggingface.co/some/vlm/tree/{REVISION}"
    assert {data, model} <= used
    assert (crate[data]["version"], crate[model]["version"]) == (REVISION, REVISION)
    assert action["instrument"] == {"@id": "#framesift"}
    assert {item["@id"] for item in action["result"]} == {"results/tables/t.csv", "results/manifests/t.json"}
    assert crate["#framesift"]["softwareRequirements"] == ["torch==2.0"]


def test_a_crate_tells_no_places(crate, tmp_path):
    text = "".join(file.read_text() for file in (tmp_path / "crate").rglob("*") if file.is_file())
    assert "somebody" not in text
    assert str(tmp_path) not in text


def test_a_folder_that_holds_something_is_not_written_into(tmp_path):
    root = make_project(tmp_path / "project")
    with pytest.raises(InputError, match="is there already"):
        export_crate("t", root, root)
