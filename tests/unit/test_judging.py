"""Judging: our verdict and the task's, side by side, and the task's own number."""

import gzip
import json
import logging
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import REPOSITORIES
from framesift.core.code_digest import SCRIPTS
from framesift.core.components import build, kinds
from framesift.data.benchmarks.egoschema import submission
from framesift.data.labels import convert
from framesift.data.questions import Question
from framesift.judging.by_task import judge_letters, judge_samples
from framesift.storage.files import write_json

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")

VIDEOMME = [
    {
        "video_id": str(n), "duration": duration, "domain": "Knowledge", "sub_category": "Astronomy", "url": "",
        "videoID": f"v{n}", "question_id": f"{n}-1", "task_type": "OCR Problems", "question": "Which?",
        "options": ["A. red", "B. blue", "C. green", "D. grey"], "answer": answer,
    }
    for n, (duration, answer) in enumerate([("short", "A"), ("short", "B"), ("medium", "C"), ("long", "D")])
]  # fmt: skip
LVB = [
    {
        "id": f"q{n}", "question": "What?", "video_path": f"{n}.mp4", "subtitle_path": f"{n}.json", "duration": 10,
        "candidates": ["red", "blue", "green"], "correct_choice": n % 3, "duration_group": 15 if n < 2 else 60,
        "question_category": "S2E", "topic_category": "NP",
    }
    for n in range(4)
]  # fmt: skip
MLVU_TASKS = ("topic_reasoning", "anomaly_reco", "needle", "ego", "plotQA", "order", "count")
MLVU = [
    {
        "video_name": f"{task}.mp4", "duration": 10.0, "question": "What?\n(A) red\n(B) blue",
        "question_id": f"{task}{n}", "candidates": ["red", "blue"], "answer": "B", "task_type": task,
    }
    for task in MLVU_TASKS for n in (1, 2)
]  # fmt: skip
LVBENCH = [
    {
        "video_path": f"{n}.mp4", "uid": str(n), "type": "cartoon", "question_type": "reasoning", "answer": "B",
        "question": "What?\n(A) red\n(B) blue\n(C) green\n(D) grey", "time_reference": "",
    }
    for n in range(4)
]  # fmt: skip
EGOSCHEMA = [
    {
        "question_idx": str(n), "video_idx": f"v{n}", "question": "Why?", "answer": str(n),
        "option": [f"{letter}. C does {letter}" for letter in "ABCDE"],
    }
    for n in range(4)
]  # fmt: skip
NEXTQA = [
    {"video": n, "qid": 1, "type": "CW", "question": "why", "answer": n, **{f"a{k}": f"option {k}" for k in range(5)}}
    for n in range(4)
]
NEXTQA_OE = [
    {"video": n, "qid": 1, "type": "DC", "question": "how many", "answer": "two", "additional_ref_answer": other}
    for n, other in enumerate([None, "both", None])
]
RECORDS = {
    "videomme": VIDEOMME, "longvideobench": LVB, "mlvu": MLVU, "lvbench": LVBENCH, "egoschema": EGOSCHEMA,
    "nextqa": NEXTQA, "nextqa_oe": NEXTQA_OE,
}  # fmt: skip


def read(kind, records, folder, **fields):
    write_json(folder / "labels.json", records)
    dataset = build("datasets", {"kind": kind, **fields})
    converted = convert(dataset, folder / "labels.json")
    return dataset, converted, [Question(**record["normalised"]) for record in converted]


@pytest.fixture
def judged(tmp_path):
    def run(kind, responses, records=None, guesses=False, **fields):
        dataset, converted, questions = read(kind, RECORDS[kind] if records is None else records, tmp_path, **fields)
        said = dict(zip([question.question_id for question in questions], responses, strict=False))
        return judge_samples(dataset, converted, questions, said, guesses=guesses)

    return run


def parsed(judged):
    return [verdict.parsed for verdict in judged.verdicts.values()]


def correct(judged):
    return [verdict.correct for verdict in judged.verdicts.values()]


def of_task(judged):
    return [verdict.task_correct for verdict in judged.verdicts.values()]


def test_videomme(judged):
    found = judged("videomme", ["A", "The answer is (C).", "C. green", "???"])
    assert parsed(found) == ["A", "C", "C", None]
    assert correct(found) == of_task(found) == [True, False, True, False]
    assert (found.metric, found.value, found.maximum) == ("videomme_perception_score", 50.0, 100)
    assert (found.reason, found.differences) == (None, [])


def test_longvideobench(judged):
    found = judged("longvideobench", ["A", "B", "A", "A"])
    assert correct(found) == of_task(found) == [True, True, False, True]
    assert (found.value, found.maximum) == (0.75, 1.0)


def test_mlvu_is_the_mean_over_its_seven_tasks(judged):
    responses = ["B)", "A"] * 6 + ["B", "B"]
    found = judged("mlvu", responses)
    assert correct(found) == of_task(found)
    assert found.value == pytest.approx(100 * (6 * 0.5 + 1) / 7)
    assert found.maximum == 100


def test_mlvus_number_would_count_tasks_that_are_not_asked_as_0(judged):
    found = judged("mlvu", ["B"] * 4)
    assert correct(found) == of_task(found) == [True] * 4
    assert found.value is None
    assert found.reason == (
        "it would count kinds of questions without an answer as 0 (task_type: count, ego, needle, order, plotQA)"
    )


def test_lvbench(judged):
    found = judged("lvbench", ["B", "(B) blue", "A", ""])
    assert correct(found) == of_task(found) == [True, True, False, False]
    assert (found.value, found.maximum) == (0.5, 1.0)


def test_egoschema(judged):
    found = judged("egoschema", ["A", "(B)", "A", "D. C does D"])
    assert correct(found) == of_task(found) == [True, True, False, True]
    assert (found.value, found.reason) == (0.75, None)


def test_nextqa(judged):
    found = judged("nextqa", ["A", "B. option 1", "A", "option 3"])
    assert correct(found) == [True, True, False, True]
    assert of_task(found) == [True, True, False, False]  # it reads an option's text only where there are more words
    assert found.value == 0.5
    assert found.differences == [
        "3-1: we understand D, which is right; lmms-eval's task something that it does not report, and that is wrong: "
        "'option 3'"
    ]


def test_nextqa_labels_of_a_csv(judged):
    records = [{key: str(value) for key, value in record.items()} for record in NEXTQA]
    assert correct(judged("nextqa", ["A", "B"], records)) == [True, True]


def test_a_difference_names_both_readings(judged):
    found = judged("videomme", ["A", "B", "Cannot tell what it is.", "blue"])
    assert correct(found) == [True, True, False, False]
    assert of_task(found) == [True, True, True, False]
    assert found.differences == [
        "2-1: we understand nothing, which is wrong; lmms-eval's task C, which is right: 'Cannot tell what it is.'",
        "3-1: we understand B, which is wrong; lmms-eval's task nothing, which is wrong: 'blue'",
    ]
    assert found.value == 75.0
    long = judged("videomme", ["A", "B", f"Cannot {'tell ' * 50} at all"])
    assert len(long.differences[0]) < 200


@pytest.mark.parametrize("kind", ["longvideobench", "egoschema", "nextqa"])
def test_nothing_is_guessed_unless_the_tasks_own_rule_is_asked_for(kind, judged):
    records = [
        {**RECORDS[kind][n % 3], **({"id": f"q{n}"} if kind == "longvideobench" else {}),
         **({"video_idx": f"v{n}", "answer": str(n % 3)} if kind == "egoschema" else {}),
         **({"video": n, "answer": n % 3} if kind == "nextqa" else {})}
        for n in range(60)
    ]  # fmt: skip
    responses = ["no idea"] * 60
    without = judged(kind, responses, records)
    assert correct(without) == of_task(without) == [False] * 60
    random.seed(0)
    before = random.getstate()
    guessed = judged(kind, responses, records, guesses=True)
    assert random.getstate() == before
    assert correct(guessed) == [False] * 60
    assert 5 <= sum(of_task(guessed)) <= 40
    assert guessed.value == pytest.approx(sum(of_task(guessed)) / 60, abs=1e-5)
    assert len(guessed.differences) >= sum(of_task(guessed))
    # neither the other questions nor the numbers drawn before matter
    random.seed(1)
    part = judged(kind, responses[:20], records[40:], guesses=True)
    assert of_task(part) == of_task(guessed)[40:]


def test_the_answers_that_a_benchmark_keeps(judged):
    records = [{**record, "answer": None if n else "0"} for n, record in enumerate(EGOSCHEMA)]
    found = judged("egoschema", ["A", "B", "no idea", "E"], records)
    assert correct(found) == [True, None, None, None]
    assert of_task(found) == [True, None, None, None]
    assert (found.value, found.reason) == (None, "the benchmark keeps the answers of 3 questions secret")
    letters = {key: verdict.parsed for key, verdict in found.verdicts.items()}
    assert submission(letters) == {"v0": 0, "v1": 1, "v2": -1, "v3": 4}


def test_what_its_server_is_sent_is_what_lmms_eval_would_send(judged):
    from framesift.answering.lmms.tasks import read_task

    process = read_task("egoschema/egoschema.yaml")["process_results"]
    theirs = {}
    for record, response in zip(EGOSCHEMA, ["A", "(B)", "E.", "C. C does C"], strict=True):
        theirs |= process(record, [response])["submission"]
    found = judged("egoschema", ["A", "(B)", "E.", "C. C does C"])
    assert submission({key: verdict.parsed for key, verdict in found.verdicts.items()}) == theirs


def test_open_answers_wait_for_a_judge(tmp_path):
    path = tmp_path / "labels.parquet"
    path.write_bytes(REPOSITORIES["activitynetqa"]()["data/test-00000-of-00001.parquet"])
    dataset = build("datasets", {"kind": "activitynetqa"})
    records = convert(dataset, path)
    questions = [Question(**record["normalised"]) for record in records]
    found = judge_samples(dataset, records, questions, {questions[0].question_id: "A"}, guesses=False)
    [verdict] = found.verdicts.values()
    assert (verdict.answer, verdict.parsed, verdict.correct, verdict.task_correct) == ("yes", None, None, None)
    assert verdict.note == "an open answer, which needs a judge"
    assert (found.metric, found.value) == ("gpt_eval_accuracy", None)
    assert found.reason == "the metric is another model's verdict"


def test_wups_needs_what_may_not_be_installed(judged, caplog, monkeypatch):
    """NExT-OE's metric needs pywsd and WordNet; of counting questions only the former."""
    from framesift.answering.lmms import tasks

    monkeypatch.setitem(sys.modules, "pywsd", None)
    tasks.read_task.cache_clear()
    with caplog.at_level(logging.WARNING, logger="framesift"):
        found = judged("nextqa_oe", ["two", "both", "three"])
    assert (found.value, correct(found)) == (None, [None] * 3)
    assert "NameError: name 'lemmatize_sentence' is not defined" in caplog.text
    lemmas = ModuleType("pywsd.utils")
    lemmas.lemmatize_sentence = str.split
    monkeypatch.setitem(sys.modules, "pywsd", ModuleType("pywsd"))
    monkeypatch.setitem(sys.modules, "pywsd.utils", lemmas)
    tasks.read_task.cache_clear()
    found = judged("nextqa_oe", ["two", "both", "three"])
    assert found.value == pytest.approx(100 * 2 / 3)
    assert correct(found) == of_task(found) == [None] * 3  # a degree, not a verdict
    tasks.read_task.cache_clear()


def test_categories_of_ones_own_have_no_number_but_verdicts(judged, caplog):
    records = [{**record, "sub_category": "Our own"} for record in VIDEOMME]
    with caplog.at_level(logging.WARNING, logger="framesift"):
        found = judged("videomme", ["A", "B", "A", "A"], records)
    assert of_task(found) == [True, True, False, False]
    assert found.value is None
    assert found.reason == "its aggregation fails, KeyError: 'short_Knowledge_Our own_OCR Problems'"
    assert found.reason in caplog.text


def test_a_dataset_of_ones_own(judged):
    records = [{"q": "What?", "options": ["a", "b", "c"], "answer": letter, "video": "v"} for letter in "AB"]
    records[1]["q"] = "And?"
    fields = {"data_dir": ".", "labels": ".", "columns": {"question": "q"}}
    found = judged("custom", ["A", "C"], records, **fields)
    assert correct(found) == of_task(found) == [True, False]
    assert found.value is None


def test_reasoning_is_taken_out_for_both(judged):
    found = judged("videomme", ["<think>D. (D)</think>A", "so C </think> B", " C\n", "<analysis>A</analysis> D"])
    assert correct(found) == of_task(found) == [True] * 4


def test_questions_without_a_response_are_left_out(judged):
    found = judged("videomme", ["A", "B"])
    assert [*found.verdicts] == ["0-1", "1-1"]
    assert found.value == 100.0
    nothing = judged("videomme", [])
    assert (nothing.value, nothing.reason, nothing.verdicts) == (None, "there are no answers", {})


def test_a_label_that_the_task_does_not_understand_is_a_difference(judged):
    records = [{**record} for record in VIDEOMME]
    records[1]["answer"] = " b "
    found = judged("videomme", ["A", "B", "C", "D"], records)
    assert correct(found) == [True] * 4
    assert of_task(found) == [True, False, True, True]
    assert found.value == 75.0
    assert len(found.differences) == 1


def test_a_question_on_which_the_task_fails_costs_its_verdict_and_the_number(judged):
    records = [{**record} for record in EGOSCHEMA]
    records[1]["option"] = records[1]["option"][:4]
    found = judged("egoschema", ["A", "B", "C", "D"], records)
    assert correct(found) == [True] * 4
    assert of_task(found) == [True, None, True, True]
    assert found.value is None
    assert found.reason == "the task fails on question v1: IndexError: list index out of range"


def test_our_verdicts_need_no_lmms_eval(tmp_path):
    """Nor torch, nor anything else that takes seconds to import."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from framesift.judging.by_task import judge_letters\n"
        "from framesift.data.questions import Question\n"
        "question = Question(question_id='q', video_id='v', question='?', options=('a', 'b'), answer='B')\n"
        "assert judge_letters([question], {'q': '(B)'})['q'].correct\n"
        "assert not {'lmms_eval', 'torch', 'transformers', 'datasets', 'pyarrow', 'nltk'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(SCRIPTS)], check=True)


def test_every_benchmark_has_a_task():
    for kind in kinds("datasets"):
        fields = {"data_dir": ".", "labels": "."} if kind == "custom" else {}
        dataset = build("datasets", {"kind": kind, **fields})
        assert dataset.prompts["default"] == dataset.lmms_task.prompt
        assert (dataset.lmms_task.prediction is None) == (dataset.lmms_task.target is None)


@needs_data
@pytest.mark.parametrize("run", sorted((DATA / "videomme/lmms_eval_runs").glob("*_samples_videomme.jsonl.gz")))
def test_a_real_run_of_lmms_eval_is_judged_as_it_was(run, tmp_path):
    """2,700 responses of a 7B model, with the number that lmms-eval printed. Two say nothing but exclamation marks."""
    dataset = build("datasets", {"kind": "videomme"})
    records = convert(dataset, DATA / "videomme/videomme.json.gz")
    questions = [Question(**record["normalised"]) for record in records]
    with gzip.open(run, "rt") as file:
        samples = {sample["videomme_perception_score"]["question_id"]: sample for sample in map(json.loads, file)}
    with gzip.open(str(run).replace("samples_videomme.jsonl", "results.json"), "rt") as file:
        printed = json.load(file)["results"]["videomme"]["videomme_perception_score,none"]
    responses = {key: sample["filtered_resps"][0] for key, sample in samples.items()}
    found = judge_samples(dataset, records, questions, responses, guesses=False)
    assert found.value == pytest.approx(printed)
    assert found.differences == []
    for key, verdict in judge_letters(questions, responses).items():
        metric = samples[key]["videomme_perception_score"]
        assert (verdict.parsed or "") == metric["pred_answer"]
        assert verdict.correct == found.verdicts[key].task_correct == (metric["pred_answer"] == metric["answer"])


@needs_data
def test_real_prompts_are_ours_to_the_letter():
    """What the same run sent, with the prompt that lmms-eval has for LLaVA-Video."""
    from framesift.answering.lmms.tasks import text_of

    dataset = build("datasets", {"kind": "videomme"})
    records = {record["question_id"]: record for record in convert(dataset, DATA / "videomme/videomme.json.gz")}
    settings = {"framesift": {"yaml": dataset.lmms_task.yaml, "prompt": dataset.prompts["llava_vid"]}}
    with gzip.open(DATA / "videomme/lmms_eval_runs/all_zero_samples_videomme.jsonl.gz", "rt") as file:
        for sample in map(json.loads, file):
            record = records[sample["videomme_perception_score"]["question_id"]]
            assert text_of(record, settings) == sample["input"]
