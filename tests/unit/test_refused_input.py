"""Input that used to be accepted, to hang or to end in a traceback: each gives one message that names the place."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from framesift.checkpoints import gpu_lease
from framesift.config.load import load_config, read_config
from framesift.config.site_file import read_site
from framesift.core.components import build, kinds
from framesift.core.errors import InputError
from framesift.data.labels import convert, read_records
from framesift.data.shards import assign_shards
from framesift.demo.config import DemoWorld, video_ids
from framesift.program.read_spec import read_spec
from framesift.selection.selectors import ScoreError, select
from framesift.storage.files import atomic_write, read_json, write_json
from project import ROOT

DEFAULT = ROOT / "config" / "config.yaml"
SCRIPTS = ROOT / "workflow" / "scripts"
#: Fields that a benchmark may leave null.
MAY_BE_NULL = {"egoschema": {"answer"}, "longvideobench": {"position"}, "lvbench": {"time_reference"}}


def program(name, *arguments, cwd):
    """Exit status and last message of a program."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / f"{name}.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


# Labels


@pytest.mark.parametrize("kind", [kind for kind in kinds("datasets") if kind != "custom"])
def test_a_field_that_a_question_needs_is_not_null(tmp_path, kind):
    dataset = build("datasets", {"kind": kind, "data_dir": ".", "labels": "."})
    read = dataset.question(dict(dataset.example))
    refused = set()
    for field in dataset.example:
        pq.write_table(pa.Table.from_pylist([{**dataset.example, field: None}]), tmp_path / "labels.parquet")
        try:
            [made] = convert(dataset, tmp_path / "labels.parquet")
        except InputError as error:
            refused.add(field)
            message = str(error)
            assert message.endswith(f"labels.parquet: record 1: field {field!r}: found null, expected a value")
        else:
            texts = [made["normalised"][key] for key in ("question_id", "video_id", "question", "answer")]
            assert "None" not in {*texts, *made["normalised"]["options"], *made["normalised"]["groups"].values()}
    assert refused
    assert not refused & MAY_BE_NULL.get(kind, set())
    assert read.question_id


@pytest.mark.parametrize("field", ["question", "options", "answer", "video", "id", "topic"])
def test_a_field_of_a_dataset_of_ones_own_is_not_null(tmp_path, field):
    columns = {"question_id": "id", "groups": ["topic"]}
    dataset = build("datasets", {"kind": "custom", "data_dir": ".", "labels": ".", "columns": columns})
    record = {"question": "Why?", "options": ["a", "b"], "answer": "A", "video": "v.mp4", "id": "q", "topic": "x"}
    write_json(tmp_path / "labels.json", [record, {**record, "id": "r", field: None}])
    with pytest.raises(InputError, match=f"record 2: field '{field}': found null, expected a value"):
        convert(dataset, tmp_path / "labels.json")


def test_an_option_is_not_null(tmp_path):
    dataset = build("datasets", {"kind": "videomme"})
    write_json(tmp_path / "labels.json", [{**dataset.example, "options": ["A. a", None, "C. c"]}])
    with pytest.raises(InputError, match="field 'options': found null at position 1"):
        convert(dataset, tmp_path / "labels.json")
    write_json(tmp_path / "labels.json", [{**dataset.example, "options": 3}])
    with pytest.raises(InputError, match="field 'options': found 3, expected a list"):
        convert(dataset, tmp_path / "labels.json")


def test_a_column_may_be_empty_for_options_that_a_question_does_not_have(tmp_path):
    columns = {"options": ["a", "b", "c"], "evidence": "when"}
    dataset = build("datasets", {"kind": "custom", "data_dir": ".", "labels": ".", "columns": columns})
    record = {"question": "Why?", "a": "x", "b": "y", "c": None, "when": None, "answer": "B", "video": "v.mp4"}
    write_json(tmp_path / "labels.json", [record])
    assert convert(dataset, tmp_path / "labels.json")[0]["normalised"]["options"] == ["x", "y"]


def test_the_line_of_a_mistake_is_that_of_the_file(tmp_path):
    (tmp_path / "labels.jsonl").write_text('{"a": 1}\n\n{"a": }\n')
    with pytest.raises(InputError, match=r"labels\.jsonl: line 3: ") as caught:
        read_records(tmp_path / "labels.jsonl")
    assert "line 1" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_a_pipe_is_refused_at_once(tmp_path, suffix):
    os.mkfifo(tmp_path / f"labels{suffix}")
    with pytest.raises(InputError, match=f"labels{suffix}: is not a regular file"):
        read_records(tmp_path / f"labels{suffix}")


def test_a_byte_order_mark_is_ignored(tmp_path):
    (tmp_path / "labels.json").write_bytes(b'\xef\xbb\xbf[{"a": 1}]')
    assert read_json(tmp_path / "labels.json") == [{"a": 1}]


# Configuration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2", "the key 'seed' comes twice|line 2"),
        ("datasets: {}\nseed: 1\ndatasets: {}", "the key 'datasets' comes twice"),
        ("tables: {demo: {budgets: [1:30]}}", "1:30 would be read as 90: quote it"),
        ("tables: {demo: {budgets: [true]}}", "tables.demo.budgets[0]: is not usable|found: True|expected: a number"),
        ("seed: true", "seed: is not usable|found: True"),
        ("selectors: {mine: {kind: aks, t1: true}}", "selectors.mine.t1: |found: True"),
        ("tables: {demo: {budgets: [8, 4, 8]}}", "tables.demo.budgets: 8 comes twice"),
        ("tables: {demo: {selectors: [uniform, uniform]}}", "tables.demo.selectors: 'uniform' comes twice"),
        ("datasets: {demo: {data_dir: 'a{b}c'}}", "datasets.demo.data_dir: has braces|expected: a path without"),
    ],
)
def test_what_no_user_means_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(ROOT)
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    merged = yaml.safe_load(text)
    for read in (lambda: read_config(DEFAULT, mine), lambda: load_config(merged, [mine], DEFAULT)):
        with pytest.raises(InputError) as caught:
            read()
        assert "mine.yaml: " in str(caught.value)
        for part in message.split("|"):
            assert part in str(caught.value)


def test_anchors_and_merge_keys_of_yaml_still_work(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "mine.yaml").write_text(
        "selectors: {one: &one {kind: aks, s_thr: 0.5}, two: {<<: *one, s_thr: 0.6}, three: {<<: *one}}"
    )
    selectors = read_config(DEFAULT, tmp_path / "mine.yaml").selectors
    assert [selectors[name].s_thr for name in ("one", "two", "three")] == [0.5, 0.6, 0.5]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("seed: no number", "seed"),
        ("tables: {demo: {baseline: nothing}}", r"tables\.demo\.baseline"),
        ("tables: {demo: {answerers: [nobody]}}", r"tables\.demo\.answerers\[0\]"),
        ("tables: {demo: {budgetts: [8]}}", r"tables\.demo\.budgetts"),
        ("selectors: {aks: {s_thr: high}}", r"selectors\.aks\.s_thr"),
    ],
)
def test_the_file_named_holds_the_value_whatever_the_order(tmp_path, monkeypatch, text, field):
    """Snakemake names the files of --configfile, which win, before that of the working folder."""
    monkeypatch.chdir(ROOT)
    mine = tmp_path / "my.yaml"
    mine.write_text(text)
    raw = yaml.safe_load(DEFAULT.read_text())
    for key, value in yaml.safe_load(text).items():
        if isinstance(value, dict):
            for name, part in value.items():
                raw[key][name] |= part
        else:
            raw[key] = value
    for files in ([mine, DEFAULT], [DEFAULT, mine]):
        with pytest.raises(InputError, match=rf"my\.yaml: {field}"):
            load_config(raw, files, DEFAULT)
    raw = yaml.safe_load(DEFAULT.read_text()) | {"seed": -1}
    mine.write_text("max_jobs: 3")
    base = tmp_path / "config.yaml"
    base.write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError, match=r"/config\.yaml: seed"):
        load_config(raw | {"max_jobs": 3}, [mine, base])


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ({"default-resource": {"slurm_account": "x"}}, "default-resource: there is no such key|'default-resources'"),
        ({"gpu_resources": {"gpu_model": "a100"}}, "gpu_resources: there is no such key|'gpu-resources'"),
        ({"set-resources": {"evalute": {"mem_mb": 1}}}, "set-resources.evalute: there is no such rule|'evaluate'"),
        ({"set-threads": {"score_frame": 1}}, "set-threads.score_frame: there is no such rule|'score_frames'"),
        ({"set-resources": {"evaluate": 8}}, "set-resources.evaluate: is not usable|found: 8"),
        ({"gpu-resources": 8}, "gpu-resources: is not usable|found: 8"),
        ({"latency_wait": 8}, "latency_wait: there is no such key|'latency-wait'"),
    ],
)
def test_a_mistake_in_a_site_file_is_refused(tmp_path, site, message):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    with pytest.raises(InputError) as caught:
        read_site(tmp_path / "site.yaml")
    assert "site.yaml: " in str(caught.value)
    for part in message.split("|"):
        assert part in str(caught.value)


def test_the_example_of_a_site_file_is_right():
    pytest.importorskip("snakemake_executor_plugin_slurm")
    assert read_site(ROOT / "profiles/slurm/site.example.yaml")["default-resources"] == {"slurm_account": "my_project"}


# Programs


def test_a_spec_without_a_key_names_it(tmp_path):
    with pytest.raises(InputError, match="--spec: shards: is missing"):
        read_spec("{}")["shards"]
    with pytest.raises(InputError, match=r"shards: expected a positive integer\n  found: 0"):
        assign_shards({}, 0)


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("folder", "it is a folder"),
        ("file/x.json", "a part of the path is a file"),
        ("file/x/y.json", "a part of the path is a file"),
        ("n" * 300, "the name is too long"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_message(tmp_path, out, reason):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "try_it.py").write_text(
        "import sys\nfrom framesift.program.cli import run\nfrom framesift.storage.files import write_json\n"
        "run(lambda: write_json(sys.argv[1], {}, checked=True))\n"
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "try_it.py", tmp_path / out],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / out}: cannot be written: {reason}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "try_it.py"]


def test_a_program_that_is_not_executable_is_one_message(tmp_path):
    (tmp_path / "command").write_text("")
    status, err = program("on_gpus", 1, "./command", cwd=tmp_path)
    assert status == 1
    assert err.endswith("error: cannot be run (Permission denied)\n  found: './command'\n")


def test_a_lock_that_is_a_link_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(gpu_lease.LOCKS, str(tmp_path))
    monkeypatch.setattr(gpu_lease, "visible_gpus", lambda: ["GPU-1"])
    monkeypatch.delenv(gpu_lease.VISIBLE, raising=False)
    (tmp_path / "GPU-1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="GPU-1: cannot be used as the lock of a GPU") as caught:
        gpu_lease.lease()
    assert "not a link" in str(caught.value)


# Files


def test_writing_a_file_leaves_the_umask_of_other_threads_alone(tmp_path, monkeypatch):
    def refuse(_mask):
        raise AssertionError("the umask is that of all threads")

    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", refuse)
            write_json(tmp_path / "a.json", 1)
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with atomic_write(tmp_path / "a.txt") as one, atomic_write(tmp_path / "a.txt") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_rendering_left_is_removed(tmp_path):
    from framesift.demo.world import write_video

    world = DemoWorld(short_seconds=120, fps=1)
    video = video_ids(world)[0]
    left = tmp_path / f".{video}.0123abcd.tmp.mp4"
    other = tmp_path / ".other.0123abcd.tmp.mp4"
    left.touch()
    other.touch()
    write_video(world, video, tmp_path / f"{video}.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, f"{video}.mp4"]


# Selectors by name


@pytest.mark.parametrize("kind", ["aks", "topk", "focus"])
def test_scores_of_another_shape_are_refused(kind):
    with pytest.raises(ScoreError, match=r"shape \(1, 12\)"):
        select(kind, scores=np.random.default_rng(0).random((1, 12)), budget=4)


def test_without_candidates_there_is_no_selection():
    for kind in ("aks", "uniform"):
        with pytest.raises(ScoreError, match="there are no candidates"):
            select(kind, budget=8)
    with pytest.raises(ScoreError, match="needs 12 scores, and there are 0"):
        select("aks", n=12, budget=12)
    with pytest.raises(ScoreError, match="needs 12 scores, and there are 3"):
        select("aks", scores=[0.1, 0.2, 0.3], timestamps=range(12), budget=20)


def test_uniform_takes_a_number_of_candidates():
    assert select("uniform", n=12, budget=4).tolist() == [0, 4, 7, 11]
    assert select("uniform", n=3, budget=4).tolist() == [0, 1, 2]
