"""Score the candidate frames of one shard of videos for all their questions, one decode pass a video.

Finished videos are kept in the cache, for this scorer and, where --also names others, for those too: the frames of a
video that they still lack are shown to them while they are decoded anyway. Jobs of one shard begin at different
videos, so that those running side by side meet in the middle instead of doing the same twice.
"""

import json
from itertools import groupby
from pathlib import Path

from framesift.cli import add_compute_options, log, parser, run
from framesift.components import build
from framesift.files import read_json
from framesift.models import pick_device
from framesift.questions import read_questions
from framesift.scores import write_scores
from framesift.scoring import Scoring, model_of
from framesift.spec import canonical_json
from framesift.video.decoders import check_decoder
from framesift.videos import read_videos


def main() -> None:
    options = parser(__doc__, spec="scorer, candidate grid and decoder")
    options.add_argument("--labels", required=True, metavar="FILE.json", help="from convert_labels.py")
    options.add_argument("--videos", required=True, metavar="FILE.parquet", help="from index_videos.py")
    options.add_argument("--shards", required=True, metavar="FILE.json", help="from assign_shards.py")
    options.add_argument("--shard", required=True, type=int, help="number of the shard, from 1")
    options.add_argument("--also", default=[], type=json.loads, metavar="JSON", help="specs of other scorers")
    options.add_argument("--batch-size", type=int, help="frames per batch (default: the scorer's)")
    options.add_argument("--timeout", type=float, default=120, help="seconds that the next frame of a video may take")
    options.add_argument("--cache", required=True, metavar="DIR", help="keeps each finished video")
    options.add_argument("--out", required=True, metavar="FILE.parquet")
    add_compute_options(options)
    args = options.parse_args()

    import torch

    device = pick_device(args.device)
    decoder = args.spec.get("decoder", "pyav")
    check_decoder(decoder)
    # On a GPU the CPU is there to decode; else it is shared between decoding and the model.
    workers = args.threads if device == "cuda" else max(1, args.threads // 2)
    torch.set_num_threads(max(1, args.threads - workers))
    batch_size = {"batch_size": args.batch_size} if args.batch_size else {}
    specs = [{**args.spec["scorer"], **batch_size}, *args.also]
    models = [
        model_of(build("scorers", spec), args.spec["candidates"], decoder, Path(args.cache), device) for spec in specs
    ]
    scoring = Scoring(models, decoder=decoder, workers=workers, timeout=args.timeout)
    shard_of = read_json(args.shards)
    questions = [question for question in read_questions(args.labels) if shard_of[question.video_id] == args.shard]
    questions.sort(key=lambda question: question.video_id)
    asked = {video: list(group) for video, group in groupby(questions, key=lambda question: question.video_id)}
    videos = read_videos(args.videos)
    order = sorted(asked)
    place = sorted([args.spec["scorer"], *args.also], key=canonical_json).index(args.spec["scorer"])
    start = place * len(order) // len(specs)
    rows = []
    for scored in scoring.score([videos[video] for video in order[start:] + order[:start]], asked):
        rows += scored
    write_scores(args.out, rows, args.spec)
    log.info("%s: %d questions, %d left out", args.out, len(rows), sum(row.error is not None for row in rows))


if __name__ == "__main__":
    run(main)
