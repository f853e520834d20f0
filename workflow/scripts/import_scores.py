"""Import scores.json and frames.json of AKS's feature_extract.py.

Example:
  framesift import-scores --dataset longvideobench --original lvb_val.json \\
    --scores scores.json --frames frames.json --out scores.parquet
"""

from framesift.data.benchmarks import reader_of
from framesift.data.labels import convert
from framesift.data.questions import NORMALISED, Question, read_questions
from framesift.interop.aks_scores import from_lists
from framesift.program.cli import log, parser, run
from framesift.scoring.score_table import write_scores
from framesift.storage.checksums import file_digest


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--dataset", required=True, metavar="KIND", help="kind of dataset, e.g. longvideobench")
    options.add_argument("--original", required=True, metavar="FILE", help="the label file the scores were made from")
    options.add_argument("--scores", required=True, metavar="FILE.json")
    options.add_argument("--frames", required=True, metavar="FILE.json")
    options.add_argument("--labels", metavar="FILE.json", help="from convert-labels: keep only its questions")
    options.add_argument("--out", required=True, metavar="FILE.parquet")
    args = options.parse_args()

    records = convert(reader_of({"kind": args.dataset}), args.original)
    rows = from_lists(args.scores, args.frames, [Question(**record[NORMALISED]) for record in records])
    if args.labels:
        rows = {question.question_id: rows[question.question_id] for question in read_questions(args.labels)}
    sources = {name: file_digest(getattr(args, name)) for name in ("original", "scores", "frames")}
    write_scores(args.out, rows.values(), {"imported from AKS's layout": sources})
    log.info("%s: %d questions", args.out, len(rows))


if __name__ == "__main__":
    run(main)
