"""Probe videos: length, frame rate, codec, candidate frames.

Videos that are missing, broken, short or mislabelled are listed with the reason in the file given by --excluded.

Example:
  framesift index-videos --spec @spec.json --labels labels.json --video-dir data/videomme/videos \\
    --excluded excluded.csv --out videos.parquet
"""

import csv
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from framesift.core.errors import VideoError
from framesift.data.benchmarks import VideoFolder, reader_of
from framesift.data.exclusions import add_limit, check_exclusions
from framesift.data.questions import Question, read_questions
from framesift.program.cli import add_inputs, log, parser, run
from framesift.storage.files import atomic_write
from framesift.video.faults import check_readable
from framesift.video.grid import CandidateGrid
from framesift.video.table import Video, checked_length, describe_video, write_videos
from framesift.video.workers import map_isolated


def main() -> None:
    options = parser(__doc__, spec="kind of dataset, its length_tolerance, and candidate grid")
    add_inputs(options, "labels")
    options.add_argument("--video-dir", required=True, metavar="DIR")
    options.add_argument("--cache", metavar="DIR", help="stores finished videos, for an interrupted run")
    options.add_argument("--threads", type=int, default=1, help="videos at a time, each in a process of its own")
    options.add_argument(
        "--timeout", type=float, default=600, help="seconds to wait for one video (default: %(default)s)"
    )
    add_limit(options)
    options.add_argument("--excluded", metavar="FILE.csv", help="list of the unusable videos")
    options.add_argument("--out", required=True, metavar="FILE.parquet")
    args = options.parse_args()

    dataset = reader_of({"kind": args.spec["kind"]})
    grid = CandidateGrid(**args.spec["candidates"])
    cache = Path(args.cache) if args.cache else None
    questions = read_questions(args.labels)
    lengths = {question.video_id: question.seconds for question in questions}
    folder = VideoFolder(Path(args.video_dir))

    rows, found = [], {}
    for video_id in sorted(lengths):
        try:
            found[video_id] = folder.find(dataset.file_name(video_id))
        except VideoError as error:
            rows.append(Video(video_id, "", error=str(error), reason="ambiguous"))
    probe = partial(describe_video, grid=grid, cache=cache)
    probed = map_isolated(probe, found.items(), args.threads, args.timeout, check=check_file)
    for (video_id, path), row in zip(found.items(), probed, strict=True):
        if isinstance(row, VideoError):
            row = Video(video_id, str(path), error=str(row), reason="broken")
        rows.append(checked_length(row, lengths[video_id], args.spec["length_tolerance"]))
    rows.sort(key=lambda row: row.video_id)
    unusable = [row for row in rows if row.error is not None]
    for row in unusable:
        log.warning("video %s is left out: %s", row.video_id, row.error)
    if args.excluded:
        write_excluded(args.excluded, unusable, questions)
    elsewhere = (
        "set data_dir and videos of the dataset to the folder of the files; if they are on the hub, run again with"
        " access to it (without HF_HUB_OFFLINE)"
    )
    fix = "Fix the files (remove broken ones to fetch them again)"
    listed = f"{args.excluded or 'the log'} lists each with its reason. {fix}"
    check_exclusions(
        {row.video_id: (row.reason, str(row.error)) for row in unusable},
        len(rows),
        args.max_excluded,
        place=args.video_dir,
        hint=elsewhere if len(unusable) == len(rows) else listed,
    )
    write_videos(args.out, rows, args.spec)
    log.info("%s: %d videos, %d left out", args.out, len(rows), len(unusable))


def check_file(video: tuple[str, Path | None]) -> None:
    if video[1] is not None:
        check_readable(video[1], digest="")


def write_excluded(path: str, rows: Iterable[Video], questions: Iterable[Question]) -> None:
    asked = Counter(question.video_id for question in questions)
    with atomic_write(path, checked=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["video_id", "questions", "reason", "detail", "file"])
        for row in rows:
            writer.writerow([row.video_id, asked[row.video_id], row.reason, row.error, row.path])


if __name__ == "__main__":
    run(main)
