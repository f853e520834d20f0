"""Score the candidate frames of one shard of videos for all their questions, one decode pass a video.

Finished videos are kept in the cache, for this scorer and, where --also names others, for those too: the frames of a
video that they still lack are shown to them while they are decoded anyway.
"""

from framesift.checkpoints.component import device_name, pick_device
from framesift.core.components import build
from framesift.program.cli import log, parser, run
from framesift.scoring.score_table import write_scores
from framesift.scoring.score_videos import add_shard_options, shard_of


def main() -> None:
    options = parser(__doc__, spec="scorer, candidate grid and decoder")
    add_shard_options(options)
    options.add_argument("--out", required=True, metavar="FILE.parquet")
    args = options.parse_args()

    shard = shard_of(args, build("scorers", args.spec["scorer"]))
    rows = [row for rows in shard.scoring.score(shard.videos, shard.questions) for row in rows]
    write_scores(args.out, rows, args.spec, device_name(pick_device(args.device)))
    log.info("%s: %d questions, %d left out", args.out, len(rows), sum(row.error is not None for row in rows))


if __name__ == "__main__":
    run(main)
