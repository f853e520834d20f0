"""Import the answers of a finished run of lmms-eval.

Example:
  framesift import-run --samples run_samples_videomme.jsonl --results run_results.json \\
    --labels labels.json --out answers.json
"""

from framesift.answering.answer_file import write_answers
from framesift.core.code_digest import code_digest
from framesift.data.questions import read_questions
from framesift.judging.imported_runs import read_run, run_facts
from framesift.program.cli import add_inputs, log, parser, run
from framesift.storage.checksums import file_digest


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--samples", required=True, metavar="FILE.jsonl", help="*_samples_*.jsonl, .gz or not")
    options.add_argument("--results", metavar="FILE.json", help="*_results.json, .gz or not")
    add_inputs(options, "labels")
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    answers = read_run(args.samples, read_questions(args.labels))
    facts = run_facts(args.results) if args.results else {}
    made_by = {"code": code_digest("import_run.py"), "samples": file_digest(args.samples), "run": facts}
    write_answers(args.out, answers, made_by)
    missing = sum(answer.error is not None for answer in answers.values())
    log.info("%s: %d questions, %d not in the run", args.out, len(answers), missing)
    for name, numbers in facts.get("results", {}).items():
        log.info("the run says of %s: %s", name, numbers)


if __name__ == "__main__":
    run(main)
