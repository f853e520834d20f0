"""Train one of the demo's tiny models until it reaches its validation target."""

import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

from framesift.demo.config import DemoTraining, ModelName, SelectorStart
from framesift.program.cli import parser, run


def main() -> None:
    options = parser(__doc__, spec="how to train")
    options.add_argument("--model", required=True, choices=get_args(ModelName))
    options.add_argument("--out", required=True, type=Path, metavar="DIR")
    args = options.parse_args()

    from demo_models.training import TargetNotReached

    train = getattr(import_module(f"demo_models.train_{args.model}"), f"train_{args.model}")
    try:
        train((SelectorStart if args.model == "selector_start" else DemoTraining)(**args.spec), args.out)
    except TargetNotReached as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run(main)
