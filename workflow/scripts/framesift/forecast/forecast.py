"""The forecast of a run: jobs with their reasons, what is cached, GPU-hours, CPU-hours and disk.

A number is either counted (jobs, questions, frames, cached videos and answers) or scaled from measurements of earlier
jobs (`framesift.forecast.rates`). Without a measurement there is no number.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from framesift.config.plan import Plan
from framesift.core.spec import canonical_json
from framesift.forecast.cached import cached_answers, cached_videos
from framesift.forecast.datasets import DatasetState, DatasetStates
from framesift.forecast.rates import UNITS, Cost, Rates, model_of
from framesift.provenance.explain import causes
from framesift.provenance.snakemake_dag import PlannedJob, planned

#: Sentences of `causes` that name one file each; for many jobs one sentence is enough.
_SHORT = (
    (re.compile(r".* is needed and was never made"), "never made"),
    (re.compile(r"results/.* is no longer there"), "no longer there"),
)


@dataclass(frozen=True)
class Step:
    """The jobs of one rule that would run; those of one model, or of one kind of selector, form a step of their own.

    Attributes
    ----------
    rule : str
    what : str
        The scorer, encoder, answerer or selector by its name in the configuration; empty for other rules.
    jobs : int
    reasons : dict
        Sentences, with how many files each is about; empty if the jobs run only because their input is remade.
    gpu : bool
        Whether its jobs take a GPU.
    work : dict
        Units of work left, by unit; None if the number is unknown until earlier jobs ran.
    kept : dict
        Units that caches already hold.
    cost : Cost
    """

    rule: str
    what: str
    jobs: int
    reasons: dict[str, int]
    gpu: bool
    work: dict[str, float | None]
    kept: dict[str, int]
    cost: Cost


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes
    ----------
    targets : list of str
    steps : list of Step
        In the order in which their last jobs can run.
    finished : dict
        Jobs with nothing to do, by rule.
    data : dict
        Questions, videos and hours of video by dataset; None for what is not known yet.
    free_gb : float
        Free space on the disk of the results, in gigabytes.
    """

    targets: list[str]
    steps: list[Step]
    finished: dict[str, int]
    data: dict[str, dict[str, float | None]]
    free_gb: float
    notes: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def forecast(targets: Sequence[str], root: Path, configfiles: Sequence[Path] = ()) -> Forecast:
    """Forecast what making some files takes; nothing runs.

    Parameters
    ----------
    targets : sequence of str
        Paths relative to `root`.
    root : path
        Folder of the project; it must be the working folder, to which paths in a configuration are relative.
    configfiles : sequence of path
        As for Snakemake's ``--configfile``.

    Raises
    ------
    InputError
        If the configuration is wrong.
    NotAsked, NoRule
        As `framesift.provenance.snakemake_dag.jobs_for`.
    """
    jobs, plan = planned(targets, root, configfiles)
    running = [job for job in jobs if job.runs]
    datasets = DatasetStates(plan)
    groups: dict[tuple[str, str], list[PlannedJob]] = {}
    for job in _in_order(running):
        key = (job.rule, _what(job, plan))
        groups[key] = [*groups.pop(key, []), job]  # a step stands where its last job can run
    why = causes(targets, groups, jobs, root)
    rates = Rates(Path(), datasets)
    steps = []
    counted: set[tuple[str, str]] = set()
    for (rule, what), of in groups.items():
        work, cached = _work(of, plan, datasets)
        if "frames" in work:
            # one pass over a frame gives both the scores and the embeddings of a model
            once = (datasets.name_of(of[0]), canonical_json(model_of(of[0], plan).spec()))
            work = dict.fromkeys(work, 0.0) if once in counted else work
            counted.add(once)
        reasons: Counter[str] = Counter()
        for cause in why[rule, what]:
            reasons[_short(cause.text)] += len(cause.files)
        cost = rates.cost(of[0], plan, work)
        steps.append(Step(rule, what, len(of), dict(reasons), any(job.gpu for job in of), work, cached, cost))
    return Forecast(
        targets=list(targets),
        steps=steps,
        finished=dict(sorted(Counter(job.rule for job in jobs if not job.runs).items())),
        data={name: datasets[name].plain() for name in sorted({datasets.name_of(job) for job in jobs} - {""})},
        free_gb=round(shutil.disk_usage(root).free / 1e9, 1),
        notes=rates.notes,
    )


def _in_order(jobs: Iterable[PlannedJob]) -> list[PlannedJob]:
    """Jobs after those that make their input; jobs of the same depth in the order of their files."""
    jobs = sorted(jobs, key=lambda job: job.output)
    makes = {file: job for job in jobs for file in job.output}
    depth: dict[tuple[str, ...], int] = {}

    def depth_of(job: PlannedJob) -> int:
        if job.output not in depth:
            before = [depth_of(makes[file]) for file in job.inputs if file in makes]
            depth[job.output] = 1 + max(before, default=0)
        return depth[job.output]

    return sorted(jobs, key=lambda job: (depth_of(job), job.rule))


def _what(job: PlannedJob, plan: Plan) -> str:
    """The name in the configuration of what a job runs."""
    wildcards = job.wildcards
    if "scorer" in wildcards:
        return _name(plan.config.scorers, plan.scorers[wildcards["scorer"]])
    if "encoder" in wildcards:
        known = {**plan.config.encoders, **plan.config.scorers}
        return _name(known, plan.encoders[wildcards["encoder"]])
    if "answerer" in wildcards:
        return _name(plan.config.answerers, plan.answerers[wildcards["answerer"]].answerer)
    if "selecting" in wildcards:
        return _name(plan.config.selectors, plan.selectings[wildcards["selecting"]].selector)
    return ""


def _name(configured: Any, component: Any) -> str:
    # of two names for the same, the one of the user's own file, which comes after those of config/config.yaml
    return next((name for name in reversed(configured) if configured[name] == component), component.kind)


def _short(text: str) -> str:
    return next((short for pattern, short in _SHORT if pattern.fullmatch(text)), text)


def _work(
    jobs: Sequence[PlannedJob], plan: Plan, datasets: DatasetStates
) -> tuple[dict[str, float | None], dict[str, int]]:
    """The units of work that the jobs of a step have left, and those that a cache already holds."""
    rule, dataset = jobs[0].rule, datasets[datasets.name_of(jobs[0])]
    if rule in ("score_frames", "embed_frames"):
        return _frames(jobs, plan, dataset)
    if rule == "evaluate":
        chunks = [(dataset.chunk(job), plan.selectings[job.wildcards["selecting"]].budget) for job in jobs]
        if any(count is None for count, _ in chunks):
            return {"questions": None, "frames shown": None}, {}
        questions = sum(count or 0 for count, _ in chunks)
        frames = sum((count or 0) * budget for count, budget in chunks)
        cached = min(cached_answers(plan, jobs), questions)
        left = 1 - cached / questions if questions else 0.0
        work: dict[str, float | None] = {"questions": questions - cached, "frames shown": frames * left}
        return work, {"answers": cached} if cached else {}
    if rule == "index_videos":
        return {"videos": dataset.n_videos, "hours": dataset.hours}, {}
    if UNITS.get(rule) == "answers":
        return {"answers": datasets.answers_of(jobs[0].wildcards["table"])}, {}
    return {"questions": len(jobs) * dataset.n_questions if dataset.n_questions is not None else None}, {}


def _frames(
    jobs: Sequence[PlannedJob], plan: Plan, dataset: DatasetState
) -> tuple[dict[str, float | None], dict[str, int]]:
    """Videos and frames that a scorer or an encoder has not processed yet."""
    if dataset.videos is None:
        return {"videos": dataset.n_videos, "hours": dataset.hours, "frames": None}, {}
    mine = dataset.of_shards(int(jobs[0].wildcards["n"]), {int(job.wildcards["shard"]) for job in jobs})
    known = cached_videos(plan, model_of(jobs[0], plan), mine)
    left = [video for video in mine if video.digest not in known]
    hours = sum(video.duration for video in left) / 3600
    work: dict[str, float | None] = {"videos": len(left), "hours": hours, "frames": sum(v.frames for v in left)}
    return work, {"videos": len(known)} if known else {}
