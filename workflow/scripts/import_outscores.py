"""Take the scores that AKS's authors released, matched by question id and checked against the videos that are here.

What is missing is fetched from the commit that was read, and verified by its git blob id.
"""

from pathlib import Path

from framesift.core.errors import InputError
from framesift.data.questions import read_questions
from framesift.interop.aks_release import SOURCE, fitting, released_scores
from framesift.program.cli import log, parser, run
from framesift.scoring.score_table import write_scores
from framesift.video.table import read_videos


def main() -> None:
    options = parser(__doc__, spec="scorer and candidate grid")
    options.add_argument("--dataset", required=True, metavar="KIND", help="longvideobench or videomme")
    options.add_argument("--labels", required=True, metavar="FILE.json", help="from convert_labels.py")
    options.add_argument("--videos", required=True, metavar="FILE.parquet", help="from index_videos.py")
    options.add_argument("--folder", required=True, metavar="DIR", help="the files of the release")
    options.add_argument("--source", default=SOURCE, metavar="URL", help="where they are fetched from")
    options.add_argument("--out", required=True, metavar="FILE.parquet")
    args = options.parse_args()

    released = released_scores(args.dataset, args.spec["scorer"]["scores"], Path(args.folder), args.source)
    videos = read_videos(args.videos)
    rows = []
    for question in read_questions(args.labels):
        if question.question_id not in released:
            raise InputError(
                "the release has no such question", file=args.labels, field="question_id", value=question.question_id
            )
        rows.append(fitting(released[question.question_id], videos[question.video_id]))
    for row in rows:
        if row.error:
            log.warning("question %s is left out: %s", row.question_id, row.error)
    if all(row.error for row in rows):
        raise InputError("the release fits none of the videos", file=args.videos, hint=rows[0].error)
    write_scores(args.out, rows, args.spec)
    log.info("%s: %d questions, %d left out", args.out, len(rows), sum(row.error is not None for row in rows))


if __name__ == "__main__":
    run(main)
