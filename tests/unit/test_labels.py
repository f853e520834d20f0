"""Label conversion: VideoMME's schema, its errors, and the real file where it is at hand."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data.labels import convert, originals, read_records
from framesift.data.questions import read_questions

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "videomme"


def record(number=1, **changes):
    fields = {
        "video_id": f"{number:03d}",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Astronomy",
        "url": "https://example.org",
        "videoID": f"video{number}",
        "question_id": f"{number:03d}-1",
        "task_type": "OCR Problems",
        "question": "Which digit?",
        "options": ["A. 1", "B. 2", "C. 3", "D. 4"],
        "answer": "B",
    }
    return {**fields, **changes}


def write_parquet(path, records):
    pq.write_table(pa.Table.from_pylist(records), path)
    return path


def videomme(**fields):
    return build("datasets", {"kind": "videomme", **fields})


def test_every_original_field_is_kept_and_the_question_normalised(tmp_path):
    records = [record(1), record(2, answer="d")]
    converted = convert(videomme(), write_parquet(tmp_path / "labels.parquet", records))
    assert converted[1]["normalised"] == {
        "question_id": "002-1",
        "video_id": "video2",
        "question": "Which digit?",
        "options": ["1", "2", "3", "4"],
        "answer": "D",
        "groups": {"duration": "short", "domain": "Knowledge", "task_type": "OCR Problems"},
        "seconds": None,
        "subtitles": "video2.srt",
        "evidence": None,
    }
    assert originals(converted) == records


def test_a_converted_file_is_read_back(tmp_path):
    (tmp_path / "in.json").write_text(json.dumps([record(1), record(2)]))
    (tmp_path / "out.json").write_text(json.dumps(convert(videomme(), tmp_path / "in.json")))
    assert [question.question_id for question in read_questions(tmp_path / "out.json")] == ["001-1", "002-1"]
    with pytest.raises(InputError, match=r"in\.json: record 1: does not have a normalised question"):
        read_questions(tmp_path / "in.json")


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".jsonl", ".json.gz"])
def test_every_form_gives_the_same_records(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    records = [record(1), record(2)]
    if suffix == ".parquet":
        write_parquet(path, records)
    elif suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(item) for item in records))
    elif suffix == ".json":
        path.write_text(json.dumps(records))
    else:
        path.write_bytes(gzip.compress(json.dumps(records).encode()))
    assert read_records(path) == records


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record(1), record(1)], r"question_id: 1 question ids occur more than once\n  found: \['001-1'\]"),
        ([{k: v for k, v in record().items() if k != "videoID"}], r"column 'videoID': is missing(.|\n)*hint: did you"),
        ([record(options=["A. 1", "C. 2"])], r"record 1: field 'options': found 'C. 2', expected .* 'B\. '"),
        ([record(answer="E")], r"record 1: field 'answer': found 'E'"),
        ([record(question_id="")], r"record 1: field 'question_id': found '': String should have at least 1 character"),
        ([], "has no records"),
    ],
)
def test_wrong_records(tmp_path, records, message):
    (tmp_path / "labels.json").write_text(json.dumps(records))
    with pytest.raises(InputError, match=message):
        convert(videomme(), tmp_path / "labels.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.parquet", None, "cannot be read as parquet"),
        ("labels.parquet", b"no parquet", "cannot be read as parquet"),
        ("labels.json", b"{", "is not JSON"),
        ("labels.json", b'{"a": 1}', "has no records"),
        ("labels.jsonl", b"{", "line 1: cannot be read as JSON lines"),
        ("labels.txt", b"", "is not a label file"),
    ],
)
def test_wrong_files(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: {message}"):
        convert(videomme(), tmp_path / name)


def test_choosing_questions(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps([record(1), record(2), record(3)]))

    def ids(**fields):
        return [row["question_id"] for row in convert(videomme(**fields), tmp_path / "labels.json")]

    assert ids(limit=2) == ["001-1", "002-1"]
    assert ids(question_ids=["003-1", "001-1"]) == ["001-1", "003-1"]
    assert ids(video_ids=["video2"]) == ["002-1"]
    assert ids(groups={"duration": ["short"], "task_type": ["OCR Problems"]}, limit=1) == ["001-1"]
    with pytest.raises(InputError, match=r"question_ids: is not in labels.json\n  found: '03-1'(.|\n)*did you mean"):
        ids(question_ids=["03-1"])
    with pytest.raises(InputError, match=r"groups\.duration: is not in labels.json\n  found: 'shrot'(.|\n)*'short'"):
        ids(groups={"duration": ["shrot"]})
