"""Measure how often the interval of a difference holds the truth, for few videos and few changed answers.

A video's questions share one outcome with a given chance, so they are clustered; the rest are independent. A sample in
which answers changed in too few videos has no interval, and counts only in the column "given".

Example:
  PYTHONPATH=workflow/scripts python tools/simulate_intervals.py --samples 4000
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter

import numpy as np

from framesift.tables.statistics import ENOUGH_VIDEOS, difference_interval

VIDEOS = (10, 15, 20, 30, 100)
#: Questions of the videos, drawn for each: equally many, or mostly few and sometimes many.
QUESTIONS = {"3": ([3], [1.0]), "8": ([8], [1.0]), "1 to 9": ([1, 3, 5, 9], [0.4, 0.3, 0.2, 0.1])}
#: Shares of questions gained and lost.
CHANGES = ((0.05, 0.02), (0.035, 0.035), (0.065, 0.005), (0.14, 0.06), (0.3, 0.1))
SHARED = (0.0, 0.3, 0.6)
#: Where intervals are given more rarely, the few that are belong to unusual samples.
USUAL = 0.2


def samples(rng, n_videos, questions, changes, shared):
    """One sample after another: the video of each question, and its difference."""
    gained, lost = changes
    chances = [lost, 1 - gained - lost, gained]
    while True:
        size = rng.choice(questions[0], p=questions[1], size=n_videos)
        video = np.repeat(np.arange(n_videos), size)
        common = rng.choice([-1, 0, 1], p=chances, size=n_videos)[video]
        own = rng.choice([-1, 0, 1], p=chances, size=len(video))
        yield [f"{one:03}" for one in video], np.where(rng.random(len(video)) < shared, common, own)


def coverage(rng, n, n_videos, questions, changes, shared):
    """Share of samples with an interval, and share of these intervals that hold the truth."""
    truth, given, held = changes[0] - changes[1], 0, 0
    for _, (videos, differences) in zip(range(n), samples(rng, n_videos, questions, changes, shared), strict=False):
        if interval := difference_interval(videos, differences):
            given += 1
            held += interval.low <= truth <= interval.high
    return given / n, held / given if given else float("nan")


def main() -> None:
    options = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    options.add_argument("--samples", type=int, default=4000, metavar="N", help="samples of each setting")
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    print(f"Interval given with at least {ENOUGH_VIDEOS} effective videos with a changed answer.\n")
    print("| videos | questions a video | answers changed | settings | given | coverage: mean | lowest | highest |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    rare = 0.0
    for n_videos in VIDEOS:
        for name, questions in QUESTIONS.items():
            for changed in sorted({round(sum(one), 3) for one in CHANGES}):
                rng = np.random.default_rng([args.seed, n_videos, round(1000 * changed)])
                found = np.array(
                    [
                        coverage(rng, args.samples, n_videos, questions, changes, shared)
                        for changes in CHANGES
                        if round(sum(changes), 3) == changed
                        for shared in SHARED
                    ]
                )
                few = found[(found[:, 0] > 0) & (found[:, 0] < USUAL)]
                rare = max(rare, *(few[:, 0] * (1 - few[:, 1])), 0.0)
                usual = found[found[:, 0] >= USUAL]
                summaries = (np.mean, np.min, np.max) if len(usual) else ()
                held = [f"{100 * summary(usual[:, 1]):.1f}" for summary in summaries] or ["-"] * 3
                given = f"{100 * found[:, 0].min():.0f} to {100 * found[:, 0].max():.0f} %"
                row = [n_videos, name, f"{100 * changed:.0f} %", f"{len(usual)} of {len(found)}", given, *held]
                print(f"| {' | '.join(map(str, row))} |", flush=True)
    print(
        f"\nSettings with an interval in fewer than {100 * USUAL:.0f} % of the samples are left out; there, intervals"
        f" that miss the truth are at most {100 * rare:.1f} % of all samples."
    )


if __name__ == "__main__":
    main()
