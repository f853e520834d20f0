"""Assign the videos of a dataset to shards of equal duration.

Example:
  framesift assign-shards --spec '{"shards": 4}' --videos videos.parquet --out shards.json
"""

from framesift.data.shards import assign_shards
from framesift.program.cli import add_inputs, log, parser, run
from framesift.storage.files import write_json
from framesift.video.table import read_videos


def main() -> None:
    options = parser(__doc__, spec="number of shards")
    add_inputs(options, "videos")
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    shards = assign_shards(read_videos(args.videos), args.spec["shards"])
    write_json(args.out, shards, checked=True)
    log.info("%s: %d videos in %d shards", args.out, len(shards), args.spec["shards"])


if __name__ == "__main__":
    run(main)
