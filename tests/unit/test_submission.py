"""The file that EgoSchema's server marks."""

import sys

import pytest

import export_submission
from framesift.answering.answer_file import Answer, write_answers
from framesift.core.errors import InputError
from framesift.data.questions import NORMALISED, Question
from framesift.storage.files import read_json, write_json


@pytest.fixture
def program(tmp_path, monkeypatch):
    questions = [
        Question(question_id=f"q{k}", video_id=f"v{k}", question="?", options=("a", "b", "c", "d", "e"), answer=None)
        for k in range(4)
    ]
    write_json(tmp_path / "labels.json", [{NORMALISED: question.model_dump()} for question in questions])
    said = {"q0": "E", "q1": "(b)", "q2": "no idea"}
    answers = {key: Answer(video_id=f"v{key[1]}", response=text) for key, text in said.items()}
    answers["q3"] = Answer(video_id="v3", error="video: broken")
    write_answers(tmp_path / "1.json", {key: answers[key] for key in ("q0", "q1")}, {})
    write_answers(tmp_path / "2.json", {key: answers[key] for key in ("q2", "q3")}, {})

    def run(*files):
        arguments = ["--labels", tmp_path / "labels.json", "--out", tmp_path / "out.json", "--answers"]
        arguments += [tmp_path / file for file in files]
        monkeypatch.setattr(sys, "argv", ["export_submission.py", *map(str, arguments)])
        export_submission.main()
        return read_json(tmp_path / "out.json")

    return run


def test_every_video_has_a_number(program):
    assert program("1.json", "2.json") == {"v0": 4, "v1": 1, "v2": -1, "v3": -1}


def test_a_missing_chunk_is_named(program, tmp_path):
    with pytest.raises(InputError, match=r"2 questions of the labels have no answer(.|\n)*'q2'"):
        program("1.json")
    assert not (tmp_path / "out.json").exists()
