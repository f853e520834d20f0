"""What Snakemake would do today: the jobs behind a file, with their parameters and reasons, from its own plan.

This asks the installed Snakemake for the graph of jobs that a dry run builds; nothing is run and nothing is written
to results. Only here does the library touch Snakemake, and only programs that a user runs by hand import it.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framesift.config.plan import Plan
from framesift.core import code_digest
from framesift.core.errors import InputError


@dataclass(frozen=True)
class PlannedJob:
    """One job of today's plan.

    Attributes
    ----------
    rule : str
    output, inputs : tuple of str
    params : dict
        Parameters by name; those that are text.
    environment : str
        Text of the rule's environment file.
    runs : bool
        It would be run now.
    missing, updated, remade : tuple of str
        Why: output that is not there; input that is newer, and differs; input that another job makes first.
    inputs_differ : bool
        Another set of input files than last time.
    stale : tuple of str
        Parameters that were other ones last time.
    template : bool
        The command in the rule was edited.
    environment_differs : bool
        Another environment than last time.
    wildcards : dict
    benchmark : str
        Where what it costs is written; empty where that is not.
    gpu : bool
        It takes a GPU.
    """

    rule: str
    output: tuple[str, ...]
    inputs: tuple[str, ...]
    params: dict[str, str] = field(default_factory=dict)
    environment: str = ""
    runs: bool = False
    missing: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    remade: tuple[str, ...] = ()
    inputs_differ: bool = False
    stale: tuple[str, ...] = ()
    template: bool = False
    environment_differs: bool = False
    wildcards: dict[str, str] = field(default_factory=dict)
    benchmark: str = ""
    gpu: bool = False


class NotAsked(Exception):
    """A rule makes such files, but nothing that is configured today asks for this one."""


class NoRule(Exception):
    """No rule makes such a file."""


def jobs_for(targets: Sequence[str], root: Path, configfiles: Sequence[Path] = ()) -> list[PlannedJob]:
    """The jobs behind files, those included that have nothing to do.

    Parameters
    ----------
    targets : sequence of str
        Paths relative to `root`.
    root : path
        Folder of the project.
    configfiles : sequence of path
        As for Snakemake's ``--configfile``.

    Raises
    ------
    NotAsked, NoRule
        See there.
    InputError
        Where the configuration cannot be used.
    """
    return planned(targets, root, configfiles)[0]


def planned(targets: Sequence[str], root: Path, configfiles: Sequence[Path] = ()) -> tuple[list[PlannedJob], Plan]:
    """As `jobs_for`, with the plan that the rules took everything from."""
    with _plan(targets, root, configfiles) as workflow:
        dag = workflow.dag
        return [_job(dag, job) for job in dag.jobs if job.output], workflow.globals["plan"]


def tables_of(dataset: str | None, root: Path, configfiles: Sequence[Path] = ()) -> list[str]:
    """The configured tables of a dataset (or all at hand) as targets."""
    with _plan((), root, configfiles, build=False) as workflow:
        plan = workflow.globals["plan"]
        names = [name for name in plan.tables_at_hand() if dataset in (None, plan.table(name).dataset)]
        return [f"results/tables/{name}.csv" for name in names]


@contextmanager
def _plan(targets: Sequence[str], root: Path, configfiles: Sequence[Path], build: bool = True) -> Iterator[Any]:
    from snakemake.api import SnakemakeApi  # type: ignore[import-untyped]
    from snakemake.exceptions import InputFunctionException, MissingRuleException, WorkflowError  # type: ignore[import-untyped]
    from snakemake.settings.enums import Quietness  # type: ignore[import-untyped]
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings  # type: ignore[import-untyped]

    before = Path.cwd()
    os.chdir(root)  # paths in rules are relative to it
    logging.disable(logging.WARNING)
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            flow = api.workflow(
                snakefile=_snakefile(root),
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[path.absolute() for path in configfiles]),
            )
            dag = flow.dag(DAGSettings(targets=set(targets)))
            with redirect_stdout(io.StringIO()):  # both print, which is not needed here
                if build:
                    dag.summary()  # builds the graph of jobs
                else:
                    flow.list_rules()  # reads the rules
            yield flow._workflow
    except InputFunctionException as error:
        # an id, a dataset or a table that is not configured
        if "KeyError" in str(error) or "there is no table of this name" in str(error):
            raise NotAsked from None
        raise InputError(f"today's workflow cannot be planned\n{error}") from None
    except MissingRuleException:
        raise NoRule from None
    except WorkflowError as error:
        raise InputError(f"today's workflow cannot be planned\n{error}") from None
    finally:
        logging.disable(logging.NOTSET)
        os.chdir(before)


def _snakefile(root: Path) -> Path:
    """The Snakefile of the checkout that the library is in: the working folder need not hold one."""
    found = [file for file in (code_digest.SCRIPTS.parents[1] / "Snakefile", root / "Snakefile") if file.is_file()]
    if not found:
        raise InputError(
            "there is no Snakefile", file=root, hint="run this from a checkout of Framesift, or with its programs"
        )
    return found[0].absolute()


def _job(dag: Any, job: Any) -> PlannedJob:
    reason = dag.reason(job)
    environment = ""
    if job.conda_env is not None and getattr(job.conda_env, "is_file_based", True):
        environment = job.conda_env.content.decode(errors="replace")
    return PlannedJob(
        rule=job.rule.name,
        output=tuple(map(str, job.output)),
        inputs=tuple(sorted(map(str, job.input))),
        params={name: value for name, value in job.params.items() if isinstance(value, str)},
        environment=environment,
        runs=dag.needrun(job),
        missing=tuple(sorted(map(str, reason.missing_output))),
        updated=tuple(sorted(map(str, reason.updated_input))),
        remade=tuple(sorted(map(str, reason.updated_input_run))),
        inputs_differ=bool(reason.input_changed),
        stale=tuple(sorted(map(str, getattr(reason.params_changed, "only_old", ())))),
        template=bool(reason.code_changed),
        environment_differs=bool(reason.software_stack_changed),
        wildcards=dict(job.wildcards_dict),
        benchmark=str(job.benchmark or ""),
        gpu=bool(job.resources.get("gpu", 0)),
    )
