"""Import the scores that AKS's authors released.

They are matched by question id and checked against your videos. Missing files are fetched from a pinned commit and
verified by their git blob id.

Example:
  framesift import-outscores --spec @spec.json --dataset videomme --labels labels.json \\
    --videos videos.parquet --folder data/aks --out scores.parquet
"""

from pathlib import Path

from framesift.core.errors import InputError
from framesift.data.questions import read_questions
from framesift.interop.aks_release import SOURCE, fitting, released_scores
from framesift.program.cli import add_inputs, log, parser, run
from framesift.scoring.score_table import write_scores
from framesift.video.table import read_videos


def main() -> None:
    options = parser(__doc__, spec="scorer and candidate grid")
    options.add_argument("--dataset", required=True, metavar="KIND", help="longvideobench or videomme")
    add_inputs(options, "labels", "videos")
    options.add_argument("--folder", required=True, metavar="DIR", help="the files of the release")
    options.add_argument("--source", default=SOURCE, metavar="URL", help="where missing files are fetched from")
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
