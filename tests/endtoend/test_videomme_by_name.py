"""The configured VideoMME table with every answerer by its real name; only the location of the checkpoints differs."""

import csv

import pytest

import tiny_idefics2
import tiny_internvl
import tiny_llava
import tiny_llava_next_video
import tiny_pllava
import tiny_qwen
from framesift.answering.answer_file import read_answers
from framesift.selection.select_frames import read_selection
from project import Project
from tiny import make_dataset

CHECKPOINTS = {
    "llava_onevision_7b": tiny_llava.write_checkpoint,
    "qwen2_vl_7b": lambda folder: tiny_qwen.write_checkpoint(folder, "qwen2_vl"),
    "qwen2_5_vl_7b": lambda folder: tiny_qwen.write_checkpoint(folder, "qwen2_5_vl"),
    "qwen3_vl_8b": lambda folder: tiny_qwen.write_checkpoint(folder, "qwen3_vl"),
    "internvl3_8b": tiny_internvl.write_checkpoint,
    "pllava_7b": tiny_pllava.write_checkpoint,
    "llava_next_video_7b": tiny_llava_next_video.write_checkpoint,
    "idefics2_8b": tiny_idefics2.write_checkpoint,
}
TABLE = "results/tables/videomme.csv"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("by_name")
    make_dataset(folder / "data")
    answerers = {}
    for name, write in CHECKPOINTS.items():
        (folder / name).mkdir()
        write(folder / name)
        answerers[name] = {"model": str(folder / name), "revision": None}
    overlay = {
        "answerers": answerers,
        "scorers": {"clip": {"model": "resources/demo/clip", "revision": None}},
        "datasets": {
            "videomme": {
                "data_dir": str(folder / "data"), "labels": "labels.parquet", "videos": "videos", "download": False,
                "chunks": 1, "shards": 1,
            }
        },
        "tables": {"videomme": {"answerers": list(CHECKPOINTS), "selectors": ["uniform", "aks"], "budgets": [4]}},
    }  # fmt: skip
    project = Project(folder / "project", overlay)
    project.run(TABLE, "--resources", "gpu=1")  # as on a machine with one GPU
    return project


def test_every_answerer_has_its_rows(project):
    with open(project.folder / TABLE) as file:
        rows = list(csv.DictReader(file))
    assert [(row["answerer"], row["method"]) for row in rows] == [
        (answerer, method) for answerer in CHECKPOINTS for method in ("uniform", "aks")
    ]
    assert {(row["n"] == row["n_total"], row["excluded"], row["frames_mean"]) for row in rows} == {(True, "0", "4.00")}


def test_every_network_got_the_frames_of_its_selection(project):
    """The table is refused otherwise; here once more, from the files."""
    pixels = {}
    for path in (project.folder / "results" / "answers" / "videomme").rglob("1-of-1.json"):
        selection = read_selection(project.folder / "results" / "selections" / "videomme" / f"{path.parent.name}.json")
        answers = read_answers(path)
        frames = {name: answer.frames_given for name, answer in answers.items()}
        assert frames == {name: chosen.frames for name, chosen in selection.items()}
        for answer in answers.values():
            seen = (path.parts[-3], answer.video_id, tuple(answer.frames_given))
            assert pixels.setdefault(seen, answer.pixels) == answer.pixels
    distinct = {(answerer, digest) for (answerer, *_), digest in pixels.items()}
    assert len(distinct) == len(pixels), "other frames, other pixels"


def test_each_checkpoint_was_loaded_once(project):
    """The job that loaded it has answered every selection; the others found their answers."""
    logs = [path.read_text() for path in (project.folder / "logs" / "answers" / "videomme").rglob("*.log")]
    assert len(logs) == 2 * len(CHECKPOINTS)
    assert sum(" loaded on cpu in " in log for log in logs) == len(CHECKPOINTS)
