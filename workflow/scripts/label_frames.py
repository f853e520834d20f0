"""Label the frames of one shard to train the M-LLM selector.

Each reply of a model goes to the cache as soon as it is made, so no question is asked twice: a killed job resumes, and
another weight or number of frames asks only for replies that it does not have.

Example:
  framesift label-frames --spec @spec.json --labels labels.json --videos videos.parquet \\
    --shards shards.json --shard 1 --cache cache/ --out examples.parquet --summary summary.json
"""

import json
from pathlib import Path

from framesift.checkpoints.component import decoders_beside, device_name, pick_device
from framesift.core.errors import InputError, validated
from framesift.core.spec import spec_id
from framesift.data.evidence import evidence_in_seconds
from framesift.data.shards import questions_of_shard
from framesift.program.cli import add_compute_options, add_inputs, log, parser, run
from framesift.scoring.mllm_selector.examples import write_examples
from framesift.scoring.mllm_selector.label_settings import LabelSettings, LocalModel, ScorerStandIn
from framesift.scoring.score_table import read_scores, write_scores
from framesift.storage.files import write_json
from framesift.training.labels.labelling import Labelling, summary
from framesift.video.table import read_videos


def main() -> None:
    options = parser(__doc__, spec='{"labels": how frames are labelled, ...}')
    add_inputs(options, "labels", "videos", "shards")
    options.add_argument("--shard", required=True, type=int, help="number of the shard, from 1")
    options.add_argument(
        "--scores", nargs="+", default=[], metavar="FILE.parquet", help="scores of the scorer that stands in for a VLM"
    )
    options.add_argument("--evidence", metavar="FILE", help="spans of the answers, for validation; no label sees them")
    options.add_argument(
        "--connections",
        type=json.loads,
        default={},
        metavar="JSON",
        help="by vlm and llm, how to reach a server: address, concurrency, retries",
    )
    options.add_argument("--batch-size", type=int, help="prompts a batch of a local model (default: the model's)")
    options.add_argument(
        "--timeout", type=float, default=600, help="seconds to wait for decoded frames (default: %(default)s)"
    )
    options.add_argument("--cache", required=True, metavar="DIR", help="stores each reply of a model")
    options.add_argument("--out", required=True, metavar="FILE.parquet", help="examples for train-selector")
    options.add_argument("--summary", required=True, metavar="FILE.json", help="what was left out, and what failed")
    options.add_argument("--as-scores", metavar="FILE.parquet", help="the labels as scores, to select frames by")
    add_compute_options(options)
    args = options.parse_args()

    settings = settings_of(args.spec.get("labels", {}), args.connections, args.batch_size)
    scores = {name: row for file in args.scores for name, row in read_scores(file).items()}
    if isinstance(settings.vlm, ScorerStandIn) and not args.scores:
        raise InputError("are needed, since a scorer stands in for a VLM", field="--scores")
    by_video = questions_of_shard(args.labels, args.shards, args.shard)
    table = read_videos(args.videos)
    videos = [table[video] for video in by_video]
    evidence = evidence_in_seconds([one for asked in by_video.values() for one in asked], table, args.evidence)

    device, workers = device_and_decoders(settings, args.device, args.threads)
    writer = f"{Path(args.out).stem}-{spec_id([args.spec, args.shards, args.labels])}"
    labelling = Labelling(
        settings, Path(args.cache), writer, device, workers=workers, timeout=args.timeout, scores=scores
    )
    labels = labelling.label(videos, by_video)

    spans = {name: one.spans for name, one in evidence.items()}
    examples = [one.example(settings, spans.get(one.question.question_id, ())) for one in labels if not one.error]
    write_examples(args.out, examples, args.spec)
    if args.as_scores:
        write_scores(args.as_scores, [one.scores() for one in labels], args.spec, device_name(device))
    made = {"spec": args.spec, "device": device_name(device), **summary(settings, labels)}
    write_json(args.summary, made, checked=True)
    log.info("%s: %d questions labelled, %d left out", args.out, len(examples), len(labels) - len(examples))
    if made["left_out"]:
        log.warning("left out: %s", _listed(made["left_out"]))
    if made["temporal"]["failures"]:
        log.warning("no temporal label for %s", _listed(made["temporal"]["failures"]))


def _listed(reasons: dict[str, str], shown: int = 3) -> str:
    """How many questions, and the first few with their reasons; the summary has all."""
    first = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:shown])
    return f"{len(reasons)} questions ({first}{'; ...' if len(reasons) > shown else ''})"


def device_and_decoders(settings: LabelSettings, device: str, threads: int) -> tuple[str, int]:
    """Where models run, and how many processes decode. Imports torch only if a model runs here."""
    if not any(isinstance(model, LocalModel) for model in (settings.vlm, settings.llm)):
        return "cpu", threads
    device = pick_device(device)
    return device, decoders_beside(device, threads)


def settings_of(spec: dict, connections: dict, batch_size: int | None) -> LabelSettings:
    """The settings that a spec describes, with what decides no label."""
    models = {name: spec[name] | connections.get(name, {}) for name in ("vlm", "llm") if spec.get(name)}
    if batch_size:
        models = {
            name: one | {"batch_size": batch_size} if one.get("kind", "transformers") == "transformers" else one
            for name, one in models.items()
        }
    return validated(LabelSettings, spec | models, "--spec", "labels")


if __name__ == "__main__":
    run(main)
