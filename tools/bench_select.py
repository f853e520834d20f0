"""Measure what choosing frames costs: every selector on the candidates of a benchmark of VideoMME's size.

Scores are seeded curves with some peaks, embeddings unit vectors that drift with time; a video has three questions.
The first line is the whole of a job by hand: reading AKS's lists of all questions, AKS, writing. Single times on a
shared machine mean little; they are here to be held against the limits, which are generous.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from framesift.core.code_digest import SCRIPTS
from framesift.core.components import build
from framesift.selection.selectors import Candidates, choose, methods, question_rng

QUESTIONS = 2700
#: Seconds that the questions of a benchmark may take; log-determinants may take longer.
LIMIT, LONG_LIMIT = 60.0, 600.0
LONG = ("mdp3", "mdp3_global", "adard")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--candidates", type=int, default=2500)
    options.add_argument("--dimensions", type=int, default=512)
    options.add_argument("--budget", type=int, default=64)
    options.add_argument("--questions", type=int, default=30, help="measured of each method (default: 30)")
    options.add_argument("--methods", nargs="+", default=list(methods()))
    args = options.parse_args()

    print(f"by hand, AKS, {QUESTIONS} questions, files read and written: {by_hand(args):.1f} s (limit 10 s)")
    print(f"{'method':20} ms a question   s for {QUESTIONS} questions   limit")
    for method in args.methods:
        seconds = measured(method, args)
        limit = LONG_LIMIT if method in LONG else LIMIT
        mark = "" if seconds * QUESTIONS <= limit else "   too slow"
        print(f"{method:20} {1000 * seconds:13.1f} {QUESTIONS * seconds:20.1f} {limit:14.0f}{mark}", flush=True)


def curve(rng: np.random.Generator, n: int) -> np.ndarray:
    """Scores with noise and a few peaks."""
    seconds = np.arange(n)
    peaks = [rng.random() * np.exp(-(((seconds - rng.integers(n)) / rng.integers(3, 40)) ** 2)) for _ in range(5)]
    return 0.2 + 0.05 * rng.standard_normal(n) + 0.3 * np.sum(peaks, axis=0)


def measured(method: str, args: argparse.Namespace) -> float:
    """Mean seconds a question."""
    selector = build("selectors", {"kind": method})
    times = []
    for number in range(args.questions):
        rng = np.random.default_rng(number)
        if number % 3 == 0:
            drift = np.cumsum(rng.standard_normal((args.candidates, args.dimensions)), axis=0)
            frames = drift / np.linalg.norm(drift, axis=1, keepdims=True)
        query = rng.standard_normal(args.dimensions)
        candidates = Candidates(
            np.arange(args.candidates, dtype=float),
            curve(rng, args.candidates),
            frames if selector.needs_embeddings else np.empty(0),
            query / np.linalg.norm(query) if selector.needs_query else np.empty(0),
        )
        start = time.perf_counter()
        choose(selector, candidates, args.budget, question_rng(0, str(number)))
        times.append(time.perf_counter() - start)
    return statistics.fmean(times)


def by_hand(args: argparse.Namespace) -> float:
    """Seconds of select_frames.py on AKS's lists, from start to end of the process."""
    with tempfile.TemporaryDirectory() as folder:
        scores, frames = Path(folder) / "scores.json", Path(folder) / "frames.json"
        rng = np.random.default_rng(0)
        # VideoMME's candidates: 300 videos each of 80, 520 and 2,470 seconds, three questions a video
        lengths = [length for length in (80, 520, 2470) for _ in range(QUESTIONS // 3)]
        scores.write_text(json.dumps([curve(rng, length).tolist() for length in lengths]))
        frames.write_text(json.dumps([[30 * j for j in range(length)] for length in lengths]))
        command = [sys.executable, str(SCRIPTS / "select_frames.py"), "--method", "aks"]
        command += ["--scores", scores, "--frames", frames, "--budget", str(args.budget), "--out", f"{folder}/out.json"]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
