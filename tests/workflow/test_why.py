"""A file of results is explained, two runs are compared and a table is exported: on one real, tiny run."""

import copy
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import warm
from framesift.provenance.compare import compare
from framesift.provenance.manifest import make_manifest
from tiny import TABLE, VIDEOS, finished_project

AKS = "workflow/scripts/framesift/selection/selectors/aks.py"
AKS_ROWS = ["aks with demo_clip, 4 frames, demo_vlm", "aks with demo_blip, 4 frames, demo_vlm"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return finished_project(tmp_path_factory.mktemp("why") / "project")


@pytest.fixture(scope="module")
def again(project, tmp_path_factory):
    """The same run elsewhere, with its uniform answers given anew."""
    other = copy.copy(project)
    other.folder, other.config = tmp_path_factory.mktemp("again") / "project", copy.deepcopy(project.config)
    shutil.copytree(project.folder, other.folder)
    uniform = one(other, "results/answers/tiny/*/uniform-*/1-of-1.json")
    (other.folder / uniform).unlink()
    shutil.rmtree(other.folder / "results" / "cache" / "answers")
    other.run(uniform)  # Snakemake does not miss it while there is a table
    other.run(TABLE)
    return other


@pytest.fixture
def edited(project):
    with project.restored():
        yield project


def program(project, name, *arguments, check=True):
    (project.folder / "test.yaml").write_text(yaml.safe_dump(project.config))
    done = subprocess.run(
        [warm.folder() / "python", f"workflow/scripts/{name}.py", *map(str, arguments)],
        cwd=project.folder,
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def why(project, file, *more, check=True):
    done = program(project, "why", file, "--configfile", "test.yaml", *more, check=check)
    return done.stdout if check else done.stderr


def reasons(text):
    """The sentences that tell what would make the file again."""
    return [line.removeprefix("  - ") for line in text.splitlines() if line.startswith("  - ")]


def one(project, pattern):
    return sorted(file.relative_to(project.folder).as_posix() for file in project.folder.glob(pattern))[0]


# why


def test_a_current_table_is_told_as_such(project):
    text = why(project, TABLE)
    assert "Made by the rule make_table (make_table.py) at 20" in text
    assert "    results/judged/tiny.json" in text
    assert "What would make it again: nothing." in text
    assert reasons(text) == []


def test_answers_tell_their_settings_and_versions(project):
    text = why(project, one(project, "results/answers/tiny/*/topk-*/1-of-1.json"))
    assert "    answerer.model = resources/demo/vlm" in text
    versions = r"answering 1, decoding 1, llava_onevision_hf 1, videomme 1"
    assert re.search(rf"By the declared versions {versions} with lmms-eval \S+, torch \S+, transformers \S+\.", text)


def test_a_changed_setting_is_named_and_nothing_else(edited):
    edited.config["selectors"] = {"aks": {"s_thr": 0.5}}
    text = why(edited, TABLE)
    (reason,) = reasons(text)
    assert reason.startswith("selector.s_thr was 0.8, is now 0.5 (for results/selections/tiny/aks-4-")
    assert "It takes 6 jobs: 2 evaluate, 1 judge_answers, 1 make_table, 2 select_frames." in text


@pytest.mark.parametrize(
    "pattern", ["results/selections/tiny/aks-*.json", "results/answers/tiny/*/aks-*/1-of-1.json"], ids=["own", "behind"]
)
def test_a_file_that_is_not_asked_for_any_more_is_told_against_its_successor(edited, pattern):
    old = one(edited, pattern)
    edited.config["selectors"] = {"aks": {"s_thr": 0.5}}
    text = why(edited, old)
    assert "Nothing that is configured today asks for it." in text
    successor = re.search(r"The nearest file that is asked for is (\S+)\. There", text)[1]
    assert Path(successor).parent.parts[:3] == Path(old).parent.parts[:3]
    assert successor != old
    assert reasons(text) == ["selector.s_thr was 0.8, is now 0.5"]


def test_edited_code_is_named_by_its_module(edited):
    selection = one(edited, "results/selections/tiny/aks-*.json")
    edited.edit(AKS, "quota == 1", "quota <= 1")
    text = why(edited, selection)
    assert reasons(text) == ["the code of select_frames.py changed: framesift/selection/selectors/aks.py"]
    assert "It takes 1 job: 1 select_frames." in text


def test_edited_code_is_told_from_touched_code_by_the_manifest(edited):
    """Dates say nothing after a checkout; the digests in a manifest do."""
    for file in (edited.folder / "workflow").rglob("*.py"):
        os.utime(file)
    folder = edited.folder / "results" / "manifests"
    write = (
        "import sys; from pathlib import Path; sys.path.insert(0, 'workflow/scripts');"
        "from framesift.provenance.manifest import make_manifest, write_manifest;"
        "write_manifest('results/manifests/tiny.json', make_manifest('tiny', Path()))"
    )
    try:
        subprocess.run([sys.executable, "-c", write], cwd=edited.folder, check=True)
        edited.edit(AKS, "quota == 1", "quota <= 1")
        text = why(edited, one(edited, "results/selections/tiny/aks-*.json"))
        assert reasons(text) == ["the code of select_frames.py changed: framesift/selection/selectors/aks.py"]
    finally:
        shutil.rmtree(folder)


def test_changed_labels_are_named(edited):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = edited.folder / "data" / "labels.parquet"
    records = pq.read_table(path).to_pylist()
    records[0]["question"] += "?"
    pq.write_table(pa.Table.from_pylist(records), path)
    text = why(edited, TABLE)
    assert reasons(text) == ["data/labels.parquet has changed (for results/labels/tiny.json)"]


def test_a_new_video_is_named(edited):
    folder = edited.folder / "data" / "videos"
    shutil.copy(folder / f"{VIDEOS[1]}.mp4", folder / "new.mp4")
    text = why(edited, one(edited, "results/videos/*.parquet"))
    assert "data/videos/new.mp4 is a new input file" in reasons(text)


def test_a_row_of_another_name_is_told(edited):
    edited.config["selectors"] = {"topk": {"label": "best frames"}}
    text = why(edited, TABLE)
    rows = [f"with {scorer}, 4 frames, demo_vlm" for scorer in ("demo_clip", "demo_blip")]
    assert reasons(text) == [f"the row `topk {row}` is now called `best frames {row}`" for row in rows]
    assert "It takes 1 job: 1 make_table." in text


def test_a_file_that_was_removed_is_told(edited):
    selection = edited.folder / one(edited, "results/selections/tiny/topk-*.json")
    kept = selection.with_suffix(".kept")
    selection.rename(kept)
    try:
        text = why(edited, selection.relative_to(edited.folder))
        assert reasons(text) == [f"{selection.relative_to(edited.folder).as_posix()} is no longer there"]
    finally:
        kept.rename(selection)


def test_a_file_that_was_never_made_is_told_by_its_rule(project):
    text = why(project, "results/measures/tiny.csv")
    assert "It is not there yet. The rule measure_selections would make it." in text


def test_a_list_that_goes_with_a_result_is_explained_by_it(project):
    videos = one(project, "results/videos/*.parquet")
    text = why(project, videos.replace(".parquet", "-excluded.csv"))
    assert f"It is a log that goes with {videos}." in text


def test_a_cache_is_told_as_such(project):
    assert "deleting it costs only time" in why(project, one(project, "results/cache/answers/*/*.jsonl"))


def test_an_unknown_file_is_refused_with_the_nearest_name(project):
    text = why(project, "results/tables/tny.csv", check=False)
    assert text.startswith("error: results/tables/tny.csv: there is no such file, and no rule makes it")
    assert f"did you mean {TABLE!r}?" in text


def test_a_folder_is_refused(project):
    assert "error: results/selections: is a folder" in why(project, "results/selections", check=False)


def test_the_explanation_is_there_for_programs_too(edited):
    edited.config["selectors"] = {"aks": {"s_thr": 0.5}}
    found = json.loads(why(edited, TABLE, "--json"))
    assert found["state"] == "outdated"
    assert [cause["text"] for cause in found["causes"]] == ["selector.s_thr was 0.8, is now 0.5"]
    assert found["made"]["rule"] == "make_table"
    assert found["jobs"] == {"select_frames": 2, "evaluate": 2, "judge_answers": 1, "make_table": 1}


# the manifest


def test_each_row_leads_back_to_labels_videos_and_models(project):
    manifest = make_manifest("tiny", project.folder)
    assert len(manifest["rows"]) == 5
    for name, row in manifest["rows"].items():
        assert {"data/labels.parquet", "results/judged/tiny.json", row["selection"], *row["answers"]} <= set(
            row["files"]
        )
        assert {f"data/videos/{video}.mp4" for video in VIDEOS} <= set(row["files"])
        assert row["configuration"]["evaluate"]["answerer"]["model"] == "resources/demo/vlm"
        scores = [path for path in row["files"] if path.startswith("results/scores/")]
        assert bool(scores) == bool(row["scorer"]), name
        others = [path for path in row["files"] if path.startswith("results/answers/") and name not in path]
        assert others == []
    row = next(row for row in manifest["rows"].values() if row["name"] == AKS_ROWS[0])
    assert row["configuration"]["select_frames"]["selector"]["s_thr"] == 0.8
    assert row["models"].keys() == {"answerer", "scorer"}


def test_a_manifest_holds_the_digests_of_the_files(project):
    manifest = make_manifest("tiny", project.folder)
    for path, entry in manifest["files"].items():
        digest = hashlib.sha256((project.folder / path).read_bytes()).hexdigest()
        assert digest == entry.get("sha256", manifest["made"]["steps"].get(path, {}).get("sha256")), path
    answers = next(iter(manifest["rows"].values()))["answers"][0]
    weights = json.loads((project.folder / answers).read_text())["made_by"]["weights"]
    assert manifest["rows"][Path(answers).parent.relative_to("results/answers").as_posix()]["models"]["answerer"][
        "weights"
    ] == weights  # fmt: skip


def test_a_manifest_tells_no_places_and_no_hosts(project):
    text = json.dumps(make_manifest("tiny", project.folder))
    assert str(project.folder) not in text
    assert str(Path.home()) + "/" not in text
    assert f'"{platform.node()}"' not in text


def test_two_runs_differ_only_in_what_is_set_apart(project, again):
    first, second = make_manifest("tiny", project.folder), make_manifest("tiny", again.folder)
    answers = one(project, "results/answers/tiny/*/uniform-*/1-of-1.json")
    was, now = first.pop("made"), second.pop("made")
    assert was["steps"][answers]["sha256"] != now["steps"][answers]["sha256"]  # other seconds
    assert first == second


# two runs


def test_the_same_run_has_no_difference(project, again):
    done = program(project, "compare_runs", "results", again.folder / "results")
    assert done.stdout == "tiny: no difference\n"


def test_one_changed_setting_is_the_one_cause(project, again):
    again.config["selectors"] = {"aks": {"s_thr": 0.5}}
    again.run(TABLE)
    (found,) = compare(project.folder / "results", again.folder / "results")
    changed = [row for row in found.rows if row.causes or row.changed]
    assert [row.name for row in changed] == AKS_ROWS
    assert [row.causes for row in changed] == [["selector.s_thr was 0.8, is now 0.5"]] * 2
    assert all(row.questions.asked == 12 and row.questions.frames > 0 for row in changed)

    done = program(project, "compare_runs", "results", again.folder / "results", "--json")
    (plain,) = json.loads(done.stdout)
    assert plain["same"] is False
    assert [row["name"] for row in plain["rows"] if row["causes"]] == AKS_ROWS
    text = program(project, "compare_runs", "results", again.folder / "results").stdout
    assert text.count("why: ") == 1
    assert "why: selector.s_thr was 0.8, is now 0.5" in text


# the crate


def test_a_crate_of_a_real_table_can_be_read_back(project, tmp_path):
    from rocrate.rocrate import ROCrate

    program(project, "export_crate", "--table", "tiny", "--out", tmp_path / "crate.zip", "--configfile", "test.yaml")
    with zipfile.ZipFile(tmp_path / "crate.zip") as archive:
        names = set(archive.namelist())
        assert archive.read(TABLE) == (project.folder / TABLE).read_bytes()
        content = b"".join(map(archive.read, names)).decode()
    assert {"ro-crate-metadata.json", TABLE, "results/manifests/tiny.json", "config/test.yaml"} <= names
    assert not any(name.endswith((".mp4", ".safetensors")) for name in names)
    assert str(project.folder) not in content
    crate = ROCrate(tmp_path / "crate.zip")
    (action,) = crate.get_by_type("CreateAction")
    assert TABLE in [entity.id for entity in action["result"]]
    assert "#model-resources/demo/vlm" in [entity.id for entity in action["object"]]
