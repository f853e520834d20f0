"""Embed the candidate frames of one shard, and its questions.

Questions are embedded if the encoder reads text. The embeddings of frames stay in the cache, which scorers of the same
kind share; the output says where.

Example:
  framesift embed-frames --spec @spec.json --labels labels.json --videos videos.parquet \\
    --shards shards.json --shard 1 --cache cache/ --out embeddings.safetensors
"""

from framesift.program.cli import log, parser, run
from framesift.scoring.embedding_table import write_embeddings
from framesift.scoring.score_videos import add_shard_options, encoder_of, shard_of
from framesift.scoring.scorers import TwoTowers


def main() -> None:
    options = parser(__doc__, spec="encoder, candidate grid and decoder")
    add_shard_options(options)
    options.add_argument("--out", required=True, metavar="FILE.safetensors")
    args = options.parse_args()

    import torch

    encoder = encoder_of(args.spec["encoder"])
    shard = shard_of(args, encoder)
    model = shard.scoring.models[0]
    videos = {
        one.video.video_id: {"error": one.error} if one.error else {"file": model.cache.path(one.video).as_posix()}
        for one in shard.scoring.see(shard.videos, shard.questions)
    }
    queries = {}
    if isinstance(encoder, TwoTowers):
        with torch.inference_mode():
            for question in (question for asked in shard.questions.values() for question in asked):
                vector = encoder.text_features(model.loaded, encoder.query(question))
                queries[question.question_id] = vector[0].numpy()
    write_embeddings(args.out, videos, queries, args.spec)
    log.info("%s: %d videos, %d left out", args.out, len(videos), sum("error" in video for video in videos.values()))


if __name__ == "__main__":
    run(main)
