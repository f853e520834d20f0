"""Score the candidate frames of one shard of videos for all their questions, one decode pass a video."""

from itertools import groupby
from pathlib import Path

from framesift.cli import add_compute_options, log, parser, run
from framesift.components import build
from framesift.files import read_json
from framesift.models import pick_device
from framesift.questions import read_questions
from framesift.scores import write_scores
from framesift.scoring import VideoScorer
from framesift.videos import read_videos


def main() -> None:
    options = parser(__doc__, spec="scorer and candidate grid")
    options.add_argument("--labels", required=True, metavar="FILE.json", help="from convert_labels.py")
    options.add_argument("--videos", required=True, metavar="FILE.parquet", help="from index_videos.py")
    options.add_argument("--shards", required=True, metavar="FILE.json", help="from assign_shards.py")
    options.add_argument("--shard", required=True, type=int, help="number of the shard, from 1")
    options.add_argument("--batch-size", type=int, help="frames per batch (default: the scorer's)")
    options.add_argument("--cache", required=True, metavar="DIR", help="keeps each finished video")
    options.add_argument("--out", required=True, metavar="FILE.parquet")
    add_compute_options(options)
    args = options.parse_args()

    import torch

    torch.set_num_threads(args.threads)
    batch_size = {"batch_size": args.batch_size} if args.batch_size else {}
    scorer = VideoScorer(
        build("scorers", {**args.spec["scorer"], **batch_size}),
        args.spec["candidates"],
        Path(args.cache),
        pick_device(args.device),
    )
    videos = read_videos(args.videos)
    shard_of = read_json(args.shards)
    questions = [question for question in read_questions(args.labels) if shard_of[question.video_id] == args.shard]
    questions.sort(key=lambda question: question.video_id)
    rows = []
    for video_id, group in groupby(questions, key=lambda question: question.video_id):
        scored = scorer.score(videos[video_id], list(group))
        log.info("%s: %s", video_id, scored[0].error or f"{len(scored[0].frames)} frames, {len(scored)} questions")
        rows += scored
    write_scores(args.out, rows, args.spec)


if __name__ == "__main__":
    run(main)
