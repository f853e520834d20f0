"""What a unit of work costs, measured on earlier jobs.

Snakemake writes the wall and CPU seconds of each job to ``benchmarks/``; answers record how long the model took and on
which device; results and caches have sizes. A job that finds its work in a cache takes no time for it. So seconds are
divided by the work that was really done in them: the frames of the videos that entered the cache while a scoring job
ran. Answers cost at least the time that the model itself recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from framesift.config.plan import Plan
from framesift.core.errors import InputError
from framesift.core.spec import canonical_json
from framesift.forecast.datasets import DatasetStates, read_known
from framesift.program.job_costs import benchmark_of, read_costs
from framesift.provenance.lineage import says_of_itself
from framesift.provenance.snakemake_dag import PlannedJob
from framesift.scoring.encoders import Encoder
from framesift.scoring.score_table import computed_on
from framesift.scoring.scorers import ScoreSource
from framesift.storage.files import read_json
from framesift.tables.timings import is_gpu

#: Seconds by which the dates of files may differ from what a benchmark says.
SLACK = 1.0
#: What the work of a rule is counted in, for rules besides scoring and answering that take more than seconds.
#: A table has as many answers as rows times questions.
UNITS = {
    "index_videos": "videos",
    "select_frames": "questions",
    "measure_selections": "questions",
    **dict.fromkeys(("judge_answers", "make_table", "make_figures", "make_report"), "answers"),
}


@dataclass(frozen=True)
class Estimate:
    """An amount, and the number of measurements that it is scaled from."""

    amount: float
    measurements: int


@dataclass(frozen=True)
class Cost:
    """GPU-hours (of jobs that take a GPU), CPU-hours and gigabytes; None for what was never measured."""

    gpu_hours: Estimate | None = None
    cpu_hours: Estimate | None = None
    gigabytes: Estimate | None = None
    scaled_by: str = ""


@dataclass
class Rate:
    """Sums over measurements."""

    seconds: float = 0.0
    cpu: float = 0.0
    size: float = 0.0
    units: float = 0.0
    sized: float = 0.0
    jobs: int = 0
    files: int = 0
    devices: set[str] = field(default_factory=set)

    @property
    def on_gpu(self) -> bool:
        return any(map(is_gpu, self.devices))

    def took(self, seconds: float, cpu: float, jobs: int = 1) -> None:
        self.seconds, self.cpu, self.jobs = self.seconds + seconds, self.cpu + cpu, self.jobs + jobs

    def wrote(self, size: int, units: int, files: int = 1) -> None:
        self.size, self.sized, self.files = self.size + size, self.sized + units, self.files + files


class Rates:
    """The measurements of a project.

    Parameters
    ----------
    root : path
        Folder of the project.
    datasets : DatasetStates
        They say how much work a finished job did.
    """

    def __init__(self, root: Path, datasets: DatasetStates) -> None:
        self.root, self.datasets = root, datasets
        self.notes: list[str] = []

    def cost(self, job: PlannedJob, plan: Plan, work: Mapping[str, float | None]) -> Cost:
        """What an amount of work costs in jobs like `job`."""
        if job.rule in ("score_frames", "embed_frames"):
            return self._scaled(job, self.seen.get(canonical_json(model_of(job, plan).spec())), "frames", work)
        if job.rule == "evaluate":
            spec = plan.answerers[job.wildcards["answerer"]].answerer.spec()
            return self._scaled(job, self.answered.get(canonical_json(spec)), "frames shown", work)
        unit = UNITS.get(job.rule)
        if unit is None:
            return Cost()
        return self._scaled(job, self._of_rule(job, unit), unit, work)

    def _scaled(self, job: PlannedJob, rate: Rate | None, unit: str, work: Mapping[str, float | None]) -> Cost:
        amount = work.get(unit)
        if rate is None or amount is None:
            return Cost(scaled_by=unit)
        timed = bool(rate.units and rate.jobs)
        if job.gpu and timed and not rate.on_gpu:
            self.notes.append(f"{job.rule}: measured on a CPU only, so its CPU-hours are those of the model on a CPU")
        gpu = job.gpu and timed and rate.on_gpu
        return Cost(
            Estimate(amount * rate.seconds / rate.units / 3600, rate.jobs) if gpu else None,
            Estimate(amount * rate.cpu / rate.units / 3600, rate.jobs) if timed else None,
            Estimate(amount * rate.size / rate.sized / 1e9, rate.files) if rate.sized else None,
            unit,
        )

    # Scoring

    @cached_property
    def seen(self) -> dict[str, Rate]:
        """Rates per frame, by the spec of a scorer or encoder.

        One decode pass serves several models; they share its time by the number of frames that each cached meanwhile.
        """
        spans = sorted(self._spans(), key=lambda span: span[0])
        frames = self._frames_by_digest
        rates: dict[str, Rate] = {}
        cached: list[tuple[float, str, int]] = []
        for folder in sorted((self.root / "results/cache/scores").glob("*")):
            files = [file for file in folder.rglob("*.safetensors") if file.stem in frames]
            whose = canonical_json(says_of_itself(files[0]).get("scorer", "")) if files else ""
            for file in files:
                stat, count = file.stat(), frames[file.stem]
                rates.setdefault(whose, Rate()).wrote(stat.st_size, count)
                cached.append((stat.st_mtime, whose, count))
        for start, end, seconds, cpu, jobs, devices in _merged(spans):
            mine: dict[str, int] = defaultdict(int)
            for moment, whose, count in cached:
                if start <= moment <= end:
                    mine[whose] += count
            for whose, count in mine.items():
                rate, share = rates[whose], count / sum(mine.values())
                rate.took(seconds * share, cpu * share, jobs)
                rate.units, rate.devices = rate.units + count, rate.devices | devices
        return rates

    def _spans(self) -> Iterator[tuple[float, float, float, float, int, set[str]]]:
        """Start, end, wall and CPU seconds of each job that scores or embeds, and its device."""
        for kind, suffix in (("scores", ".parquet"), ("embeddings", ".safetensors")):
            for file in sorted((self.root / "benchmarks" / kind).glob("*/*/*.tsv")):
                if times := _times(file):
                    end = file.stat().st_mtime + SLACK
                    result = self.root / "results" / file.relative_to(self.root / "benchmarks").with_suffix(suffix)
                    device = {computed_on(result)} if suffix == ".parquet" and result.is_file() else set()
                    yield end - times[0] - 2 * SLACK, end, *times, 1, device

    @cached_property
    def _frames_by_digest(self) -> dict[str, int]:
        tables = sorted((self.root / "results/videos").glob("*.parquet"))
        return {one.digest: one.frames for table in tables for one in read_known(table) or ()}

    # Answering

    @cached_property
    def answered(self) -> dict[str, Rate]:
        """Rates per frame given to the model, by the spec of an answerer."""
        rates: dict[str, Rate] = {}
        model: dict[str, float] = defaultdict(float)
        seen: set[str] = set()
        for file in sorted((self.root / "results/answers").glob("*/*/*/*.json")):
            try:
                content = read_json(file)
                whose = canonical_json(content["made_by"]["spec"]["answerer"])
                answers = [one for one in content["questions"].values() if one["key"] and one["key"] not in seen]
            except (InputError, KeyError, TypeError, AttributeError):
                continue
            rate = rates.setdefault(whose, Rate())
            seen |= {one["key"] for one in answers}
            frames = sum(len(one["frames_given"]) for one in answers)
            model[whose] += sum(one["seconds"] for one in answers)
            rate.devices |= {one.get("device", "") for one in answers}
            rate.wrote(file.stat().st_size, frames)
            rate.units += frames
            if times := _times(self.root / benchmark_of(file.relative_to(self.root))):
                rate.took(*times)
        for whose, rate in rates.items():
            if 0 < rate.seconds < model[whose]:  # jobs that ran again and found their answers in the cache
                rate.cpu, rate.seconds = rate.cpu * model[whose] / rate.seconds, model[whose]
        return rates

    # Other rules

    def _of_rule(self, job: PlannedJob, unit: str) -> Rate:
        """Rates of a rule over all datasets; for selections, of one kind of selector."""
        folder = Path(job.benchmark).parts[1]
        kind = Path(job.output[0]).name.split("-")[0] if folder == "selections" else ""
        rate = Rate()
        for file in sorted((self.root / "benchmarks" / folder).rglob("*.tsv")):
            parts = file.relative_to(self.root / "benchmarks" / folder).with_suffix("").parts
            if len(parts) != len(Path(job.benchmark).parts) - 2 or (kind and not parts[-1].startswith(f"{kind}-")):
                continue
            units = self._units(parts, unit)
            times = _times(file)
            if not units or times is None:
                continue
            rate.took(*times)
            rate.units += units
            # the output of a job has the name of its benchmark
            place = self.root / "results" / folder / Path(*parts)
            written = [one for one in place.parent.glob(f"{place.name}*") if one.is_file()]
            rate.wrote(sum(one.stat().st_size for one in written), units if written else 0, len(written))
        return rate

    def _units(self, parts: tuple[str, ...], unit: str) -> int | None:
        """Units of work behind a finished file: its path names a dataset or a table."""
        if unit == "answers":
            return self.datasets.answers_of(parts[0])
        names = (parts[0], parts[0].rsplit("-", 1)[0], parts[0].rsplit("-", 2)[0], self.datasets.of_table(parts[0]))
        for name in names:
            dataset: Any = self.datasets[name]
            if amount := dataset.n_videos if unit == "videos" else dataset.n_questions:
                return int(amount)
        return None


def model_of(job: PlannedJob, plan: Plan) -> ScoreSource | Encoder:
    """The scorer or the encoder of a job."""
    ids = job.wildcards
    return plan.scorers[ids["scorer"]] if "scorer" in ids else plan.encoders[ids["encoder"]]


def _times(benchmark: Path) -> tuple[float, float] | None:
    """Wall and CPU seconds of a job; None if the benchmark is missing or damaged."""
    costs = read_costs(benchmark)
    return (costs["s"], costs["cpu_time"]) if {"s", "cpu_time"} <= costs.keys() else None


def _merged(spans: list[Any]) -> Iterator[tuple[float, float, float, float, int, set[str]]]:
    """Merge spans that overlap: which of two parallel jobs cached a video is unknown."""
    current: list[Any] = []
    for start, end, seconds, cpu, jobs, devices in spans:
        if current and start <= current[1]:
            current[1] = max(current[1], end)
            current[2:5] = current[2] + seconds, current[3] + cpu, current[4] + jobs
            current[5] |= devices
        else:
            if current:
                yield tuple(current)
            current = [start, end, seconds, cpu, jobs, set(devices)]
    if current:
        yield tuple(current)
