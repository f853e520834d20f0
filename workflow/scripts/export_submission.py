"""Write the file that the server of EgoSchema's full set marks.

Example:
  framesift export-submission --labels labels.json --answers 1-of-2.json 2-of-2.json --out mine.json
"""

from framesift.answering.answer_file import union_of_chunks
from framesift.core.errors import InputError
from framesift.data.benchmarks.egoschema import submission
from framesift.data.questions import read_questions
from framesift.judging.by_task import judge_letters
from framesift.program.cli import add_inputs, log, parser, run
from framesift.storage.files import write_json


def main() -> None:
    options = parser(__doc__)
    add_inputs(options, "labels")
    options.add_argument("--answers", required=True, nargs="+", metavar="FILE.json", help="every chunk of one cell")
    options.add_argument("--out", required=True, metavar="FILE.json", help="a number from 0 by video; -1 for no option")
    args = options.parse_args()

    questions = read_questions(args.labels)
    answers = union_of_chunks(args.answers)
    if missing := [question.question_id for question in questions if question.question_id not in answers]:
        raise InputError(
            f"{len(missing)} questions of the labels have no answer",
            file=args.answers[0],
            field="question_id",
            value=missing[0],
            hint="give the files of all chunks",
        )
    said = {name: answer.response for name, answer in answers.items() if answer.error is None}
    letters = {name: verdict.parsed for name, verdict in judge_letters(questions, said).items()}
    parsed = {question.video_id: letters.get(question.question_id) for question in questions}
    if len(parsed) != len(questions):
        raise InputError("a video has several questions; such a benchmark has no such file", file=args.labels)
    write_json(args.out, submission(parsed))
    log.info("%s: %d questions, %d without an option", args.out, len(parsed), list(parsed.values()).count(None))


if __name__ == "__main__":
    run(main)
