"""Train one of the demo's tiny models and write it as a checkpoint that plain from_pretrained loads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="training spec: JSON, or @ and the path of a JSON file")
    parser.add_argument("--model", required=True, choices=("clip", "blip", "vlm"), help="which model to train")
    parser.add_argument("--out", required=True, type=Path, help="folder of the checkpoint")
    arguments = parser.parse_args()

    from importlib import import_module

    from framesift.demo.config import DemoTraining, read_spec
    from framesift.demo.training import TargetNotReached

    spec = read_spec(DemoTraining, arguments.spec)
    module = import_module(f"framesift.demo.train_{arguments.model}")
    try:
        reached = getattr(module, f"train_{arguments.model}")(spec, arguments.out)
    except TargetNotReached as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {reached}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
