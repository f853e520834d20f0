"""Scores in AKS's positional layout, both ways."""

import json

import pytest

from benchmarks import REPOSITORIES
from framesift.errors import InputError
from framesift.scores import QuestionScores, read_scores, write_scores
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
        ([[1], ["x"], [1]], [[0], [0], [0]], r"entry 1 .*is no finite number\n  found: 'x'"),
        ([[1], [1], [float("nan")]], [[0], [0], [0]], r"entry 2 .*is no finite number\n  found: nan"),
        ([[1], [1], [1]], [[0], [0.5], [0]], r"frames\.json: entry 1 .*is no frame number"),
        ({"a": 1}, [[0], [0], [0]], r"is not in AKS's layout"),
    ],
)
def test_files_that_do_not_fit(folder, scores, frames, message):
    from framesift.aks_scores import from_lists
    from framesift.questions import read_questions

    (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "frames.json").write_text(json.dumps(frames))
    with pytest.raises(InputError, match=message):
        from_lists(folder / "scores.json", folder / "frames.json", read_questions(folder / "labels.json"))
