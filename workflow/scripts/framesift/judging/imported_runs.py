"""Read finished runs of lmms-eval, by anyone, as answers: rows to compare with, and to check like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from framesift.answering.answer_file import Answer
from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.storage.untrusted import parse_json, read_text

#: Names under which tasks of lmms-eval keep the id of a question in a sample's metric.
ID_NAMES = ("question_id", "id", "qid", "uid", "q_uid")


def read_run(samples: str | Path, questions: Sequence[Question]) -> dict[str, Answer]:
    """The answers of a run by question id, in the order of the questions. A missing one is an answer with an error.

    Parameters
    ----------
    samples : path
        The file that lmms-eval writes with ``--log_samples``: JSON lines, with or without gzip. Samples contain neither
        the frames nor, in most tasks, the video.
    questions : sequence of Question

    Raises
    ------
    InputError
        For another kind of file, a sample that matches no question or several, and a question with two samples.
    """
    by_id = {question.question_id: question for question in questions}
    found: dict[str, str] = {}
    for number, sample in _samples(samples):
        question_id = _question_of(sample, by_id, samples, number)
        if question_id in found:
            raise InputError("is answered twice", file=samples, field=f"line {number}", value=question_id)
        found[question_id] = _response(sample, samples, number)
    return {
        name: Answer(video_id=question.video_id, response=found[name])
        if name in found
        else Answer(video_id=question.video_id, error="is not in the run")
        for name, question in by_id.items()
    }


def run_facts(results: str | Path) -> dict[str, Any]:
    """Facts from the results file of a run: numbers, model and its arguments, versions, date."""
    content = _json(read_text(results), results)
    names = ("results", "config", "lmms_eval_version", "git_hash", "date", "model_name")
    if not isinstance(content, dict) or "results" not in content:
        raise InputError("is not a results file of lmms-eval", file=results, expected="*_results.json")
    return {name: content[name] for name in names if name in content}


def _samples(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # not `splitlines`: a response may contain other characters that it takes for line ends
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            sample = _json(line, path, number)
            if not isinstance(sample, dict) or "doc_id" not in sample:
                raise InputError(
                    "is not a sample of lmms-eval", file=path, field=f"line {number}", expected="*_samples_*.jsonl"
                )
            yield number, sample


def _question_of(sample: Mapping[str, Any], questions: Mapping[str, Question], path: str | Path, number: int) -> str:
    """The question of a sample, by the id in its metric or else by its text; never by its place."""
    for part in (sample, *(value for value in sample.values() if isinstance(value, dict))):
        for name in ID_NAMES:
            if str(part.get(name)) in questions:
                return str(part[name])
    text = str(sample.get("input", ""))
    matching = [
        name
        for name, question in questions.items()
        if question.question in text and all(option in text for option in question.options)
    ]
    if len(matching) != 1:
        raise InputError(
            f"matches {len(matching)} questions of these labels",
            file=path,
            field=f"line {number} (doc_id {sample['doc_id']})",
            value=text[:80],
            expected="the id, or the text, of exactly one question",
            hint="does the run belong to another benchmark, or do limit, groups or question_ids leave questions out?",
        )
    return matching[0]


def _response(sample: Mapping[str, Any], path: str | Path, number: int) -> str:
    value = sample.get("filtered_resps", sample.get("resps"))
    while isinstance(value, list) and len(value) == 1:
        [value] = value
    if not isinstance(value, str):
        raise InputError("has no single response", file=path, field=f"line {number}: filtered_resps", value=value)
    return value


def _json(text: str, path: str | Path, number: int | None = None) -> Any:
    try:
        return parse_json(text, lenient=True)  # lmms-eval writes NaN
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", file=path, field=f"line {number}" if number else None) from None
