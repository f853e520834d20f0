"""What is known about the datasets of a plan: questions from labels, videos from the table of index_videos."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from framesift.config.plan import Plan
from framesift.config.tables import Tables
from framesift.core.errors import InputError
from framesift.data.labels import convert
from framesift.data.questions import NORMALISED
from framesift.data.shards import assign_shards
from framesift.provenance.snakemake_dag import PlannedJob
from framesift.storage.files import read_json
from framesift.video.table import Video


@dataclass(frozen=True)
class KnownVideo:
    """A usable video: its digest, the number of its candidate frames, and its length in seconds."""

    video_id: str
    digest: str
    frames: int
    duration: float


class DatasetState:
    """One dataset.

    Parameters
    ----------
    plan : Plan
    name : str
        A dataset of its configuration; nothing is known about any other.
    """

    def __init__(self, plan: Plan, name: str) -> None:
        self.plan, self.name = plan, name

    @cached_property
    def questions(self) -> list[dict[str, Any]] | None:
        """The normalised questions: those converted last or, without them, those of the original labels."""
        if self.name not in self.plan.config.datasets:
            return None
        try:
            if Path(converted := self.plan.labels(self.name)).is_file():
                records = read_json(converted)
            else:
                dataset = self.plan.dataset(self.name)
                if not dataset.labels_file.is_file():
                    return None
                records = convert(dataset, dataset.labels_file)
            return [record[NORMALISED] for record in records]
        except (InputError, KeyError, TypeError):  # the run itself will say so
            return None

    @cached_property
    def n_questions(self) -> int | None:
        return None if self.questions is None else len(self.questions)

    @cached_property
    def videos(self) -> list[KnownVideo] | None:
        """The usable videos; None before they are indexed."""
        if self.name not in self.plan.config.datasets:
            return None
        return read_known(Path(self.plan.videos(self.name)))

    @property
    def n_videos(self) -> int | None:
        if self.videos is not None:
            return len(self.videos)
        return None if self.questions is None else len({one["video_id"] for one in self.questions})

    @property
    def hours(self) -> float | None:
        """Hours of video: as measured or, before that, as the labels state for every video."""
        if self.videos is not None:
            return sum(video.duration for video in self.videos) / 3600
        lengths = {one["video_id"]: one.get("seconds") for one in self.questions or ()}
        known = [seconds for seconds in lengths.values() if seconds]
        return sum(known) / 3600 if known and len(known) == len(lengths) else None

    def of_shards(self, n: int, shards: set[int]) -> list[KnownVideo]:
        """The videos of some of `n` shards."""
        videos = self.videos or []
        if len(shards) == n:
            return videos
        rows = {one.video_id: Video(one.video_id, "", duration=one.duration) for one in videos}
        of = assign_shards(rows, n)
        return [one for one in videos if of[one.video_id] in shards]

    def chunk(self, job: PlannedJob) -> int | None:
        """The number of questions that a job asks."""
        if self.n_questions is None:
            return None
        part, parts = int(job.wildcards["chunk"]), int(job.wildcards["n"])
        return self.n_questions * part // parts - self.n_questions * (part - 1) // parts

    def plain(self) -> dict[str, float | None]:
        return {"questions": self.n_questions, "videos": self.n_videos, "hours": self.hours}


class DatasetStates:
    """The datasets of a plan by name."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._known: dict[str, DatasetState] = {}

    def __getitem__(self, name: str) -> DatasetState:
        return self._known.setdefault(name, DatasetState(self.plan, name))

    def name_of(self, job: PlannedJob) -> str:
        """The dataset that a job works on; empty if there is none."""
        if "dataset" in job.wildcards:
            return job.wildcards["dataset"]
        return self.of_table(job.wildcards.get("table", ""))

    def answers_of(self, table: str) -> int | None:
        """Rows of a table times questions."""
        questions = self[self.of_table(table)].n_questions
        return len(Tables(self.plan).spec(table)["cells"]) * questions if questions is not None else None

    def of_table(self, table: str) -> str:
        tables = self.plan.config.tables
        return tables[table].dataset if table in tables else ""


def read_known(path: Path) -> list[KnownVideo] | None:
    """The usable videos of a table of videos, without the frames themselves, of which there may be millions."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        columns = ["video_id", "digest", "duration", "error", "frames"]
        table = pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException):
        return None
    table = table.set_column(4, "frames", pc.list_value_length(table["frames"]))
    return [
        KnownVideo(row["video_id"], row["digest"], row["frames"], row["duration"])
        for row in table.to_pylist()
        if row["error"] is None
    ]
