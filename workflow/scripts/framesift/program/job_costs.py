"""What jobs cost: the benchmark files that Snakemake writes."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path


def benchmark_of(file: str | Path, benchmarks: str | Path = "benchmarks") -> Path:
    """The benchmark file of the job that made a result, or wrote a log.

    Examples
    --------
    >>> benchmark_of("results/selections/demo/uniform-8.json").as_posix()
    'benchmarks/selections/demo/uniform-8.tsv'
    """
    return Path(benchmarks, *Path(file).parts[1:]).with_suffix(".tsv")


def read_costs(benchmark: Path) -> dict[str, float]:
    """The cost of a job's last run.

    Parameters
    ----------
    benchmark : Path
        Its benchmark file.

    Returns
    -------
    dict of float
        By Snakemake's names, among them ``s`` (wall seconds), ``cpu_time`` (CPU seconds) and ``max_rss`` (MiB).
        Without a name if Snakemake could not measure it, as for very short jobs; empty without a benchmark file.
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
