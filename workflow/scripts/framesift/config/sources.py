"""What the workflow starts from: files of users, of the hub and of the demo's worlds, and what tells that they changed.

Where a dataset may come from the hub, the manifest of download_dataset is what later rules wait for, and a digest of
what the user put there or changed is a parameter; it is the same before and after a download. Where nothing is
downloaded, the files themselves are the input.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from framesift.checkpoints.component import Checkpoint, is_folder, model_digest, weight_digest
from framesift.checkpoints.fetch import manifest_path
from framesift.config.models import Config
from framesift.config.steps import Answering, Selecting
from framesift.core.errors import InputError
from framesift.core.spec import canonical_json, plain, spec_id
from framesift.core.versions import WEIGHTS
from framesift.data.benchmarks import VideoFolder
from framesift.data.download_records import downloaded_files, next_attempt, user_changes
from framesift.demo.config import DemoWorld, video_ids
from framesift.scoring.mllm_selector.settings import LanguageModel
from framesift.scoring.scorers.mllm_selector import SELECTORS
from framesift.selection.selectors.imported import Imported

RESULTS = Path("results")
#: The demo's own world, in `demo.world`; further ones are in `demo.worlds`.
DEMO = "demo"
#: Of more videos than this, Snakemake is given one digest in place of the files: it looks at each several times.
MANY_VIDEOS = 2000


class Sources:
    """The files that a checked configuration names."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._video_states: dict[str, str] = {}
        self._listings: dict[str, list[str]] = {}
        self._digests: dict[str, str] = {}

    def download_spec(self, dataset: str) -> dict[str, Any]:
        """What is fetched, from where to where."""
        chosen = self.config.datasets[dataset]
        places = ("data_dir", "labels", "videos", "subtitles", "repo", "revision", "download")
        return chosen.spec() | {name: plain(getattr(chosen, name)) for name in places}

    def manifest(self, dataset: str) -> str:
        return f"results/datasets/{dataset}.json"

    def download_attempt(self, dataset: str) -> int:
        """A number that grows when files which a run without the hub left out can be downloaded now."""
        return next_attempt(Path(self.manifest(dataset)))

    def original_labels(self, dataset: str) -> str:
        """What convert_labels waits for."""
        if self.config.datasets[dataset].downloads:
            return self.manifest(dataset)
        return self._given(dataset, "labels", self.config.datasets[dataset].labels_file)

    def video_files(self, dataset: str) -> list[str]:
        """What index_videos waits for: the videos that are there now, or, for the demo, those that will be.

        None where there are very many: `video_state` tells of those, which costs Snakemake nothing.
        """
        folder = self.config.datasets[dataset].video_dir
        if world := self.world_of(folder):
            return [self.demo_video(world, video) for video in video_ids(self.worlds[world])]
        if self.config.datasets[dataset].downloads:
            return [self.manifest(dataset)]
        if not folder.is_dir():
            raise InputError(
                "there is no such folder",
                field=f"datasets.{dataset}.videos",
                value=folder.as_posix(),
                expected="the folder that holds the videos",
                hint=f"set datasets.{dataset}.data_dir (and videos, relative to it) in your configuration",
            )
        files = self._listing(dataset)
        return files if len(files) <= MANY_VIDEOS else []

    def _listing(self, dataset: str) -> list[str]:
        """Every video of a dataset that is not downloaded; a folder is walked once."""
        if dataset not in self._listings:
            self._listings[dataset] = [
                file.as_posix() for file in VideoFolder(self.config.datasets[dataset].video_dir).all()
            ]
        return self._listings[dataset]

    def label_state(self, dataset: str) -> str:
        """What tells labels that the user gave or exchanged from those that were downloaded."""
        chosen = self.config.datasets[dataset]
        return self._by_hand(dataset, [chosen.labels_file]) if chosen.downloads else ""

    def video_state(self, dataset: str) -> str:
        """What tells that a video was exchanged, even for one with an older date."""
        chosen = self.config.datasets[dataset]
        if self.world_of(chosen.video_dir):
            return ""
        if dataset not in self._video_states and not chosen.downloads:
            files = [(file, os.stat(file)) for file in self._listing(dataset)]
            dated = not self.video_files(dataset)  # else Snakemake looks at the dates
            state = [[file, found.st_size, *([found.st_mtime_ns] if dated else [])] for file, found in files]
            self._video_states[dataset] = spec_id(state)
        if dataset not in self._video_states:
            gone = [
                file.as_posix() for file in downloaded_files(chosen.data_dir, chosen.video_dir) if not file.is_file()
            ]
            changed = self._by_hand(dataset, VideoFolder(chosen.video_dir).all())
            self._video_states[dataset] = changed if not gone else spec_id([changed, gone])
        return self._video_states[dataset]

    def _by_hand(self, dataset: str, files: list[Path]) -> str:
        changed = user_changes(self.config.datasets[dataset].data_dir, files)
        return spec_id(changed) if changed else ""

    def evidence(self, dataset: str) -> list[str]:
        """The evidence file, or nothing where the dataset has none."""
        file = self.config.datasets[dataset].evidence_file
        return [self._given(dataset, "evidence", file)] if file else []

    def evidence_needed(self, dataset: str, selecting: Selecting) -> list[str]:
        """The evidence file that a selection reads, or nothing."""
        return self.evidence(dataset) if selecting.selector.needs_evidence else []

    def subtitles(self, dataset: str, answering: Answering) -> list[str]:
        """The option that names the folder of the subtitles, where they are shown."""
        folder = self.config.datasets[dataset].subtitle_dir
        return ["--subtitles", folder.as_posix()] if answering.subtitles != "none" and folder else []

    def run_files(self, run: str) -> dict[str, str]:
        """The files of a finished run, by what they are."""
        found = self.config.runs[run]
        files = {"samples": found.samples} | ({"results": found.results} if found.results else {})
        return {name: there(file, f"runs.{run}.{name}") for name, file in files.items()}

    def imported(self, selecting: Selecting) -> dict[str, str]:
        """The files of a selection that is not made here, by what they are."""
        selector = selecting.selector
        assert isinstance(selector, Imported)
        return {name: there(getattr(selector, name), f"selectors: {name}") for name in ("original", "selection")}

    @staticmethod
    def checkpoint(component: Any) -> list[str]:
        """The manifest of a checkpoint of the hub; nothing for a folder, or for what runs no checkpoint here."""
        if not isinstance(component, Checkpoint | LanguageModel) or component.revision is None:
            return []
        return [manifest_path(component.model, component.revision)]

    @staticmethod
    def trained_weights(*components: Any) -> list[str]:
        """The folders of those checkpoints that the workflow trains, which a rule waits for."""
        models = [
            one if isinstance(one, str) else one.model
            for one in components
            if isinstance(one, str | Checkpoint | LanguageModel)
        ]
        return [Path(model).as_posix() for model in models if is_trained(model)]

    def weights(self, *components: Any) -> str:
        """Digests of the weights in folders and files on this machine, by path; a revision pins those of the hub.

        A parameter, not an input: the dates of files change with every copy and every checkout, their content does not.
        """
        digests = {}
        for one in components:
            if isinstance(one, str) and not is_trained(one):  # the folder of a checkpoint
                digests[one] = self._digest_of_folder(one)
            if not isinstance(one, Checkpoint | LanguageModel):
                continue
            if is_folder(one.model) and not made_later(one):
                digests[one.model] = self._digest_of_folder(one.model)
            if isinstance(one, Checkpoint):
                files = [Path(there(file, "model")) for file in one.files()]
                # the end of a path, since where a checkout is decides nothing
                digests |= {"/".join(file.parts[-3:]): self._digest_of_file(file) for file in files}
        return WEIGHTS + canonical_json(digests) if digests else ""

    def _digest_of_file(self, file: Path) -> str:
        """Once a plan, as of a folder: every job asks for it."""
        if str(file) not in self._digests:
            self._digests[str(file)] = weight_digest(file)
        return self._digests[str(file)]

    def _digest_of_folder(self, model: str) -> str:
        if model not in self._digests:
            self._digests[model] = model_digest(model, None)
        return self._digests[model]

    @property
    def worlds(self) -> dict[str, DemoWorld]:
        """The worlds that the workflow makes, by name."""
        return {**self.config.demo.worlds, DEMO: self.config.demo.world}

    def world_of(self, path: Path) -> str | None:
        """The world that a file belongs to; None for one that is not made by the workflow."""
        return next((name for name in self.worlds if path.is_relative_to(RESULTS / name)), None)

    @staticmethod
    def demo_video(world: str, video: str) -> str:
        return (RESULTS / world / "videos" / f"{video}.mp4").as_posix()

    def _given(self, dataset: str, field: str, file: Path) -> str:
        if not self.world_of(file) and not file.is_file():
            raise InputError(
                "there is no such file",
                field=f"datasets.{dataset}.{field}",
                value=file.as_posix(),
                hint=f"set datasets.{dataset}.data_dir (and {field}, relative to it) in your configuration",
            )
        return file.as_posix()


def made_later(component: Checkpoint | LanguageModel) -> bool:
    """Whether its checkpoint is one that the workflow trains."""
    return is_trained(component.model)


def is_trained(model: str) -> bool:
    """Whether a checkpoint is in a folder that the workflow makes."""
    return Path(model).parent.parent == SELECTORS


def there(file: str, field: str) -> str:
    """A file that a field of the configuration names.

    Raises
    ------
    InputError
        Where it is not there.
    """
    if not Path(file).is_file():
        raise InputError("there is no such file", field=field, value=file)
    return file
