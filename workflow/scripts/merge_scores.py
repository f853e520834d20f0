"""Merge the scores of all shards; each question must be there once.

Example:
  framesift merge-scores --spec @spec.json --labels labels.json --out scores.parquet 1-of-2.parquet 2-of-2.parquet
"""

from framesift.core.errors import InputError
from framesift.data.exclusions import add_limit, check_exclusions
from framesift.data.questions import read_questions
from framesift.program.cli import add_inputs, log, parser, run
from framesift.scoring.score_table import read_scores, write_scores


def main() -> None:
    options = parser(__doc__, spec="scorer and candidate grid")
    add_inputs(options, "labels")
    add_limit(options)
    options.add_argument("--out", required=True, metavar="FILE.parquet")
    options.add_argument("shards", nargs="+", metavar="SHARD.parquet", help="from score-frames")
    args = options.parse_args()

    merged = {}
    for path in args.shards:
        rows = read_scores(path)
        if twice := merged.keys() & rows.keys():
            raise InputError("is in two shards", file=path, field="question_id", value=min(twice))
        merged |= rows
    wanted = {question.question_id for question in read_questions(args.labels)}
    if wanted != merged.keys():
        raise InputError(
            f"{len(wanted - merged.keys())} questions have no scores, {len(merged.keys() - wanted)} are unknown",
            file=args.labels,
            field="question_id",
            value=min(wanted ^ merged.keys()),
        )
    check_exclusions(
        {row.video_id: (row.error, row.error) for row in merged.values() if row.error is not None},
        len({row.video_id for row in merged.values()}),
        args.max_excluded,
        place=args.out,
        hint="mend or replace these videos; the table of videos and the logs of the shards name them",
    )
    write_scores(args.out, merged.values(), args.spec)
    log.info("%s: %d questions", args.out, len(merged))


if __name__ == "__main__":
    run(main)
