"""Derived tasks: every benchmark is asked in its own words, exactly."""

import os
import socket
import sys
import tempfile

import pytest

from benchmarks import REPOSITORIES
from framesift.answering.lmms.startup import lmms_eval_environment
from framesift.answering.lmms.task import ID_COLUMN, Frames
from framesift.answering.lmms.tasks import SUBTITLE_COLUMN, check_columns, read_task, render_task, text_of
from framesift.core.components import build, kinds
from framesift.core.errors import InputError
from framesift.data.labels import convert
from framesift.data.questions import Question
from framesift.data.subtitles import block
from framesift.storage.files import write_json

#: Records of datasets that have no small repository.
OWN = {
    "custom": [{"question": "What?", "options": ["a", "b", "c"], "answer": "A", "video": "v", "n": n} for n in (1, 2)],
    "nextqa_oe": [
        {
            "video": 4010069381, "frame_count": 369, "width": 640, "height": 480, "qid": n, "type": "DL",
            "question": "where is this ", "answer": "studio", "additional_ref_answer": None,
        }
        for n in (1, 2)
    ],
}  # fmt: skip

LETTER = "Answer with the option's letter from the given choices directly."
SELECT = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
    "Respond with only the letter (A, B, C, or D) of the correct option.\n"
)
VIDEOMME = "Which?\nA. a\nB. b\nC. c\nD. d\n"
EGOSCHEMA = "Why?\nA. A text\nB. B text\nC. C text\nD. D text\nE. E text"
NEXTQA = "how do the two man play the instrument\nA. option 0\nB. option 1\nC. option 2\nD. option 3\nE. option 4"
MLVU = "What?\n(A) a\n(B) b\n(C) c\n(D) d\n"

#: Each benchmark's first question under each of its prompts.
PROMPTS = {
    ("videomme", "default"): f"{SELECT}{VIDEOMME}\n{LETTER}",
    ("videomme", "gpt4v"): f"{SELECT}{VIDEOMME}Answer the question with A, B, C, or D.",
    ("videomme", "llava_vid"): f"{SELECT}{VIDEOMME}The best answer is:",
    ("videomme", "qwen3_vl"): (
        "Question: Which?\nOptions:\nA. a\nB. b\nC. c\nD. d\nAnswer with the option letter only."
    ),
    ("custom", "default"): f"{SELECT}What?\nA. a\nB. b\nC. c\n\n{LETTER}",
    ("custom", "gpt4v"): f"{SELECT}What?\nA. a\nB. b\nC. c\nAnswer the question with A, B, C, or D.",
    ("custom", "llava_vid"): f"{SELECT}What?\nA. a\nB. b\nC. c\nThe best answer is:",
    ("custom", "qwen3_vl"): "Question: What?\nOptions:\nA. a\nB. b\nC. c\nAnswer with the option letter only.",
    ("longvideobench", "default"): f"What?\nA. a\nB. b\nC. c\n{LETTER}\n",
    ("mlvu", "default"): f"{MLVU}\nOnly give the best option.\nBest option: (",
    ("mlvu", "plm"): f"{MLVU}\nOnly give the best option.",
    ("lvbench", "default"): (
        "What year?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633\nAnswer the question with the option letter"
    ),
    ("egoschema", "default"): f"{EGOSCHEMA}\n{LETTER}",
    ("egoschema", "aria"): f"Please answer the question about the video:\n{EGOSCHEMA}\n{LETTER}",
    ("nextqa", "default"): NEXTQA,
    ("nextqa", "letter"): f"{NEXTQA}\n{LETTER}",
    ("nextqa_oe", "default"): "where is this\nAnswer a question using a short phrase or sentence.",
    ("activitynetqa", "default"): "Is the person outdoors? Answer the question using a single word or phrase.",
}


def labels(kind, folder, number=2):
    """Dataset, documents and questions of a benchmark."""
    fields = {"data_dir": ".", "labels": "."} if kind == "custom" else {}
    dataset = build("datasets", {"kind": kind, **fields, **({"columns": {"question_id": "n"}} if fields else {})})
    if kind in OWN:
        path = folder / "labels.json"
        write_json(path, OWN[kind])
    else:
        path = folder / dataset.labels.name
        path.write_bytes(REPOSITORIES[kind]()[dataset.labels.as_posix()])
    records = convert(dataset, path)[:number]
    questions = [Question(**record["normalised"]) for record in records]
    documents = [
        {**dataset.document(record, question), ID_COLUMN: question.question_id}
        for record, question in zip(records, questions, strict=True)
    ]
    return dataset, documents, questions


@pytest.fixture
def no_network(monkeypatch):
    def refuse(self, address):
        raise AssertionError(f"the network was asked for: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: refuse(None, arguments[:2]))


def asked(dataset, documents, *, chat=True, prompt=None):
    """What a model of lmms-eval is asked: text, frames' question id and generation settings of each request."""
    with tempfile.TemporaryDirectory() as folder, lmms_eval_environment(folder):
        from pathlib import Path

        from lmms_eval.api.model import lmms
        from lmms_eval.evaluator import simple_evaluate
        from lmms_eval.tasks import TaskManager

        requests_seen = []

        class Model(lmms):
            is_simple = not chat

            def generate_until(self, requests):
                for request in requests:
                    if chat:
                        _, messages, generation, number, task, split = request.args
                        [message] = messages(self.task_dict[task][split][number])
                        frames, text = message["content"]
                        seen = (text["text"], frames["url"], generation)
                    else:
                        text, generation, visual, number, task, split = request.args
                        [frames] = visual(self.task_dict[task][split][number])
                        seen = (text, frames, generation)
                    requests_seen.append(seen)
                return ["B" for _ in requests]

            loglikelihood = generate_until_multi_round = None

        name = render_task(dataset.lmms_task, documents, Path(folder), chat=chat, prompt=prompt)
        manager = TaskManager(include_path=folder, include_defaults=False)
        simple_evaluate(
            model=Model(), tasks=[name], task_manager=manager, batch_size=1, bootstrap_iters=0, process_docs_parallel=1
        )
    assert all(isinstance(frames, Frames) for _, frames, _ in requests_seen)
    return [(text, frames.question_id, generation) for text, frames, generation in requests_seen]


def test_every_prompt_of_every_benchmark_is_known_here():
    known = {(kind, name) for kind in kinds("datasets") for name in dataset_of(kind).lmms_task.variants}
    assert set(PROMPTS) == known | {(kind, "default") for kind in kinds("datasets")}


def dataset_of(kind):
    return build("datasets", {"kind": kind, **({"data_dir": ".", "labels": "."} if kind == "custom" else {})})


@pytest.mark.parametrize("kind", kinds("datasets"))
def test_every_benchmark_is_asked_through_lmms_eval(kind, tmp_path, no_network):
    dataset, documents, questions = labels(kind, tmp_path)
    said = block(["first line", "second line"])
    documents[1][SUBTITLE_COLUMN] = said
    requests = asked(dataset, documents)
    ids = [question.question_id for question in questions]
    first = PROMPTS[kind, "default"]
    second = f"{said}\n{text_of({**documents[1], SUBTITLE_COLUMN: ''}, settings_of(dataset, dataset.lmms_task.prompt))}"
    assert [(text, frames) for text, frames, _ in requests] == [(first, ids[0]), (second, ids[1])]
    own = read_task(dataset.lmms_task.yaml).get("generation_kwargs", {})
    assert {name: requests[0][2][name] for name in own} == own


@pytest.mark.parametrize(("kind", "name"), PROMPTS)
def test_every_named_prompt(kind, name, tmp_path):
    dataset, documents, _ = labels(kind, tmp_path)
    assert text_of(documents[0], settings_of(dataset, dataset.prompts[name])) == PROMPTS[kind, name]


def settings_of(dataset, prompt):
    return {"framesift": {"yaml": dataset.lmms_task.yaml, "prompt": prompt}}


def test_a_named_prompt_reaches_the_model_and_simple_models_are_asked_too(tmp_path):
    dataset, documents, _ = labels("videomme", tmp_path)
    chat = asked(dataset, documents, prompt=dataset.prompts["qwen3_vl"])
    simple = asked(dataset, documents, prompt=dataset.prompts["qwen3_vl"], chat=False)
    assert chat[0][0] == PROMPTS["videomme", "qwen3_vl"]
    assert [request[:2] for request in chat] == [request[:2] for request in simple]


@pytest.mark.parametrize(
    ("kind", "prompt", "message"),
    [
        ("videomme", {"pre_prompt": "Look: ", "post_prompt": "?"}, "prompt: pre_prompt: has no place"),
        ("videomme", {"postprompt": "Which letter"}, "prompt: postprompt: has no place"),
        ("egoschema", {"post_prompt": "The answer is"}, "prompt: post_prompt: has no place"),
        ("longvideobench", {"post_prompt": "Which letter?"}, "needs 'pre_prompt'"),
    ],
)
def test_a_prompt_that_would_silently_be_left_out_is_refused(kind, prompt, message, tmp_path):
    dataset, documents, _ = labels(kind, tmp_path)
    with pytest.raises(InputError, match=message):
        render_task(dataset.lmms_task, documents, tmp_path, chat=True, prompt=prompt)


def test_a_missing_column_is_named(tmp_path):
    dataset, documents, questions = labels("videomme", tmp_path)
    del documents[1]["domain"]
    with pytest.raises(InputError, match=f"question {questions[1].question_id}, column 'domain'"):
        check_columns(dataset.lmms_task, documents)


def test_columns_that_the_task_does_not_read_may_hold_anything(tmp_path):
    dataset, documents, _ = labels("videomme", tmp_path)
    for document, odd in zip(documents, (1, ["two"]), strict=True):
        document["remark"] = odd
    render_task(dataset.lmms_task, documents, tmp_path, chat=True)
    for document, odd in zip(documents, (1, ["two"]), strict=True):
        document["question"] = odd
    with pytest.raises(InputError, match="different types"):
        render_task(dataset.lmms_task, documents, tmp_path, chat=True)
    with pytest.raises(InputError, match=r"question 001-1: .* cannot put the question"):
        render_task(dataset.lmms_task, documents[:1], tmp_path, chat=True)


def test_texts_that_look_like_something_else_stay_texts(tmp_path):
    dataset, documents, _ = labels("videomme", tmp_path)
    documents[0] |= {"question": "2020-01-01", "options": ["A. 1", "B. null", "C. {{x}}", "D. true"]}
    [(text, _, _), _] = asked(dataset, documents)
    assert text == f"{SELECT}2020-01-01\nA. 1\nB. null\nC. {{{{x}}}}\nD. true\n\n{LETTER}"


@pytest.mark.parametrize("home", [None, "", "/somewhere"])
@pytest.mark.parametrize("yaml", sorted({dataset_of(kind).lmms_task.yaml for kind in kinds("datasets")}))
def test_reading_a_task_leaves_no_trace(yaml, home, monkeypatch, no_network):
    """NExT-QA's file downloads three packages when imported, and two files want HF_HOME."""
    monkeypatch.delenv("HF_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("HF_HOME", home)
    before = dict(os.environ)
    settings = read_task.__wrapped__(yaml)
    assert callable(settings["doc_to_text"])
    assert dict(os.environ) == before
    if "nextqa" in yaml:
        import nltk

        assert nltk.download.__self__ is nltk.downloader._downloader


def test_a_task_whose_file_cannot_be_imported_is_a_users_matter(monkeypatch):
    import builtins

    original = builtins.__import__

    def without_decord(name, *arguments, **options):
        if name == "decord":
            raise ImportError("No module named 'decord'")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_decord)
    with pytest.raises(InputError, match="cannot be used here"):
        read_task.__wrapped__("longvideobench/longvideobench_val_v.yaml")


def test_pywsd_without_its_data_does_not_keep_nextqa_from_being_asked(monkeypatch, tmp_path):
    """It looks for WordNet when it is imported."""
    (tmp_path / "pywsd").mkdir()
    (tmp_path / "pywsd" / "__init__.py").write_text("raise LookupError('Resource wordnet not found.')")
    monkeypatch.syspath_prepend(tmp_path)
    settings = read_task.__wrapped__("nextqa/nextqa_mc_test.yaml")
    dataset, documents, _ = labels("nextqa", tmp_path)
    assert settings["doc_to_text"](documents[0], dict(dataset.lmms_task.prompt)) == NEXTQA
    assert "pywsd" not in sys.modules


def test_the_built_in_tasks_are_those_the_settings_were_taken_from():
    """Another lmms-eval may ask otherwise: what is written in the datasets is compared with what is installed."""
    written = {}
    for kind in kinds("datasets"):
        task = dataset_of(kind).lmms_task
        settings = read_task(task.yaml)
        installed = settings.get("lmms_eval_specific_kwargs") or {"default": {}}
        assert task.prompt == installed["default"], kind
        for name, prompt in task.variants.items():
            if (kind, name) != ("nextqa", "letter"):  # not lmms-eval's
                assert prompt == installed[name], (kind, name)
        assert task.metric in [metric["metric"] for metric in settings["metric_list"]]
        written[kind] = set(installed) - {"default", *task.variants}
    assert {kind: left for kind, left in written.items() if left} == {
        "videomme": {"xcomposer2_4khd"},
        "custom": {"xcomposer2_4khd"},
    }
