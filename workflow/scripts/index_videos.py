"""Find the videos of a dataset, their candidate frames, and what is wrong with those that cannot be used."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from framesift.cli import log, parser, run
from framesift.components import build
from framesift.errors import InputError
from framesift.labels import read_questions
from framesift.video.grid import CandidateGrid
from framesift.videos import describe_video, write_videos


def main() -> None:
    options = parser(__doc__, spec="kind of dataset and candidate grid")
    options.add_argument("--labels", required=True, metavar="FILE.json", help="from convert_labels.py")
    options.add_argument("--video-dir", required=True, metavar="DIR")
    options.add_argument("--cache", metavar="DIR", help="remembers finished videos of an interrupted run")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--out", required=True, metavar="FILE.parquet")
    args = options.parse_args()

    dataset = build("datasets", {**args.spec["dataset"], "data_dir": ".", "videos": args.video_dir})
    grid = CandidateGrid(**args.spec["candidates"])
    cache = Path(args.cache) if args.cache else None
    video_ids = sorted({question.video_id for question in read_questions(args.labels)})
    with ThreadPoolExecutor(args.threads) as pool:
        rows = list(pool.map(lambda name: describe_video(name, dataset.find_video(name), grid, cache), video_ids))
    broken = [row for row in rows if row.error is not None]
    for row in broken:
        log.warning("video %s is left out: %s", row.video_id, row.error)
    if len(broken) == len(rows):
        raise InputError(
            f"none of the {len(rows)} videos can be used (the first, {broken[0].video_id}: {broken[0].error})",
            file=args.video_dir,
            hint="set data_dir and videos of the dataset to where the files lie",
        )
    write_videos(args.out, rows, args.spec)
    log.info("%s: %d videos, %d left out", args.out, len(rows), len(broken))


if __name__ == "__main__":
    run(main)
