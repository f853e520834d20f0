"""Break Framesift in every way that clusters and disks know, run it again, and compare (docs/survival.md).

`make chaos` runs all of it. By hand, with PYTHONPATH=workflow/scripts:tests/support:
  python tests/chaos/run.py --seed 7 --kills 40
  python tests/chaos/run.py --only disk --kills 0
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from random import Random

from faults import Unable, all_faults
from kills import KillLoop
from world import World


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=0, help="chooses what is broken, where and when (default: 0)")
    options.add_argument("--kills", type=int, default=36, help="how often something is killed (default: 36)")
    options.add_argument("--only", default="", metavar="WORD", help="only the faults whose name holds it")
    args = options.parse_args()

    started = time.monotonic()
    skipped = {}
    with tempfile.TemporaryDirectory(prefix="framesift-chaos-") as folder:
        world = World(Path(folder).resolve() / "project")
        loop = KillLoop(world, Random(args.seed))
        print("a world of two videos, and its undisturbed table", flush=True)
        for number, fault in enumerate(all_faults()):
            if args.only not in fault.kind:
                continue
            begun = time.monotonic()
            try:
                fault.meet(world, Random(f"{args.seed} {number}"))
            except Unable as reason:
                skipped[fault.kind] = str(reason)
            print(f"{time.monotonic() - begun:6.1f} s  {fault.kind}", flush=True)
        if args.kills:
            begun = time.monotonic()
            loop.forget_everything()
            loop.until(args.kills, *loop.kills)
            print(f"{time.monotonic() - begun:6.1f} s  kill -9", flush=True)

    runs, redone = world.counts.pop("runs"), world.counts.pop("redone", 0)
    twice = world.counts.pop("questions in flight twice", 0)
    print(f"\nseed {args.seed}, {(time.monotonic() - started) / 60:.1f} minutes")
    for kind, count in world.counts.items():
        print(f"{count:4d}  {kind}")
    for kind, count in loop.kills.items():
        print(f"{count:4d}  kill -9: {kind}")
    for kind, reason in skipped.items():
        print(f"   -  {kind}: skipped, {reason}")
    print(f"{sum(world.counts.values()):4d}  faults and {sum(loop.kills.values())} kills in {runs} runs;")
    print(f"{redone:4d}  finished videos or answers were redone; every table was the undisturbed one, byte for byte;")
    print(f"{twice:4d}  questions that two runs had in hand at the same moment were asked by both")


if __name__ == "__main__":
    main()
