"""Judge answers: our parser, lmms-eval's task, a language model.

The video LLM is not asked again. Each verdict of a language model goes to the cache as soon as it is made.

Example:
  framesift judge-answers --spec @spec.json --labels labels.json --cache cache/ --out judged.json
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framesift.answering.answer_file import Answer, union_of_chunks
from framesift.core.code_digest import code_digest
from framesift.core.spec import spec_id
from framesift.data.benchmarks import Dataset, reader_of
from framesift.data.questions import Question, read_labels
from framesift.judging.by_llm import Judge, OpenAnswer, judge
from framesift.judging.by_task import judge_samples
from framesift.judging.verdict_file import JudgedCell, write_judged
from framesift.program.cli import add_connection, add_inputs, log, parser, run
from framesift.storage.journal import Journal


def main() -> None:
    options = parser(__doc__, spec="dataset, unparsed, judge, and the files of answers of each cell")
    add_inputs(options, "labels")
    add_connection(options)
    options.add_argument("--cache", required=True, metavar="DIR", help="stores each verdict of a language model")
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    dataset = reader_of(args.spec["dataset"])
    records, questions = read_labels(args.labels)
    by_task = args.spec["unparsed"] == "lmms_eval"
    answers = {
        name: {key: answer for key, answer in union_of_chunks(files).items() if answer.error is None}
        for name, files in args.spec["cells"].items()
    }
    cells = {name: judged_cell(dataset, records, questions, given, by_task) for name, given in answers.items()}
    for name, cell in cells.items():
        log.info("%s: %s %s, %s", name, cell.metric, cell.value, _summary(cell))
    made_by: dict[str, Any] = {"spec": args.spec, "code": code_digest("judge_answers.py", dataset.module)}
    if args.spec["judge"]:
        by = Judge.model_validate(args.spec["judge"] | args.connection)
        made_by |= by.made_by()
        journal = Journal(Path(args.cache), f"{Path(args.out).stem}-{spec_id(args.spec)}")
        for name, cell in cells.items():
            cells[name] = judged_by(by, cell, dataset, records, questions, answers[name], journal)
    write_judged(args.out, cells, made_by)


def judged_cell(
    dataset: Dataset,
    records: Sequence[Mapping[str, Any]],
    questions: Sequence[Question],
    answers: Mapping[str, Answer],
    by_task: bool,
) -> JudgedCell:
    """The verdicts of our parser and of the task; with `by_task`, the task's verdict counts if it has one."""
    responses = {question_id: answer.response for question_id, answer in answers.items()}
    judged = judge_samples(dataset, records, questions, responses, guesses=by_task)
    for line in judged.differences:
        log.info("the task differs on %s", line)
    verdicts = judged.verdicts
    if by_task:
        verdicts = {
            name: verdict.model_copy(update={"correct": verdict.task_correct})
            if verdict.task_correct is not None
            else verdict
            for name, verdict in verdicts.items()
        }
    return JudgedCell(metric=judged.metric, value=judged.value, questions=verdicts)


def judged_by(
    by: Judge,
    cell: JudgedCell,
    dataset: Dataset,
    records: Sequence[Mapping[str, Any]],
    questions: Sequence[Question],
    answers: Mapping[str, Answer],
    journal: Journal,
) -> JudgedCell:
    """The same cell, with its open answers judged by a language model."""
    open_answers = [
        OpenAnswer(question_id, question.question, references, answers[question_id].response)
        for record, question in zip(records, questions, strict=True)
        if not question.options
        and (question_id := question.question_id) in cell.questions
        and (references := dataset.references(record, question))
    ]
    verdicts = dict(cell.questions)
    for question_id, said in judge(by, open_answers, journal).items():
        verdict = {"correct": said.correct, "note": said.reason}
        verdicts[question_id] = verdicts[question_id].model_copy(update=verdict)
    return cell.model_copy(update={"questions": verdicts})


def _summary(cell: JudgedCell) -> str:
    verdicts = cell.questions.values()
    differing = sum(verdict.task_correct not in (None, verdict.correct) for verdict in verdicts)
    return f"{sum(bool(verdict.correct) for verdict in verdicts)} of {len(verdicts)} right, {differing} differ"


if __name__ == "__main__":
    run(main)
