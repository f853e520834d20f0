"""Train one of the demo's tiny models until it reaches its validation target."""

import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

from framesift.cli import parser, run
from framesift.demo.config import DemoTraining, ModelName, SelectorStart


def main() -> None:
    options = parser(__doc__, spec="how to train")
    options.add_argument("--model", required=True, choices=get_args(ModelName))
    options.add_argument("--out", required=True, type=Path, metavar="DIR")
    args = options.parse_args()

    from framesift.demo.training import TargetNotReached

    train = getattr(import_module(f"framesift.demo.train_{args.model}"), f"train_{args.model}")
    try:
        train((SelectorStart if args.model == "selector_start" else DemoTraining)(**args.spec), args.out)
    except TargetNotReached as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run(main)
