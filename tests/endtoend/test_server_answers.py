"""Open questions, answered by a model behind a server, and judged by another: by the whole workflow."""

import csv
import json

import pytest

import barcode
from chat_server import ChatServer, completion, indices, pictures
from framesift.answering.answer_file import read_answers
from framesift.storage.files import read_json, write_json
from project import Project

TABLE = "results/tables/open.csv"
RECORDS = [
    {"question_id": f"q{k}", "video_name": f"v{k % 2}", "question": f"what is number {k}", "answer": "a dog", "type": 5}
    for k in range(4)
]


def said(heard):
    """The answerer sees a cat in number 3; the judge looks for the dog."""
    if is_question(heard):
        assert [part["type"] for part in heard.parts].count("image_url") == 3
        return completion("a cat" if "number 3" in heard.text else "a dog", read=500)
    answer = heard.text.split("Answer to mark")[1]
    return completion(json.dumps({"correct": '"a dog"' in answer, "score": 4}), read=50)


def is_question(heard):
    return not isinstance(heard.body["messages"][0]["content"], str)


@pytest.fixture
def server():
    with ChatServer(said) as running:
        yield running


def test_open_answers_by_servers(tmp_path, server):
    data = tmp_path / "data"
    (data / "videos").mkdir(parents=True)
    write_json(data / "labels.json", RECORDS)
    for name in ("v_v0", "v_v1"):
        barcode.write_video(data / "videos" / f"{name}.mp4", 60, 10)
    dataset = {"kind": "activitynetqa", "data_dir": str(data), "labels": "labels.json", "videos": "videos"}
    overlay = {
        "datasets": {"open": {**dataset, "download": False}},
        "answerers": {
            "server": {
                "kind": "openai_api", "model": "any", "base_url": server.url, "image_format": "png", "price_in": 2.0,
                "price_out": 0,
            }
        },
        "judges": {"strict": {"model": "judge", "base_url": server.url}},
        "tables": {
            "open": {"dataset": "open", "answerers": ["server"], "selectors": ["uniform"], "budgets": [3]}
        },
    }  # fmt: skip
    project = Project(tmp_path / "project", overlay)
    project.run(TABLE)
    assert len(server.heard) == 4
    assert all(pictures(heard)[0].shape == (120, 160, 3) for heard in server.heard)
    [row] = rows(project)
    assert (row["n"], row["unjudged"], row["accuracy"]) == ("4", "4", "")
    [path] = (project.folder / "results" / "answers").rglob("1-of-1.json")
    for heard_frames in map(indices, server.heard):
        assert heard_frames in [answer.frames_given for answer in read_answers(path).values()]

    project.config["tables"]["open"]["judge"] = "strict"
    project.run(TABLE)
    assert len(server.heard) == 8, "nothing is answered again, each answer is judged once"
    [row] = rows(project)
    assert (row["unjudged"], row["accuracy"]) == ("0", "0.7500")
    judged = read_json(project.folder / "results" / "judged" / "open.json")
    assert judged["made_by"]["judge"]["model"] == "judge"
    assert "prompt" in judged["made_by"]
    with open(project.folder / "results" / "tables" / "open_timings.csv") as file:
        [timing] = csv.DictReader(file)
    assert "prompt_tokens 2000" in timing["usage"]
    assert "cost_millionths 4000" in timing["usage"]

    project.config["answerers"]["server"]["parallel"] = 2  # decides no answer
    assert project.would_run(TABLE) == {}


def rows(project):
    with open(project.folder / TABLE) as file:
        return list(csv.DictReader(file))
