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
from framesift.core.components import build, implementation, kinds
from framesift.core.errors import InputError
from framesift.data.benchmarks import reader_of
from framesift.data.benchmarks.videomme import LETTER, SELECT
from framesift.data.labels import convert
from framesift.data.questions import Question
from framesift.data.subtitles import block

#: Each benchmark's example under each of its prompts, word for word.
PROMPTS = {
    (kind, name): text for kind in kinds("datasets") for name, text in implementation("datasets", kind).asked.items()
}


def labels(kind, folder, number=2):
    """Dataset, documents and questions of a benchmark; of one without a repository in small, its example twice."""
    dataset = reader_of({"kind": kind})
    if kind in REPOSITORIES:
        dataset = build("datasets", {"kind": kind})
        path = folder / dataset.labels.name
        path.write_bytes(REPOSITORIES[kind]()[dataset.labels.as_posix()])
        records = convert(dataset, path)[:number]
        questions = [Question(**record["normalised"]) for record in records]
    else:
        records = [dataset.example] * number
        question = dataset.question(dict(dataset.example))
        ids = [f"{question.question_id}-{n}" for n in range(number)]
        questions = [question.model_copy(update={"question_id": name}) for name in ids]
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


def dataset_of(kind):
    return reader_of({"kind": kind})


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
    assert settings["doc_to_text"](documents[0], dict(dataset.lmms_task.prompt)) == PROMPTS["nextqa", "default"]
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
