"""Score the candidate frames of one shard for all its questions.

Each video is decoded once. A finished video goes to the cache, for this scorer and for every scorer of --also that has
not seen it yet.

Example:
  framesift score-frames --spec @spec.json --labels labels.json --videos videos.parquet \\
    --shards shards.json --shard 1 --cache cache/ --out scores.parquet
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
