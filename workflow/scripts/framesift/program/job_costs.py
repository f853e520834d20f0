"""What jobs took: Snakemake writes a benchmark file for each."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path


def benchmark_of(file: str | Path, benchmarks: str | Path = "benchmarks") -> Path:
    """The benchmark file of the job that made a result, or wrote a log.

    >>> benchmark_of("results/selections/demo/uniform-8.json").as_posix()
    'benchmarks/selections/demo/uniform-8.tsv'
    """
    return Path(benchmarks, *Path(file).parts[1:]).with_suffix(".tsv")


def read_costs(benchmark: Path) -> dict[str, float]:
    """What a job took when it ran last, by Snakemake's names.

    Among them are ``s`` (wall seconds), ``cpu_time`` (CPU seconds) and ``max_rss`` (MiB). Only what is known is there:
    of a job shorter than a moment Snakemake measures nothing, and of one without a benchmark file there is nothing.
    """
    try:
        with open(benchmark, newline="", encoding="utf-8") as file:
            runs = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    costs: dict[str, float] = {}
    for name, value in runs[-1].items() if runs else ():
        with suppress(TypeError, ValueError):  # "NA", a time as text, or a line that was cut
            costs[name] = float(value)
    return costs
