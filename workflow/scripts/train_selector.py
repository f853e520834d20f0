"""Train one stage of the M-LLM frame selector, or resume it.

Stage 2 takes stage 1's folder as --initial. On two GPUs:

  on_gpus.py 2 torchrun --standalone --nproc-per-node=2 workflow/scripts/train_selector.py ...

Example:
  framesift train-selector --spec @spec.json --examples examples.parquet --features features.safetensors \\
    --work progress/ --out selector/
"""

from pathlib import Path

from framesift.checkpoints.component import local_folder
from framesift.core.errors import validated
from framesift.program.cli import add_compute_options, parser, run
from framesift.scoring.mllm_selector.settings import TrainingSpec


def main() -> None:
    options = parser(__doc__, spec='{"selector": the network, "stage": {"stage": 1 or 2, ...}}')
    several = {"nargs": "+", "type": Path, "metavar": "FILE"}
    options.add_argument("--examples", required=True, **several, help="parquet files, or folders, with labelled frames")
    options.add_argument("--features", required=True, **several, help="from embed-frames, kind patches")
    options.add_argument("--instructions", default=[], **several, help="parquet files of instructions, for stage 1")
    options.add_argument("--validation", default=[], **several, help="labelled frames of other videos")
    options.add_argument("--initial", type=local_folder, metavar="DIR", help="selector to start from")
    options.add_argument("--work", required=True, type=Path, metavar="DIR", help="progress and learning curves")
    options.add_argument("--out", required=True, type=Path, metavar="DIR", help="the trained selector")
    options.add_argument("--micro-batch", type=int, help="examples a forward pass (default: the stage's)")
    options.add_argument("--readers", type=int, default=0, help="processes that read features ahead (default: none)")
    add_compute_options(options)
    args = options.parse_args()
    spec = validated(TrainingSpec, args.spec, "--spec")
    if args.micro_batch:
        stage = spec.stage.model_copy(update={"micro_batch": args.micro_batch})
        spec = spec.model_copy(update={"stage": stage})

    import torch

    from framesift.training.train_selector import Files, train

    torch.set_num_threads(args.threads)
    given = (args.examples, args.features, args.instructions, args.validation)
    train(
        spec,
        Files(*map(tuple, given)),
        work=args.work,
        out=args.out,
        start=args.initial,
        device=args.device,
        readers=args.readers,
    )


if __name__ == "__main__":
    run(main)
