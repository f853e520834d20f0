"""Finished runs of lmms-eval become answers, by id or by text, and go through the same checks as our own."""

import gzip
import json
import sys
from pathlib import Path

import pytest

import import_run
from framesift.answering.answer_file import read_answers
from framesift.core.errors import InputError
from framesift.data.benchmarks.videomme import VideoMME
from framesift.data.labels import convert
from framesift.data.questions import Question
from framesift.judging.imported_runs import read_run, run_facts
from framesift.storage.files import read_json, write_json

DATA = Path(__file__).parents[3] / "shared" / "data" / "videomme"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")

QUESTIONS = [
    Question(question_id=f"{k}", video_id=f"v{k}", question=f"What is {k}?", options=("this", word), answer="A")
    for k, word in enumerate(["that", "those", "these"])
]


def sample(number, response, **metric):
    question = QUESTIONS[number]
    text = f"Choose.\n{question.question}\nA. this\nB. {question.options[1]}"
    return {"doc_id": 7, "target": "A", "filtered_resps": [response], "input": text, "score": metric}


def write(path, samples, packed=False):
    text = "\n".join(json.dumps(one) for one in samples).encode() + b"\n"
    path.write_bytes(gzip.compress(text) if packed else text)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_samples_are_found_by_the_id_in_their_metric(tmp_path, packed):
    path = write(tmp_path / "s", [sample(2, "B.", question_id="1"), sample(0, "A", question_id="0")], packed)
    answers = read_run(path, QUESTIONS)
    assert list(answers) == ["0", "1", "2"]
    assert [answers[name].response for name in "01"] == ["A", "B."]
    assert answers["2"].error == "is not in the run"
    assert answers["0"].frames_given == []


def test_samples_without_an_id_are_found_by_their_text(tmp_path):
    answers = read_run(write(tmp_path / "s", [sample(2, "B"), sample(1, "A")]), QUESTIONS)
    assert (answers["1"].response, answers["2"].response) == ("A", "B")


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([sample(1, "A"), sample(1, "B")], "line 2: is answered twice"),
        ([{**sample(1, "A"), "input": "Why?"}], "matches 0 questions"),
        ([{**sample(1, "A"), "filtered_resps": ["A", "B"]}], "no single response"),
        ([{"question": "?"}], "not a sample of lmms-eval"),
    ],
)
def test_samples_that_cannot_be_placed(tmp_path, samples, message):
    with pytest.raises(InputError, match=message):
        read_run(write(tmp_path / "s", samples), QUESTIONS)


def test_a_question_asked_of_two_videos_is_not_told_by_its_text(tmp_path):
    twice = [*QUESTIONS, QUESTIONS[1].model_copy(update={"question_id": "9", "video_id": "v9"})]
    with pytest.raises(InputError, match="matches 2 questions"):
        read_run(write(tmp_path / "s", [sample(1, "A")]), twice)


def test_files_of_another_kind(tmp_path):
    (tmp_path / "s").write_text("{]")
    with pytest.raises(InputError, match="is not JSON"):
        read_run(tmp_path / "s", QUESTIONS)
    (tmp_path / "s").write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(InputError, match="cannot be read"):
        read_run(tmp_path / "s", QUESTIONS)
    (tmp_path / "r").write_text("{}")
    with pytest.raises(InputError, match="not a results file"):
        run_facts(tmp_path / "r")


@needs_data
def test_the_program_on_a_real_run(tmp_path, monkeypatch):
    write_json(tmp_path / "labels.json", convert(VideoMME(), DATA / "test-00000-of-00001.parquet"))
    runs = DATA / "lmms_eval_runs"
    options = {
        "samples": runs / "all_zero_samples_videomme.jsonl.gz", "results": runs / "all_zero_results.json.gz",
        "labels": tmp_path / "labels.json", "out": tmp_path / "run.json",
    }  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["import_run.py", *(f"--{name}={value}" for name, value in options.items())])
    import_run.main()
    answers = read_answers(tmp_path / "run.json")
    assert len(answers) == 2700
    assert not any(answer.error for answer in answers.values())
    facts = read_json(tmp_path / "run.json")["made_by"]["run"]
    assert facts["results"]["videomme"]["videomme_perception_score,none"] == pytest.approx(59.4444, abs=1e-4)
