"""The time of the jobs that made some files, and whether they ran on a GPU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from framesift.program.job_costs import benchmark_of, read_costs
from framesift.scoring.score_table import computed_on
from framesift.storage.files import read_json


def job_seconds(files: Sequence[str], benchmarks: str | Path | None) -> float | None:
    """Total wall seconds of the jobs that made `files`; None if one of them is unknown.

    The workflow writes the benchmark of ``results/X.json`` to ``benchmarks/X.tsv``. It describes the last run of the
    job, in which work found in a cache took no time.

    Parameters
    ----------
    files : sequence of str
        Below the folder of results; ``X/*-of-8.parquet`` stands for all eight.
    benchmarks : path or None
        The folder ``benchmarks``.
    """
    if benchmarks is None or not files:
        return None
    taken = [read_costs(benchmark_of(file, benchmarks)).get("s") for file in _each(files)]
    return sum(seconds for seconds in taken if seconds is not None) if None not in taken else None


def on_gpu(files: Sequence[str]) -> bool:
    """Whether files of scores or summaries of labels record a GPU as their device; embeddings record none."""
    devices = {".parquet": computed_on, ".json": lambda file: read_json(file)["device"]}
    there = [file for file in map(Path, _each(files)) if file.suffix in devices and file.is_file()]
    return any(is_gpu(devices[file.suffix](file)) for file in there)


def _each(files: Sequence[str]) -> list[str]:
    """The files, with every part of those that stand for several.

    Examples
    --------
    >>> _each(["a/*-of-2.json", "b.json"])
    ['a/1-of-2.json', 'a/2-of-2.json', 'b.json']
    """
    found = []
    for file in files:
        several = re.search(r"/\*-of-(\d+)", file)
        parts = range(1, int(several[1]) + 1) if several else ["*"]
        found += [file.replace("*", str(part)) for part in parts]
    return found


def is_gpu(device: str) -> bool:
    """Whether the device that a result names is a GPU.

    Examples
    --------
    >>> is_gpu("NVIDIA H100"), is_gpu("cpu")
    (True, False)
    """
    return device not in ("", "cpu", "server")
