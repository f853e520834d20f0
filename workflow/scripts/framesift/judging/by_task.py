"""Judge responses by our parser and by lmms-eval's task, side by side.

Our verdict compares the letter that `option_parser` finds with the label. The task's verdict is what its own
`process_results` returns for the response, and its number is its own aggregation over all responses: what lmms-eval
would print. The two verdicts may differ, and every difference is reported.

lmms-eval prepares a response before a task sees it: it strips outer spaces, and the text between the default reasoning
tags of its command line. The same happens here.
"""

from __future__ import annotations

import inspect
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from framesift.answering.lmms.startup import lmms_eval_environment, no_guessing
from framesift.answering.lmms.task import ID_COLUMN
from framesift.answering.lmms.tasks import check_columns, read_task
from framesift.data.benchmarks import Dataset, LmmsTask
from framesift.data.questions import Question
from framesift.judging.option_parser import parse_letter
from framesift.judging.verdict_file import Verdict
from framesift.program.cli import log

#: The default of lmms-eval's --reasoning_tags.
REASONING_TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))


@dataclass(frozen=True)
class TaskJudgement:
    """Verdicts on the responses to some questions.

    Attributes
    ----------
    verdicts : dict
        `Verdict` by question id, in the order of the questions that have a response.
    metric : str
        Name of the task's metric.
    value : float or None
        The task's own number over all these questions.
    maximum : float
        Its value if every answer were right: 100 for per cent, 1 for a share.
    reason : str or None
        Why there is no number.
    differences : list of str
        One line for each question on which the two verdicts differ.
    """

    verdicts: dict[str, Verdict]
    metric: str
    value: float | None
    maximum: float
    reason: str | None
    differences: list[str] = field(default_factory=list)


def judge_letters(questions: Sequence[Question], responses: Mapping[str, str]) -> dict[str, Verdict]:
    """Our verdicts alone, without lmms-eval.

    Parameters
    ----------
    questions : sequence of Question
    responses : dict
        By question id. Questions without a response are left out.

    Examples
    --------
    >>> question = Question(question_id="q", video_id="v", question="Which one?", options=("red", "blue"), answer="B")
    >>> judge_letters([question], {"q": "The answer is (B)."})["q"].correct
    True
    """
    return {
        question.question_id: _ours(question, responses[question.question_id])
        for question in questions
        if question.question_id in responses
    }


def judge_samples(
    dataset: Dataset,
    records: Sequence[Mapping[str, Any]],
    questions: Sequence[Question],
    responses: Mapping[str, str],
    *,
    guesses: bool,
) -> TaskJudgement:
    """Both verdicts on each response, and the task's own number.

    Parameters
    ----------
    dataset : Dataset
    records : sequence of dict
        The original label record of each question.
    questions : sequence of Question
    responses : dict
        By question id. Questions without a response are left out; leave out questions that were not asked.
    guesses : bool
        Whether the task may pick an option at random if it finds none, as lmms-eval's tasks of LongVideoBench,
        EgoSchema and NExT-QA do. The guess depends on the question alone, so other questions do not change it.
    """
    task = dataset.lmms_task
    documents = [
        (question, {**dataset.document(record, question), ID_COLUMN: question.question_id})
        for record, question in zip(records, questions, strict=True)
        if question.question_id in responses
    ]
    verdicts = judge_letters(questions, responses)
    check_columns(task, [document for _, document in documents])
    if not task.offline:
        return TaskJudgement(verdicts, task.metric, None, task.maximum, "the metric is another model's verdict")
    samples: list[Any] = []
    failure = None
    with tempfile.TemporaryDirectory(prefix="framesift-") as folder, lmms_eval_environment(folder):
        built_in = read_task(task.yaml)
        for question, document in documents:
            question_id = question.question_id
            try:
                with _seeded(question_id) if guesses else no_guessing():
                    sample = _sample(built_in, task, document, responses[question_id])
            except Exception as error:
                failure = failure or f"the task fails on question {question_id}: {type(error).__name__}: {error}"
                continue
            samples.append(sample)
            verdicts[question_id] = _compared(verdicts[question_id], task, sample, responses[question_id])
        reason = failure or _no_number(task, documents)
        value, reason = (None, reason) if reason else _aggregated(built_in, task, samples)
    if reason:
        log.warning("no %s of lmms-eval's task: %s", task.metric, reason)
    differences = [f"{name}: {one.note}" for name, one in verdicts.items() if one.task_correct is not None and one.note]
    return TaskJudgement(verdicts, task.metric, value, task.maximum, reason, differences)


def _ours(question: Question, response: str) -> Verdict:
    if not question.options:
        return Verdict(answer=question.answer, note="an open answer, which needs a judge")
    parsed = parse_letter(response, question.letters, question.options)
    if question.answer is None:
        return Verdict(answer=None, parsed=parsed, note="the benchmark keeps the answer secret")
    return Verdict(answer=question.answer, parsed=parsed, correct=parsed == question.answer)


def _sample(built_in: Mapping[str, Any], task: LmmsTask, document: Mapping[str, Any], response: str) -> Any:
    """The task's verdict on one response."""
    from lmms_eval.api.reasoning import strip_reasoning_tags

    prepared = strip_reasoning_tags(response.strip(), [list(pair) for pair in REASONING_TAGS]).strip()
    return built_in["process_results"](document, [prepared])[task.metric]


def _compared(ours: Verdict, task: LmmsTask, sample: Any, response: str) -> Verdict:
    """Our verdict, with the task's."""
    if ours.correct is None:
        return ours
    has_letter = task.target is not None
    correct = str(sample[task.prediction]) == str(sample[task.target]) if has_letter else bool(sample)
    theirs = _letter(sample[task.prediction]) if has_letter else None
    if correct == ours.correct and (not has_letter or theirs == ours.parsed):
        return ours.model_copy(update={"task_correct": correct})
    short = response if len(response) <= 80 else f"{response[:60]} ... {response[-15:]}"
    understood = f"{theirs or 'nothing'}, which is" if has_letter else "something that it does not report, and that is"
    note = (
        f"we understand {ours.parsed or 'nothing'}, which is {_word(ours.correct)}; lmms-eval's task {understood} "
        f"{_word(correct)}: {short!r}"
    )
    return ours.model_copy(update={"task_correct": correct, "note": note})


def _letter(prediction: Any) -> str | None:
    """The letter of the option that a task names; EgoSchema's task names its number."""
    if isinstance(prediction, int):
        return chr(ord("A") + prediction) if prediction >= 0 else None
    return str(prediction) or None


def _word(correct: bool | None) -> str:
    return "right" if correct else "wrong"


def _no_number(task: LmmsTask, documents: Sequence[tuple[Question, Mapping[str, Any]]]) -> str | None:
    """Why the task has no number over these documents, or None."""
    if not documents:
        return "there are no answers"
    if secret := sum(question.answer is None for question, _ in documents):
        return f"the benchmark keeps the answers of {secret} questions secret"
    for name, values in task.all_of.items():
        if absent := sorted(set(values) - {str(document[name]) for _, document in documents}):
            return f"it would count kinds of questions without an answer as 0 ({name}: {', '.join(absent)})"
    return None


def _aggregated(built_in: Mapping[str, Any], task: LmmsTask, samples: Sequence[Any]) -> tuple[float | None, str | None]:
    """The task's number, or the reason why its aggregation fails."""
    from lmms_eval.api.registry import get_aggregation
    from loguru import logger

    [aggregate] = [one["aggregation"] for one in built_in["metric_list"] if one["metric"] == task.metric]
    if isinstance(aggregate, str):
        aggregate = get_aggregation(aggregate)
    options = {"args": None} if "args" in inspect.signature(aggregate).parameters else {}
    logger.disable(aggregate.__module__)  # tasks log a line for each of their categories
    try:
        return float(aggregate(list(samples), **options)), None
    except Exception as error:
        return None, f"its aggregation fails, {type(error).__name__}: {error}"
    finally:
        logger.enable(aggregate.__module__)


@contextmanager
def _seeded(question_id: str) -> Iterator[None]:
    """Random numbers that depend on the question alone."""
    state = random.getstate()
    random.seed(f"framesift/{question_id}")
    try:
        yield
    finally:
        random.setstate(state)
