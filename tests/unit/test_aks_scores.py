"""Scores in AKS's positional layout, both ways."""

import functools
import hashlib
import json
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks import REPOSITORIES
from framesift.core.errors import InputError
from framesift.interop import aks_release
from framesift.scoring.score_table import QuestionScores, read_scores, write_scores
from framesift.video.table import Video
from tiny import program


@pytest.fixture
def folder(tmp_path):
    """Labels of three questions, converted, and scores of them in another order than theirs."""
    (tmp_path / "lvb_val.json").write_bytes(REPOSITORIES["longvideobench"]()["lvb_val.json"])
    program("convert_labels.py", "--dataset", "longvideobench", "--labels", tmp_path / "lvb_val.json",
            "--out", tmp_path / "labels.json")  # fmt: skip
    names = ["three", "one", "two"]
    rows = [
        QuestionScores(f"@channel-{name}_0", name, None, [0, 29, 58][: i + 1], [0.5, 0.25, -1.0][: i + 1])
        for i, name in enumerate(names)
    ]
    write_scores(tmp_path / "scores.parquet", rows, {})
    return tmp_path


def export(folder):
    program("export_scores.py", "--scores", folder / "scores.parquet", "--labels", folder / "labels.json",
            "--out-dir", folder / "out")  # fmt: skip


def imported(folder, *more):
    program("import_scores.py", "--dataset", "longvideobench", "--original", folder / "lvb_val.json", "--scores",
            folder / "out" / "scores.json", "--frames", folder / "out" / "frames.json", "--out",
            folder / "back.parquet", *more)  # fmt: skip
    return read_scores(folder / "back.parquet")


def test_there_and_back(folder):
    export(folder)
    assert json.loads((folder / "out" / "frames.json").read_text()) == [[0, 29], [0, 29, 58], [0]]
    assert json.loads((folder / "out" / "scores.json").read_text()) == [[0.5, 0.25], [0.5, 0.25, -1.0], [0.5]]
    assert json.loads((folder / "out" / "ids.json").read_text())[0] == "@channel-one_0"
    assert imported(folder) == read_scores(folder / "scores.parquet")


def test_frames_written_as_floats_and_questions_without_scores(folder):
    export(folder)
    (folder / "out" / "frames.json").write_text("[[0.0, 29.0], [], [0.0]]")
    (folder / "out" / "scores.json").write_text("[[1, 2], [], [3]]")
    rows = imported(folder)
    assert rows["@channel-one_0"].frames == [0, 29]
    assert rows["@channel-two_0"].error == "there are no scores"


def test_only_some_questions_are_wanted(folder):
    export(folder)
    records = json.loads((folder / "labels.json").read_text())
    (folder / "few.json").write_text(json.dumps(records[1:2]))
    assert list(imported(folder, "--labels", folder / "few.json")) == ["@channel-two_0"]


@pytest.mark.parametrize(
    ("scores", "frames", "message"),
    [
        ([[1], [1]], [[0], [0], [0]], r"scores\.json: has another number of questions(.|\n)*found: 2\n  expected: 3"),
        ([[1], [1], [1]], [[0], [0, 1], [0]], r"entry 1 \(question @channel-two_0\): has 1 scores and 2 frames"),
        ([[1], ["x"], [1]], [[0], [0], [0]], r"entry 1 .*is not a finite number\n  found: 'x'"),
        ([[1], [1], [float("nan")]], [[0], [0], [0]], r"entry 2 .*is not a finite number\n  found: 'NaN'"),
        ([[1], [1], [1]], [[0], [0.5], [0]], r"frames\.json: entry 1 .*is not a frame index"),
        ({"a": 1}, [[0], [0], [0]], r"is not in AKS's layout"),
    ],
)
def test_files_that_do_not_fit(folder, scores, frames, message):
    from framesift.data.questions import read_questions
    from framesift.interop.aks_scores import from_lists

    (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "frames.json").write_text(json.dumps(frames))
    with pytest.raises(InputError, match=message):
        from_lists(folder / "scores.json", folder / "frames.json", read_questions(folder / "labels.json"))


# The release itself: a server on this machine takes the place of its own


LVB = aks_release.LABELS["longvideobench"]
LISTS = {"scores": [[0.5, 0.25], [0.1, 0.2, 0.3], [1.0]], "frames": [[0, 29], [0, 29, 58], [0]]}


@pytest.fixture
def release(tmp_path):
    """The release in small: its files on a server, and their blob ids."""
    files = {LVB: REPOSITORIES["longvideobench"]()["lvb_val.json"]}
    files |= {f"outscores/longvideobench/clip/{name}.json": json.dumps(lists).encode() for name, lists in LISTS.items()}
    served = tmp_path / "served"
    blobs = {}
    for name, content in files.items():
        (served / name).parent.mkdir(parents=True, exist_ok=True)
        (served / name).write_bytes(content)
        blobs[name] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    handler = functools.partial(QuietHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", blobs, served
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_released_scores_are_fetched_once_and_matched_by_id(release, tmp_path, monkeypatch):
    source, blobs, _ = release
    rows = aks_release.released_scores("longvideobench", "clip", tmp_path / "aks", source, blobs)
    assert {name: (row.frames, row.scores) for name, row in rows.items()} == {
        "@channel-one_0": ([0, 29], [0.5, 0.25]),
        "@channel-two_0": ([0, 29, 58], [0.1, 0.2, 0.3]),
        "@channel-three_0": ([0], [1.0]),
    }
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert aks_release.released_scores("longvideobench", "clip", tmp_path / "aks", source, blobs) == rows
    assert not list(tmp_path.rglob("aks/**/*.part"))
    with pytest.raises(InputError, match=r"cannot be downloaded, since HF_HUB_OFFLINE is set"):
        aks_release.released_scores("longvideobench", "clip", tmp_path / "elsewhere", source, blobs)


def test_a_file_that_is_not_the_released_one(release, tmp_path):
    source, blobs, served = release
    with pytest.raises(InputError, match=r"cannot be fetched(.|\n)*put the file at"):
        aks_release.released_file("outscores/longvideobench/blip/scores.json", tmp_path, source, blobs)
    file = "outscores/longvideobench/clip/scores.json"
    (served / file).write_bytes((served / file).read_bytes() + b" ")
    with pytest.raises(InputError, match=r"is not the released file(.|\n)*remove it"):
        aks_release.released_file(file, tmp_path, source, blobs)


def test_released_scores_of_another_file_than_the_authors_had():
    row = QuestionScores("q", "v", None, [0, 29, 58], [0.1, 0.2, 0.3])
    assert aks_release.fitting(row, Video("v", "v.mp4", frames=[0, 29, 58])) == row
    other = aks_release.fitting(row, Video("v", "v.mp4", frames=[0, 30]))
    assert other.scores == []
    assert "3 candidate frames, 29 apart; this video file has 2 candidate frames, 30 apart" in other.error
    assert aks_release.fitting(row, Video("v", "", error="no video file was found")).error == "no video file was found"


def test_released_scores_in_the_workflow(tmp_path, monkeypatch):
    root = Path(__file__).resolve().parents[2]
    config = {
        "datasets": {"lvb": {"kind": "longvideobench", "data_dir": str(tmp_path)}},
        "scorers": {"released": {"kind": "aks_outscores", "scores": "blip"}},
        "tables": {
            "t": {
                "dataset": "lvb",
                "answerers": ["demo_vlm"],
                "scorers": ["released"],
                "selectors": ["uniform", "aks"],
                "budgets": [8],
            }
        },
    }
    (tmp_path / "my.yaml").write_text(json.dumps(config))

    def plan():
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "-n",
            "results/tables/t.csv",
            "--quiet",
            "rules",
            "--configfile",
            tmp_path / "my.yaml",
        ]
        return subprocess.run(command, cwd=root, capture_output=True, text=True)

    done = plan()
    assert done.returncode == 0, done.stderr
    assert re.search(r"import_outscores +1\n", done.stdout)
    assert "score_frames" not in done.stdout
    config["datasets"]["lvb"]["kind"] = "mlvu"
    (tmp_path / "my.yaml").write_text(json.dumps(config))
    done = plan()
    assert done.returncode != 0
    assert "AKS released no scores of mlvu" in done.stdout + done.stderr
    config["datasets"]["lvb"]["kind"] = "longvideobench"
    config["candidates"] = {"rule": "timestamp"}
    (tmp_path / "my.yaml").write_text(json.dumps(config))
    done = plan()
    assert "candidates of rule index" in done.stdout + done.stderr
