"""What the caches hold: videos that a model has processed, and answers."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from framesift.answering.asker import journal_folder
from framesift.config.plan import Plan
from framesift.core.errors import InputError
from framesift.forecast.datasets import KnownVideo
from framesift.provenance.snakemake_dag import PlannedJob
from framesift.scoring.cache import VideoCache
from framesift.scoring.encoders import Encoder
from framesift.scoring.scorers import ScoreSource
from framesift.storage.files import read_json
from framesift.storage.journal import parse_line

SCORES, ANSWERS = Path("results/cache/scores"), Path("results/cache/answers")


def cached_videos(plan: Plan, model: ScoreSource | Encoder, videos: Iterable[KnownVideo]) -> set[str]:
    """Digests of the videos that a model has processed, whatever the questions were."""
    if not isinstance(model, Encoder):
        return set()
    try:
        folder = VideoCache(model, plan.candidates, plan.config.decoder, SCORES).folder
    except (InputError, OSError):  # the checkpoint is not here yet
        return set()
    if not folder.is_dir():
        return set()
    cached = {file.stem for file in folder.rglob("*.safetensors")}
    return {video.digest for video in videos if video.digest in cached}


def cached_answers(plan: Plan, jobs: Iterable[PlannedJob]) -> int:
    """Answers in the journal of the one answerer of jobs that belong to no file that stays as it is.

    Which question of which job an answer fits shows when it is asked: with other frames it is another answer. So this
    is the most that need not be asked again.
    """
    jobs = list(jobs)
    answerer = plan.answerers[jobs[0].wildcards["answerer"]].answerer
    try:
        keys = _keys(journal_folder(ANSWERS, answerer))
    except (InputError, OSError, PackageNotFoundError):  # its checkpoint or its libraries are not here
        return 0
    if keys:
        remade = {file for job in jobs for file in job.output}
        files = Path("results/answers").glob(f"*/{answerer.kind}-*/*/*.json")
        keys -= {key for file in files if file.as_posix() not in remade for key in _used(file)}
    return len(keys)


def _keys(folder: Path) -> set[str]:
    records = (parse_line(line) for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines())
    return {record["key"] for record in records if record}


def _used(file: Path) -> set[str]:
    try:
        return {answer["key"] for answer in read_json(file)["questions"].values()}
    except (InputError, KeyError, TypeError, AttributeError):
        return set()
