"""Benchmarks: each label form in small, and the real label files where they are at hand."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framesift.core.components import build, implementation, kinds
from framesift.core.errors import InputError, VideoError
from framesift.data.benchmarks import VideoFolder
from framesift.data.labels import convert, originals, read_records
from framesift.data.questions import Question
from tiny import program

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")


def dataset(kind, **fields):
    return build("datasets", {"kind": kind, **fields})


def questions(kind, path, **fields):
    return [Question(**record["normalised"]) for record in convert(dataset(kind, **fields), path)]


def one(kind, record, **fields):
    return dataset(kind, **fields).question(record)


LVB = {
    "video_id": "@channel-1",
    "id": "@channel-1_0",
    "video_path": "1.mp4",
    "subtitle_path": "1_en.json",
    "correct_choice": 2,
    "question": "What happens?",
    "duration": 190.16,
    "duration_group": 600,
    "question_category": "TOS",
    "topic_category": "NP",
    "starting_timestamp_for_subtitles": 0,
}
LVB_JSON = LVB | {"candidates": ["a", "b", "c"], "position": [854, 948, 1373], "level": "L2-Relation"}
LVB_PARQUET = LVB | {"option0": "a", "option1": "b", "option2": "c", "option3": "N/A", "option4": "N/A"}


def test_longvideobench_is_the_same_in_both_forms():
    from_json, from_parquet = one("longvideobench", LVB_JSON), one("longvideobench", LVB_PARQUET)
    assert from_json.video_id == "1"  # the file's name, not the record's `video_id`
    assert (from_json.options, from_json.answer) == (("a", "b", "c"), "C")
    assert from_json.groups["level"] == "L2-Relation"
    assert (from_json.evidence.kind, from_json.evidence.frames) == ("more_moments", (854, 948, 1373))
    assert from_json.model_copy(update={"evidence": None}) == from_parquet


def test_longvideobench_gives_lmms_eval_the_columns_that_it_reads():
    ours = dataset("longvideobench")
    document = ours.document(LVB_JSON, ours.question(LVB_JSON))
    assert {name: document[name] for name in ours.lmms_task.columns} == {
        name: LVB_PARQUET[name] for name in ours.lmms_task.columns
    }


def test_longvideobench_options_that_only_look_absent():
    record = LVB_PARQUET | {"option1": "N/A"}
    assert one("longvideobench", record).options == ("a", "N/A", "c")


def test_mlvu_questions_lose_their_options():
    record = {
        "video_name": "needle_32.mp4",
        "duration": 467.89000000000004,
        "question": "What does the hand do?\nLook well.\n(A) It waves\n(B) It (C) points\n",
        "candidates": ["It waves", "It (C) points"],
        "answer": "B",
        "task_type": "needle",
        "question_id": "Q0",
    }
    question = one("mlvu", record)
    assert question.question == "What does the hand do?\nLook well."
    assert (question.options, question.video_id) == (("It waves", "It (C) points"), "needle_32")
    assert question.groups == {"task_type": "needle", "category": "single_detail"}
    assert question.seconds == 467.89


def test_egoschema_with_and_without_answers():
    record = {"question_idx": "3", "question": "Why?", "video_idx": "0a-1b", "option": ["A. a", "B. b.", "C. C c"]}
    assert one("egoschema", record | {"answer": "2"}).answer == "C"
    secret = one("egoschema", record | {"answer": None})
    assert (secret.answer, secret.question_id, secret.options) == (None, "0a-1b", ("a", "b.", "C c"))
    with pytest.raises(ValueError, match="field 'answer': found 3, expected a number from 0 to 2"):
        one("egoschema", record | {"answer": "3"})


@pytest.mark.parametrize("kind", kinds("datasets"))
def test_every_benchmark_says_where_its_files_are(kind):
    if implementation("datasets", kind).model_fields["data_dir"].is_required():
        return  # a dataset of the user's own
    made = dataset(kind)
    assert made.downloads
    assert made.video_files
    assert not dataset(kind, download=False).downloads


# The real files: counts and distributions as published.


@needs_data
@pytest.mark.parametrize(
    ("kind", "files", "n_questions", "n_videos"),
    [
        ("videomme", ("videomme/test-00000-of-00001.parquet", "videomme/videomme.json.gz"), 2700, 900),
        ("longvideobench", ("longvideobench/validation-00000-of-00001.parquet", "longvideobench/lvb_val.json.gz"),
         1337, 753),
        ("mlvu", ("mlvu/test-00000-of-00001.parquet", "mlvu/mlvu_dev.json.gz"), 2174, 1122),
    ],
)  # fmt: skip
def test_both_real_forms_give_the_same_questions(kind, files, n_questions, n_videos):
    first, second = (
        {item.question_id: item.model_copy(update={"evidence": None}) for item in questions(kind, DATA / file)}
        for file in files
    )
    assert first == second
    assert len(first) == n_questions
    assert len({question.video_id for question in first.values()}) == n_videos


def counts(values):
    return dict(Counter(values))


@needs_data
def test_the_real_videomme():
    found = questions("videomme", DATA / "videomme/videomme.json.gz")
    assert counts(q.answer for q in found) == {"B": 735, "C": 684, "A": 677, "D": 604}
    assert counts(q.groups["duration"] for q in found) == {"short": 900, "medium": 900, "long": 900}
    assert counts(q.groups["domain"] for q in found) == {
        "Knowledge": 810, "Life Record": 630, "Sports Competition": 450, "Film & Television": 360,
        "Artistic Performance": 360, "Multilingual": 90,
    }  # fmt: skip
    assert len({q.groups["task_type"] for q in found}) == 12
    assert {len(q.options) for q in found} == {4}


@needs_data
def test_the_real_longvideobench():
    found = questions("longvideobench", DATA / "longvideobench/lvb_val.json.gz")
    assert counts(q.answer for q in found) == {"A": 291, "B": 304, "C": 270, "D": 290, "E": 182}
    assert counts(len(q.options) for q in found) == {3: 1, 4: 353, 5: 983}
    assert counts(q.groups["duration"] for q in found) == {"15": 189, "60": 172, "600": 412, "3600": 564}
    assert counts(q.groups["level"] for q in found) == {"L1-Perception": 625, "L2-Relation": 712}
    assert counts(q.evidence.kind for q in found) == {"one_moment": 622, "two_moments": 523, "more_moments": 192}
    assert (len({q.groups["topic_category"] for q in found}), len({q.groups["question_category"] for q in found})) == (
        10,
        17,
    )
    records = read_records(DATA / "longvideobench/lvb_val.json.gz")
    assert [q.groups["level"] for q in found] == [record["level"] for record in records]


@needs_data
def test_the_real_mlvu():
    found = questions("mlvu", DATA / "mlvu/mlvu_dev.json.gz")
    assert counts(q.groups["task_type"] for q in found) == {
        "plotQA": 539, "needle": 355, "ego": 352, "topic_reasoning": 263, "order": 259, "count": 206,
        "anomaly_reco": 200,
    }  # fmt: skip
    assert counts(q.answer for q in found) == {"A": 548, "B": 546, "C": 542, "D": 538}
    assert not any("(A)" in q.question for q in found)


@needs_data
def test_the_real_egoschema():
    found = questions("egoschema", DATA / "egoschema/test-00000-of-00001.parquet")
    assert len(found) == len({q.question_id for q in found}) == 5031
    assert {len(q.options) for q in found} == {5}
    assert {q.answer for q in found} == {None}


@needs_data
@pytest.mark.parametrize(
    ("kind", "file"),
    [("videomme", "videomme/videomme"), ("longvideobench", "longvideobench/lvb_val"), ("mlvu", "mlvu/mlvu_dev")],
)
def test_real_label_files_are_exported_unchanged(kind, file):
    path = DATA / f"{file}.json.gz"
    assert originals(convert(dataset(kind), path)) == read_records(path)


@needs_data
@pytest.mark.parametrize(
    ("kind", "file"), [("videomme", "videomme/videomme"), ("longvideobench", "longvideobench/lvb_val")]
)
def test_the_export_program_writes_the_very_same_bytes(kind, file, tmp_path):
    path = DATA / f"{file}.json.gz"
    program("convert_labels.py", "--dataset", kind, "--labels", path, "--out", tmp_path / "labels.json")
    program("export_labels.py", "--labels", tmp_path / "labels.json", "--out", tmp_path / "out.json")
    assert (tmp_path / "out.json").read_bytes() == gzip.decompress(path.read_bytes())


# One's own

CSV = """\
clip,ask,a,b,c,right,kind
walk/one.mp4,"Which, if any?",red,green,,B,colour
two,How many?,1,2,3,c,number
"""


def own(tmp_path, text, name="labels.csv", **fields):
    (tmp_path / name).write_text(text)
    return questions("custom", tmp_path / name, data_dir=tmp_path, labels=name, **fields)


def test_a_csv_of_ones_own(tmp_path):
    columns = {"video": "clip", "question": "ask", "options": ["a", "b", "c"], "answer": "right", "groups": ["kind"]}
    first, second = own(tmp_path, CSV, columns=columns)
    assert (first.video_id, first.question, first.options) == ("walk/one", "Which, if any?", ("red", "green"))
    assert (first.answer, second.answer, second.groups) == ("B", "C", {"kind": "number"})
    assert first.question_id != second.question_id
    assert own(tmp_path, CSV, columns=columns)[0].question_id == first.question_id


@pytest.mark.parametrize(
    ("form", "answer"), [("letter", "(b)"), ("text", "green"), ("number_from_0", 1), ("number_from_1", "2")]
)
def test_forms_of_an_answer(tmp_path, form, answer):
    record = {"question": "Which?", "options": ["red", "green"], "answer": answer, "video": "v.mp4", "id": 7}
    (question,) = own(tmp_path, json.dumps(record), "x.jsonl", answer_form=form, columns={"question_id": "id"})
    assert (question.answer, question.question_id, question.video_id) == ("B", "7", "v")


@pytest.mark.parametrize("options", ["red|green", '["red", "green"]'])
def test_options_in_one_column_of_a_csv(tmp_path, options):
    text = f'question,options,answer,video\nWhich?,"{options.replace(chr(34), chr(34) * 2)}",A,v.mp4\n'
    assert own(tmp_path, text)[0].options == ("red", "green")


def test_evidence_of_ones_own(tmp_path):
    record = {"question": "?", "options": ["a", "b"], "answer": "A", "video": "v", "when": [[1, 2.5], [7, 7]]}
    (question,) = own(tmp_path, json.dumps(record), "x.jsonl", columns={"evidence": "when"})
    assert (question.evidence.kind, question.evidence.spans) == ("two_moments", ((1, 2.5), (7, 7)))


@pytest.mark.parametrize(
    ("changes", "fields", "message"),
    [
        ({"answer": "C"}, {}, r"record 1: field 'answer': found 'C', expected one of the 2 letters A, B"),
        ({"answer": "blue"}, {"answer_form": "text"}, r"field 'answer': found 'blue', expected exactly one option"),
        ({"answer": "two"}, {"answer_form": "number_from_1"}, r"found 'two', expected a whole number"),
        ({"answer": 3}, {"answer_form": "number_from_1"}, r"found 2, expected a number from 0 to 1"),
        ({"options": "[red"}, {}, r"field 'options': found '\[red', expected a JSON list"),
        ({"options": ["red"]}, {}, r"field 'options': found 1, expected 2 to 26 options"),
        ({"question": ""}, {}, r"field 'question': found '': String should have at least 1"),
        ({}, {"columns": {"video": "clip"}}, r"column 'clip': is missing(.|\n)*the file has question"),
        ({"when": [[3, 1]]}, {"columns": {"evidence": "when"}}, r"a span must not end before it starts"),
    ],
)
def test_mistakes_in_labels_of_ones_own(tmp_path, changes, fields, message):
    record = {"question": "Which?", "options": ["red", "green"], "answer": "A", "video": "v.mp4"} | changes
    with pytest.raises(InputError, match=message):
        own(tmp_path, json.dumps(record), "x.jsonl", **fields)


def test_a_csv_row_of_another_length(tmp_path):
    with pytest.raises(InputError, match=r"record 1: does not have as many fields as the first line"):
        own(tmp_path, "question,options,answer,video\nWhich?,a|b,A\n")


# Videos in their folder


def test_videos_are_found_by_name_wherever_they_lie(tmp_path):
    for name in ("a.mp4", "b.MP4", "deep/er/c.webm", "one/d.mp4", "two/d.mkv", ".hidden.mp4", "a.txt", "x.y.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folder = VideoFolder(tmp_path)
    assert folder.find("a") == folder.find("a.mp4") == tmp_path / "a.mp4"
    assert folder.find("b") == tmp_path / "b.MP4"
    assert folder.find("c") == folder.find("er/c.webm") == tmp_path / "deep" / "er" / "c.webm"
    assert folder.find("x.y") == tmp_path / "x.y.mp4"
    assert [folder.find(name) for name in ("nothing", ".hidden", "r/c")] == [None, None, None]
    assert folder.find("two/d") == tmp_path / "two" / "d.mkv"
    with pytest.raises(VideoError, match="2 files have this name"):
        folder.find("d")
    assert len(folder.all()) == 6
    assert VideoFolder(tmp_path / "missing").all() == []


def test_parquet_and_json_of_ones_own_agree(tmp_path):
    records = [{"question": "Which?", "options": ["red", "green"], "answer": "A", "video": "v.mp4"}]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "x.parquet")
    (tmp_path / "x.json").write_text(json.dumps(records))
    both = [questions("custom", tmp_path / f"x.{form}", data_dir=tmp_path, labels="x") for form in ("parquet", "json")]
    assert both[0] == both[1]
