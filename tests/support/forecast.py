"""Which jobs an edit would make run again, foretold from Snakemake's own graphs of jobs before and after it.

A dry run takes seconds; this takes tenths, since Snakemake is loaded once and nothing need have been run. It applies
Snakemake's triggers to two graphs: a job runs again if its files have other names, its parameters or its set of inputs
changed, a file that it was given is newer or another, or a job before it runs. `test_reruns.py` holds it against dry
runs.
"""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from framesift.core import code_digest as code
from framesift.provenance import snakemake_dag as today
from project import Project


@dataclass(frozen=True)
class Job:
    """What Snakemake compares of one job; `given` are input files that no job makes, with date and size."""

    rule: str
    output: tuple[str, ...]
    params: tuple[str, ...]
    inputs: frozenset[str]
    waits_for: frozenset[str]
    given: tuple[tuple[str, int, int], ...]


def graph(project: Project, targets: Iterable[str], checkout: Path | None = None) -> list[Job]:
    """The jobs behind `targets`, those after others last; by the workflow in another folder than the project's own."""
    with _planned(project, targets, checkout or project.folder) as workflow:
        made = {str(file) for job in workflow.dag.jobs for file in job.output}
        return [_job(workflow, job, made) for level in workflow.dag.toposorted() for job in level if job.output]


def rules(project: Project) -> set[str]:
    """Names of all rules of the Snakefile."""
    with _planned(project, (), project.folder) as workflow:
        return {rule.name for rule in workflow.rules}


def reruns(done: Iterable[Job], wanted: Iterable[Job]) -> Counter[str]:
    """How many jobs of each rule run for `wanted`, where those of `done` were run to their end.

    Of two that are done and make the same files, the later one counts.
    """
    last = {job.output: job for job in done}
    remade: set[str] = set()
    counts: Counter[str] = Counter()
    for job in wanted:
        if last.get(job.output) != job or job.waits_for & remade:
            remade.update(job.output)
            counts[job.rule] += 1
    return counts


@contextmanager
def _planned(project: Project, targets: Iterable[str], checkout: Path) -> Iterator[Any]:
    """Snakemake's graph in this process, with the code of the project instead of that under test."""
    config = project.folder / "test.yaml"
    config.write_text(yaml.safe_dump(project.config))
    kept, path = code.SCRIPTS, list(sys.path)
    code.SCRIPTS = checkout / "workflow" / "scripts"
    try:
        planned = today._plan(sorted(targets), project.folder, [config])
        with patch("snakemake.workflow.parse", _parse()), planned as workflow:
            yield workflow
    finally:
        code.SCRIPTS, sys.path[:] = kept, path


@functools.cache
def _parse() -> Callable[..., tuple[str, int]]:
    """Snakemake's parser of rules, which takes a third of the time of a graph, once for each file and content."""
    import snakemake.api  # noqa: F401 - first, since its modules import one another
    from snakemake.parser import parse

    known: dict[tuple[str, bytes, int], tuple[str, int, dict[int, int]]] = {}

    def parse_once(file, workflow, linemap, overwrite_shellcmd=None, rulecount=0):
        name = file.get_path_or_uri(secret_free=True)
        key = (name, Path(name).read_bytes(), rulecount)
        if key not in known:
            lines: dict[int, int] = {}
            known[key] = (*parse(file, workflow, lines, overwrite_shellcmd, rulecount), lines)
        code, count, lines = known[key]
        linemap.update(lines)
        return code, count

    return parse_once


def _job(workflow, job, made: set[str]) -> Job:
    inputs = {str(file): file for file in job.input}
    given = []
    for name in sorted(inputs.keys() - made):
        if os.path.exists(name) and not inputs[name].is_ancient:
            stat = os.stat(name)
            given.append((name, stat.st_mtime_ns, stat.st_size))
    return Job(
        rule=job.rule.name,
        output=tuple(map(str, job.output)),
        params=tuple(workflow.persistence._params(job)),
        inputs=frozenset(inputs),
        waits_for=frozenset(name for name, file in inputs.items() if name in made and not file.is_ancient),
        given=tuple(given),
    )
