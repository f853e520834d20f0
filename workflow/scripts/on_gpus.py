"""Run a command with some GPUs of this machine to itself.

It waits until they are free. On a machine without nvidia-smi the command just runs.

Example:
  framesift on-gpus 2 torchrun --nproc-per-node=2 train.py
"""

import argparse

from framesift.checkpoints import gpu_lease as gpus
from framesift.core.errors import InputError
from framesift.program.cli import parser, run


def main() -> None:
    options = parser(__doc__)
    options.add_argument("count", type=int, help="how many GPUs, all at once")
    options.add_argument("command", nargs=argparse.REMAINDER, help="what to run, with its options")
    args = options.parse_args()
    if args.count < 1 or not args.command:
        options.error("expected a number of GPUs and a command")
    gpus.lease(args.count)
    try:
        gpus.become(args.command)
    except FileNotFoundError:
        raise InputError("there is no such program", value=args.command[0]) from None
    except OSError as error:
        raise InputError(f"cannot be run ({error.strerror})", value=args.command[0]) from None


if __name__ == "__main__":
    run(main)
