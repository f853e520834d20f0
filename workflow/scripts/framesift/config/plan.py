"""The plan: which files a configuration asks for, and the spec and code of each rule that makes one.

The rules hold no logic of their own: paths, ids, specs and code digests all come from here. A path that ends in an id
is addressed by content: the id is a digest of everything configured that the file depends on, so going back to an
earlier setting finds the earlier result.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framesift.answerers import Answerer, LocalAnswerer
from framesift.checkpoints import manifest_path
from framesift.citations import setup_of
from framesift.code import code_digest
from framesift.components import Component
from framesift.config.models import Config, Table, Trained
from framesift.datasets import Dataset, VideoFolder
from framesift.demo.config import DemoTraining, DemoWorld, SelectorStart, video_ids
from framesift.encoders import Encoder
from framesift.errors import InputError, did_you_mean
from framesift.files import file_digest
from framesift.mllm_selector.settings import LanguageModel
from framesift.models import Checkpoint, is_folder
from framesift.notes import by_hand, downloaded
from framesift.protocols import Control, Protocol
from framesift.scorers import Scorer, ScoreSource
from framesift.scorers.mllm_selector import MllmSelector
from framesift.scorers.pseudo_labels import PseudoLabels
from framesift.selectors import SelectionSource
from framesift.selectors.imported import Imported
from framesift.spec import canonical_json, plain, spec_id

RESULTS = Path("results")
#: The demo's own world, in `demo.world`; further ones are in `demo.worlds`.
DEMO = "demo"
#: Where selectors are that the workflow trains: by name, then by the digest of what they are trained by.
SELECTORS = Path("results/selectors")
#: Of more videos than this, Snakemake is given one digest in place of the files: it looks at each several times.
MANY_VIDEOS = 2000
#: Parts of the spec of answers that are the same for whatever a job asks.
_OF_THE_ANSWERER = ("answerer", "dataset")


@dataclass(frozen=True)
class Selecting:
    """One selector at one budget, with the scorer and the encoder it needs."""

    selector: SelectionSource
    budget: int
    scorer: ScoreSource | None
    encoder: Encoder | None


@dataclass(frozen=True)
class Answering:
    """One answerer, and how it is shown and asked."""

    answerer: Answerer
    protocol: Protocol
    control: Control | None = None
    prompt: tuple[tuple[str, str], ...] | None = None
    subtitles: str = "none"


@dataclass(frozen=True)
class Cell:
    """One row of a table: an answerer that sees one selection. Each part comes with the name the user gave it."""

    answerer_name: str
    answering: Answering
    selector_name: str
    scorer_name: str | None
    selecting: Selecting


@dataclass(frozen=True)
class Training:
    """The first so many stages of a selector that the workflow trains."""

    name: str
    trained: Trained
    stages: int


class Plan:
    """Paths, specs and code digests for a checked configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.candidates = plain(config.candidates.spec())
        self.trainings: dict[str, Training] = {}
        self.config = config = self._resolved(config)
        self.scorers: dict[str, ScoreSource] = {self.scorer_id(scorer): scorer for scorer in config.scorers.values()}
        self.encoders: dict[str, Encoder] = {
            self.encoder_id(encoder): encoder
            for encoder in (
                *config.encoders.values(),
                *config.scorers.values(),
                *(one.selector.vision for one in config.trained.values()),
            )
            if isinstance(encoder, Encoder) and encoder.keeps_features
        }
        self.selectings: dict[str, Selecting] = {}
        self.answerers: dict[str, Answering] = {}
        self.checkpoints: dict[str, dict[str, Any]] = {
            Path(manifest).stem: {"model": one.model, "revision": one.revision}
            for one in self._models(config)
            for manifest in self.checkpoint(one)
        }
        self._video_states: dict[str, str] = {}
        self._listings: dict[str, list[str]] = {}
        self._cells: dict[str, list[Cell]] = {}
        self._asked: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self._codes: dict[tuple[str, ...], str] = {}
        self._divisions: dict[tuple[str, str], int] = {}
        for name in config.tables:
            for cell in self.cells(name):
                self.selectings[self.selecting_id(cell.selecting)] = cell.selecting
                self.answerers[self.answering_id(config.tables[name].dataset, cell.answering)] = cell.answering
            self._check_size(name)

    def _resolved(self, config: Config) -> Config:
        """What is meant by a name of the configuration, by its id, so that specs tell what it is."""
        scorers = dict(config.scorers)
        for name, scorer in scorers.items():
            if isinstance(scorer, PseudoLabels) and scorer.stand_in:
                scorers[name] = scorer.named(self.scorer_id(config.scorers[scorer.stand_in]))
        self.config = config.model_copy(update={"scorers": scorers})
        for name, trained in config.trained.items():
            for stages in range(1, len(trained.stages) + 1):
                training = Training(name, trained, stages)
                self.trainings[self.training_id(training)] = training
        for name, scorer in scorers.items():
            if isinstance(scorer, MllmSelector) and scorer.made_here:
                trained = config.trained[scorer.made_here]
                whole = Training(scorer.made_here, trained, len(trained.stages))
                scorers[name] = scorer.model_copy(update={"model": self.selector(whole)})
        return self.config.model_copy(update={"scorers": scorers})

    @staticmethod
    def _models(config: Config) -> Iterator[Checkpoint | LanguageModel]:
        """Everything that has a checkpoint."""
        yield from (
            one
            for one in (*config.scorers.values(), *config.encoders.values(), *config.answerers.values())
            if isinstance(one, Checkpoint)
        )
        for scorer in config.scorers.values():
            if isinstance(scorer, PseudoLabels):
                yield from Plan.labellers(scorer)
        for trained in config.trained.values():
            yield from (trained.selector.vision, trained.selector.llm)

    @staticmethod
    def labellers(scorer: PseudoLabels) -> list[Checkpoint]:
        """The models that run here to label frames."""
        return [one for one in (scorer.labels.vlm, scorer.labels.llm) if isinstance(one, Checkpoint)]

    # What a table consists of

    def table(self, name: str) -> Table:
        if name not in self.config.tables:
            raise InputError(
                "there is no table of this name",
                field="tables",
                value=name,
                expected=f"one of {', '.join(self.config.tables)}",
                hint=did_you_mean(name, self.config.tables),
            )
        return self.config.tables[name]

    def tables_at_hand(self) -> list[str]:
        """The tables whose labels are on this machine, or are made by the workflow."""
        files = {name: self.dataset(table.dataset).labels_file for name, table in self.config.tables.items()}
        return [name for name, file in files.items() if file.is_file() or self.world_of(file)]

    def cells(self, name: str) -> list[Cell]:
        """The rows of a table. A selector that needs nothing of a scorer has one row, whatever the scorers."""
        if name not in self._cells:
            self._cells[name] = self._make_cells(name)
        return self._cells[name]

    def jobs_of(self, name: str) -> dict[str, int]:
        """How many jobs a table takes where nothing is there yet; those alone that can be many."""
        dataset, cells = self.dataset(self.table(name).dataset), self.cells(name)
        sources = [cell.selecting.scorer for cell in cells if cell.selecting.scorer]
        scorers = {self.scorer_id(one) for one in sources if isinstance(one, Scorer)}
        labelled = {self.scorer_id(one) for one in sources if isinstance(one, PseudoLabels)}
        encoders = {self.encoder_id(cell.selecting.encoder) for cell in cells if cell.selecting.encoder}
        selections = {self.selecting_id(cell.selecting) for cell in cells}
        answered = {
            (self.answering_id(self.table(name).dataset, cell.answering), self.selecting_id(cell.selecting))
            for cell in cells
        }
        return {
            "score_frames": dataset.shards * len(scorers),
            "label_frames": dataset.shards * len(labelled),
            "embed_frames": dataset.shards * len(encoders),
            "select_frames": len(selections),
            "evaluate": dataset.chunks * len(answered),
        }

    def _check_size(self, name: str) -> None:
        jobs = self.jobs_of(name)
        if (total := sum(jobs.values())) > self.config.max_jobs:
            dataset = self.table(name).dataset
            counts = ", ".join(f"{count} {rule}" for rule, count in jobs.items() if count)
            raise InputError(
                f"the table would take {total} jobs ({counts})",
                field=f"tables.{name}",
                expected=f"at most max_jobs = {self.config.max_jobs}",
                hint=f"lower datasets.{dataset}.chunks ({self.dataset(dataset).chunks} jobs a row) or"
                f" datasets.{dataset}.shards, or raise max_jobs",
            )

    def _make_cells(self, name: str) -> list[Cell]:
        config, table = self.config, self.table(name)
        cells = []
        for answerer in table.answerers:
            answering = self._answering(table, answerer)
            for budget in table.budgets:
                for selector_name in table.selectors:
                    selector = config.selectors[selector_name]
                    per_scorer = selector.needs_scores or (selector.needs_embeddings and not table.encoder)
                    scorers = table.pairs.get(selector_name, table.scorers)
                    for scorer in scorers if per_scorer else (None,):
                        selecting = Selecting(
                            selector,
                            budget,
                            config.scorers[scorer] if scorer and selector.needs_scores else None,
                            self._encoder(table, scorer)
                            if selector.needs_embeddings or (selector.takes_embeddings and table.encoder)
                            else None,
                        )
                        controls = table.controls if selector_name == table.baseline else ()
                        cells += [
                            Cell(answerer, replace(answering, control=control), selector_name, scorer, selecting)
                            for control in (None, *controls)
                        ]
        return cells

    def _answering(self, table: Table, answerer: str) -> Answering:
        prompt = table.prompt
        if isinstance(prompt, str):
            prompt = self.dataset(table.dataset).prompts[prompt]
        return Answering(
            self.config.answerers[answerer],
            table.protocol,
            prompt=tuple(sorted(prompt.items())) if prompt is not None else None,
            subtitles=table.subtitles,
        )

    def _encoder(self, table: Table, scorer: str | None) -> Encoder:
        """Whose embeddings a selector gets; `load_config` has checked that there are some."""
        name = table.encoder or scorer
        assert name is not None
        encoder = self.config.encoders.get(name) or self.config.scorers[name]
        assert isinstance(encoder, Encoder)
        return encoder

    def dataset(self, name: str) -> Dataset:
        return self.config.datasets[name]

    # Specs: what each step depends on besides its input files

    def download_spec(self, dataset: str) -> dict[str, Any]:
        """What is fetched, from where to where."""
        chosen = self.dataset(dataset)
        places = ("data_dir", "labels", "videos", "subtitles", "repo", "revision", "download")
        return chosen.spec() | {name: plain(getattr(chosen, name)) for name in places}

    def convert_spec(self, dataset: str) -> dict[str, Any]:
        return self.dataset(dataset).spec()

    def index_spec(self, dataset: str) -> dict[str, Any]:
        chosen = self.dataset(dataset)
        return {
            "kind": chosen.kind,
            "length_tolerance": chosen.length_tolerance,
            "candidates": self.candidates,
        }

    def score_spec(self, scorer: ScoreSource) -> dict[str, Any]:
        return {"scorer": scorer.spec(), "candidates": self.candidates} | self._decoder()

    def embed_spec(self, encoder: Encoder) -> dict[str, Any]:
        return {"encoder": encoder.spec(), "candidates": self.candidates} | self._decoder()

    def label_spec(self, scorer: PseudoLabels) -> dict[str, Any]:
        return {"labels": scorer.labels.spec(), "candidates": self.candidates} | self._decoder()

    def label_connections(self, scorer: PseudoLabels) -> dict[str, Any]:
        """What models that label need beside the spec: how servers are reached, sizes of batches."""
        models = {"vlm": scorer.labels.vlm, "llm": scorer.labels.llm}
        found = {name: getattr(one, "connection", None) for name, one in models.items()}
        return {name: connection() for name, connection in found.items() if connection}

    def training_spec(self, training: Training) -> dict[str, Any]:
        """What a selector depends on: data by name, the network, and its stages so far."""
        trained = training.trained
        return {
            "selector": trained.selector,
            "labels": self.scorer_id(self._labels_of(training)),
            "features": self.encoder_id(trained.selector.vision),
            "data": trained.data,
            "validation": trained.validation,
            "instructions": trained.instructions,
            "stages": trained.stages[: training.stages],
        } | ({"initial": trained.initial} if trained.initial else {})

    @staticmethod
    def stage_spec(training: Training) -> dict[str, Any]:
        """What train_selector.py is given: the last of the stages, and the network before the first."""
        stage = training.trained.stages[training.stages - 1].model_dump(mode="json")
        network = {"selector": plain(training.trained.selector)} if training.stages == 1 else {}
        return {"stage": stage} | network

    def _labels_of(self, training: Training) -> PseudoLabels:
        labels = self.config.scorers[training.trained.labels]
        assert isinstance(labels, PseudoLabels)
        return labels

    def _decoder(self) -> dict[str, Any]:
        """The decoder, where it is not the usual one."""
        return {"decoder": self.config.decoder} if self.config.decoder != "pyav" else {}

    def select_spec(self, selecting: Selecting) -> dict[str, Any]:
        spec = {
            "selector": selecting.selector.spec(),
            "budget": selecting.budget,
            "candidates": self.candidates,
            "scorer": selecting.scorer.spec() if selecting.scorer else None,
        }
        if selecting.encoder:
            spec["encoder"] = selecting.encoder.spec()
        if selecting.scorer or selecting.encoder:
            spec |= self._decoder()
        return spec | ({"seed": self.config.seed} if selecting.selector.random else {})

    def answer_spec(self, dataset: str, answering: Answering, selecting: Selecting | None = None) -> dict[str, Any]:
        """What answers depend on; with what the protocol must know of a selection."""
        spec: dict[str, Any] = {
            "answerer": answering.answerer.spec(),
            "dataset": self.dataset(dataset).task_spec(),
            "protocol": answering.protocol,
        }
        if answering.control:
            spec["control"] = answering.control
        if answering.control == "shuffled":
            spec["seed"] = self.config.seed
        if answering.prompt is not None:
            spec["prompt"] = dict(answering.prompt)
        if answering.subtitles != "none":
            spec["subtitles"] = answering.subtitles
        if answering.protocol == "released" and selecting:
            spec["budget"] = selecting.budget
            if selecting.selector.kind == "uniform":
                spec["uniform"] = answering.answerer.released_uniform
        return spec

    def also_answered(self, dataset: str, answering: Answering, selecting: Selecting) -> list[list[Any]]:
        """What else the tables of a dataset ask this answerer: selections, each with how it is shown and asked."""
        own = canonical_json(self._shown(dataset, answering, selecting))
        every = self._asked_of(dataset, answering.answerer)
        # Each job begins after its own place in the list, so that jobs side by side do different things.
        return [every[key] for key in sorted(every.keys() - {own}, key=lambda key: (key < own, key))]

    def _asked_of(self, dataset: str, answerer: Answerer) -> dict[str, list[Any]]:
        """All that the tables of a dataset ask an answerer, by its canonical JSON; found out once for all its jobs."""
        whose = canonical_json(answerer.spec())
        if (dataset, whose) not in self._asked:
            self._asked[dataset, whose] = {
                canonical_json(one): one
                for name, table in self.config.tables.items()
                if table.dataset == dataset
                for cell in self.cells(name)
                if canonical_json(cell.answering.answerer.spec()) == whose
                for one in (self._shown(dataset, cell.answering, cell.selecting),)
            }
        return self._asked[dataset, whose]

    def _shown(self, dataset: str, how: Answering, which: Selecting) -> list[Any]:
        """A selection, and what of the spec of its answers is not the same for all that an answerer is asked."""
        spec = self.answer_spec(dataset, how, which)
        return [self.selection(dataset, which), {key: spec[key] for key in spec if key not in _OF_THE_ANSWERER}]

    def _cell_spec(self, dataset: str, cell: Cell) -> dict[str, Any]:
        return self.answer_spec(dataset, cell.answering, cell.selecting)

    def judge_spec(self, name: str) -> dict[str, Any]:
        """How the answers of a table are judged, and where they are."""
        table = self.table(name)
        judge = self.config.judges[table.judge].spec() if table.judge else None
        return {
            "dataset": self.dataset(table.dataset).task_spec(),
            "unparsed": table.unparsed,
            "judge": judge,
            "cells": {cell["id"]: cell["answers"] for cell in self.table_spec(name)["cells"]},
        }

    def table_spec(self, name: str) -> dict[str, Any]:
        """The table with the files of each cell: which file belongs where is never left to an order."""
        table = self.table(name)
        return {
            "table": name,
            "dataset": table.dataset,
            "protocol": table.protocol,
            "baseline": self._baseline(table),
            "group_by": table.group_by,
            "evidence_tolerance": self.dataset(table.dataset).evidence_tolerance,
            "seed": self.config.seed,
            "cells": [
                *(self._cell(table, cell) for cell in self.cells(name)),
                *(self._run_cell(table, run) for run in table.runs),
            ],
        }

    def _baseline(self, table: Table) -> str:
        if not table.selectors:
            return self.config.runs[table.baseline].method
        return self._label(self.config.selectors[table.baseline], table.baseline)

    def _cell(self, table: Table, cell: Cell) -> dict[str, Any]:
        selecting, answering = cell.selecting, cell.answering
        answers = self.answers(table.dataset, answering, selecting)
        return {
            "id": Path(answers[0]).parent.relative_to("results/answers").as_posix(),
            **self._row_names(cell),
            "scorer": self._label(selecting.scorer, cell.scorer_name) if selecting.scorer else None,
            "budget": selecting.budget,
            "released": not selecting.selector.fair,
            "showing": {
                key: value
                for key, value in self._cell_spec(table.dataset, cell).items()
                if key in ("protocol", "control", "budget", "uniform", "seed")
            },
            "uniform": answering.answerer.released_uniform if selecting.selector.kind == "uniform" else None,
            "selection": self.selection(table.dataset, selecting),
            "features": self.features_needed(table.dataset, selecting),
            "answers": answers,
        }

    def _row_names(self, cell: Cell) -> dict[str, str]:
        """Answerer and method of a row; a variant of an answerer is another method of that one."""
        answerer, method = cell.answering.answerer, self._label(cell.selecting.selector, cell.selector_name)
        name = self._label(answerer, cell.answerer_name)
        if answerer.variant_of is None:
            return {"answerer": name, "method": method}
        original = self.config.answerers[answerer.variant_of]
        return {"answerer": self._label(original, answerer.variant_of), "method": f"{method} + {name}"}

    def _run_cell(self, table: Table, name: str) -> dict[str, Any]:
        run = self.config.runs[name]
        return {
            "id": f"{table.dataset}/runs/{name}",
            "answerer": run.answerer,
            "method": run.method,
            "budget": run.budget,
            "selection": None,
            "answers": [self.run_answers(table.dataset, name)],
        }

    def measure_spec(self, name: str) -> dict[str, Any]:
        """The selections of a table, each once; what a variant of an answerer does with them is none of them."""
        table = self.table(name)
        keys = ("method", "scorer", "budget", "selection")
        cells = [self._cell(table, cell) for cell in self.cells(name) if cell.answering.answerer.variant_of is None]
        selections = {canonical_json([cell[key] for key in keys]): cell for cell in cells}
        return {
            "baseline": self._baseline(table),
            "selections": [{key: cell[key] for key in keys} for cell in selections.values()],
        }

    def measured_embeddings(self, name: str) -> list[str]:
        """Embeddings for redundancy, where a selection of the table needs some anyway: those of the first."""
        dataset = self.table(name).dataset
        needed = [
            self.embeddings_needed(dataset, cell.selecting) for cell in self.cells(name) if cell.selecting.encoder
        ]
        return needed[0] if needed else []

    @property
    def published(self) -> list[str]:
        """The files of published numbers."""
        return sorted(file.as_posix() for file in Path("config/published").glob("*.csv"))

    def published_spec(self, name: str) -> dict[str, Any]:
        """What each row of a table was made from, to find published numbers of the same.

        No row for questions that are only written in the form of a benchmark, such as those of the demo.
        """
        table = self.table(name)
        dataset = self.dataset(table.dataset)
        own = table.selectors and setup_of(self.config, name)["in_form_of"]
        rows = []
        for cell in [] if own else self.cells(name):
            selecting = cell.selecting
            scored_by = selecting.scorer or selecting.encoder
            names = self._cell(table, cell)
            rows.append(
                {
                    "names": [names[key] or "" for key in ("answerer", "method", "scorer")] + [str(selecting.budget)],
                    "specs": {
                        "answerer": cell.answering.answerer.spec(),
                        "selector": selecting.selector.spec(),
                        "scorer": scored_by.spec() if scored_by else None,
                    },
                }
            )
        return {
            "dataset": dataset.kind,
            "protocol": table.protocol,
            "subtitles": table.subtitles,
            "metric": "m_avg" if dataset.kind == "mlvu" else "accuracy_percent",
            "rows": rows,
        }

    def methods_spec(self, name: str) -> dict[str, Any]:
        """What a paper says of a table."""
        if not self.table(name).selectors:
            raise InputError("the runs of others are for them to describe", field=f"tables.{name}")
        return setup_of(self.config, name)

    def report_spec(self, name: str) -> dict[str, Any]:
        """The spec of a table, with the scores that its selections were made from, and how scorers were trained."""
        dataset = self.table(name).dataset
        training = {
            self._label(cell.selecting.scorer, cell.scorer_name): f"{cell.selecting.scorer.model}/curves.csv"
            for cell in self.cells(name)
            if isinstance(cell.selecting.scorer, MllmSelector) and not cell.selecting.scorer.revision
        }
        return {
            "table": self.table_spec(name),
            "scores": {
                self.selection(dataset, cell.selecting): self.scores(dataset, cell.selecting.scorer)
                for cell in self.cells(name)
                if cell.selecting.scorer
            },
        } | ({"training": training} if training else {})

    def report_inputs(self, name: str) -> dict[str, Any]:
        """The files that figures and the report read besides the table's own, by what they are."""
        spec = self.report_spec(name)
        selections = [cell["selection"] for cell in spec["table"]["cells"] if cell["selection"]]
        return {
            "labels": self.labels(self.table(name).dataset),
            "videos": self.videos_of(name),
            "evidence": self.evidence(self.table(name).dataset),
            "selections": list(dict.fromkeys(selections)),
            "answers": self.answers_of(name),
            "scores": sorted(set(spec["scores"].values())),
        }

    @staticmethod
    def optional(files: Any, *names: str) -> list[str]:
        """Options for those inputs of a rule that are there, each one file or none."""
        return [word for name in names if (found := files.get(name)) for word in (f"--{name}", str(found))]

    @staticmethod
    def templates() -> str:
        """A digest of what the report's page is made from besides code."""
        folder = Path(__file__).parents[1] / "report" / "templates"
        return spec_id([file_digest(file) for file in sorted(folder.iterdir())])

    @staticmethod
    def _label(component: Component | None, name: str | None) -> str:
        return (component.label if component else None) or name or ""

    # Ids

    def scorer_id(self, scorer: ScoreSource) -> str:
        return f"{scorer.kind}-{spec_id(self.score_spec(scorer))}"

    def encoder_id(self, encoder: Encoder) -> str:
        return f"{encoder.kind}-{spec_id(self.embed_spec(encoder))}"

    def training_id(self, training: Training) -> str:
        return spec_id(self.training_spec(training))

    def selecting_id(self, selecting: Selecting) -> str:
        return f"{selecting.selector.kind}-{selecting.budget}-{spec_id(self.select_spec(selecting))}"

    def answering_id(self, dataset: str, answering: Answering) -> str:
        return f"{answering.answerer.kind}-{spec_id(self.answer_spec(dataset, answering))}"

    def companions(self, dataset: str, encoder: Encoder) -> list[dict[str, Any]]:
        """The other scorers and encoders that the tables of a dataset need in the same environment.

        One decode pass serves all of them. Their specs come with the size of their batches, which is none of the spec.
        """
        needed = {
            canonical_json(one.spec()): one
            for name, table in self.config.tables.items()
            if table.dataset == dataset
            for cell in self.cells(name)
            for one in (cell.selecting.scorer, cell.selecting.encoder)
            if isinstance(one, Encoder) and one.env == encoder.env and not self._made_later(one)
        }
        needed.pop(canonical_json(encoder.spec()), None)
        return [one.spec() | {"batch_size": one.batch_size} for _, one in sorted(needed.items())]

    @staticmethod
    def _made_later(component: Checkpoint | LanguageModel) -> bool:
        """Whether its checkpoint is one that the workflow trains."""
        return Path(component.model).parent.parent == SELECTORS

    @staticmethod
    def env(component: Encoder | Answerer) -> str:
        """The conda environment of a scorer, an encoder or an answerer."""
        return f"../envs/{component.env}.yaml"

    # Paths

    def labels(self, dataset: str) -> str:
        return f"results/labels/{dataset}.json"

    def videos(self, dataset: str) -> str:
        return f"results/videos/{dataset}-{spec_id(self.candidates)}.parquet"

    def shards(self, dataset: str, n: int | str) -> str:
        return f"results/shards/{dataset}-{spec_id(self.candidates)}-{n}.json"

    def shard_scores(self, dataset: str, scorer: str) -> list[str]:
        return self._divided(f"results/scores/{dataset}/{scorer}", ".parquet", self.dataset(dataset).shards)

    def _divided(self, folder: str, suffix: str, n: int) -> list[str]:
        """The files ``1-of-n`` ... ``n-of-n`` of work that several jobs share, for the `n` that counts.

        `n` only says how work is divided, so it counts for work that is not done. Where all files of one division are
        there, it is that one, whatever is configured now; of several, the one that was finished last, since that is
        what later files were made from. The configured number does not choose between them: changing it would rerun
        all that follows. A plan decides once, since Snakemake removes files while it runs; and each rule that makes
        such a file takes `n` from its name, since every job on a cluster plans anew.
        """
        if (folder, suffix) not in self._divisions:
            found: dict[int, dict[int, int]] = {}
            for file in Path(folder).glob(f"*-of-*{suffix}"):
                if match := re.fullmatch(r"(\d+)-of-(\d+)", file.name.removesuffix(suffix)):
                    with suppress(FileNotFoundError):  # another run may be at work
                        found.setdefault(int(match[2]), {})[int(match[1])] = file.stat().st_mtime_ns
            done = {parts: max(dates.values()) for parts, dates in found.items() if {*dates} == {*range(1, parts + 1)}}
            self._divisions[folder, suffix] = max(done, key=lambda parts: (done[parts], parts), default=n)
        parts = self._divisions[folder, suffix]
        return [f"{folder}/{part}-of-{parts}{suffix}" for part in range(1, parts + 1)]

    def scores(self, dataset: str, scorer: ScoreSource) -> str:
        return f"results/scores/{dataset}/{self.scorer_id(scorer)}.parquet"

    def stand_in_scores(self, dataset: str, scorer: PseudoLabels) -> list[str]:
        """The scores that stand in for the verdicts of a VLM, where some do."""
        return [f"results/scores/{dataset}/{scorer.stand_in}.parquet"] if scorer.stand_in else []

    def selector(self, training: Training) -> str:
        """The folder of a selector that is trained."""
        return (SELECTORS / training.name / self.training_id(training)).as_posix()

    def training_inputs(self, training: Training) -> dict[str, list[str]]:
        """What a stage of training reads, by the option of the program."""
        trained = training.trained
        labels, encoder = self.scorer_id(self._labels_of(training)), trained.selector.vision
        before = replace(training, stages=training.stages - 1)
        files = {
            "examples": [file for name in trained.data for file in self._shard_labels(name, labels)],
            "features": [
                file for name in (*trained.data, *trained.validation) for file in self._embeddings(name, encoder)
            ],
            "validation": [file for name in trained.validation for file in self._shard_labels(name, labels)],
            "instructions": [
                self._there(file, f"trained.{training.name}.instructions") for file in trained.instructions
            ],
            "initial": [self.selector(before)] if before.stages else [trained.initial] if trained.initial else [],
        }
        return {name: found for name, found in files.items() if found}

    def network_files(self, training: Training) -> list[str]:
        """The files of the vision encoder, the language model and the initial selector, where they are folders."""
        trained = training.trained
        network, folder = trained.selector, Path(trained.initial or "")
        initial = sorted(file.as_posix() for file in folder.iterdir()) if trained.initial and folder.is_dir() else []
        return [*self.weights(network.vision), *self.weights(network.llm), *initial]

    def network_checkpoints(self, training: Training) -> list[str]:
        """The manifests of both, where they come from the hub."""
        network = training.trained.selector
        return [*self.checkpoint(network.vision), *self.checkpoint(network.llm)]

    def training_options(self, training: Training) -> list[str]:
        """What train_selector.py is told of its files."""
        given = self.training_inputs(training)
        return [word for name, files in given.items() for word in (f"--{name}", *files)]

    @staticmethod
    def launcher(training: Training) -> list[str]:
        """What runs a stage: Python, or on several GPUs one process each."""
        gpus = training.trained.gpus
        return ["python"] if gpus == 1 else ["torchrun", "--standalone", f"--nproc-per-node={gpus}"]

    def _shard_labels(self, dataset: str, labelled: str) -> list[str]:
        return self._divided(f"results/pseudo_labels/{dataset}/{labelled}", ".parquet", self.dataset(dataset).shards)

    def imported(self, selecting: Selecting) -> dict[str, str]:
        """The files of a selection that is not made here, by what they are."""
        selector = selecting.selector
        assert isinstance(selector, Imported)
        return {name: self._there(getattr(selector, name), f"selectors: {name}") for name in ("original", "selection")}

    def scores_needed(self, dataset: str, selecting: Selecting) -> list[str]:
        """The scores that a selection reads: one file, or none."""
        return [self.scores(dataset, selecting.scorer)] if selecting.scorer else []

    def embeddings_needed(self, dataset: str, selecting: Selecting) -> list[str]:
        """The embeddings that a selection reads: the files of all shards, or none."""
        return self._embeddings(dataset, selecting.encoder) if selecting.encoder else []

    def _embeddings(self, dataset: str, encoder: Encoder) -> list[str]:
        folder = f"results/embeddings/{dataset}/{self.encoder_id(encoder)}"
        return self._divided(folder, ".safetensors", self.dataset(dataset).shards)

    def features_needed(self, dataset: str, selecting: Selecting) -> list[str]:
        """The files of scores and embeddings behind a selection; ``*`` stands for all shards, for specs to be short."""
        scorer = selecting.scorer
        scores = (
            self.shard_scores(dataset, self.scorer_id(scorer))
            if isinstance(scorer, Encoder)
            else self.scores_needed(dataset, selecting)
        )
        files = [*scores, *self.embeddings_needed(dataset, selecting)]
        return list(dict.fromkeys(re.sub(r"/\d+-of-", "/*-of-", file) for file in files))

    def videos_of(self, table: str) -> list[str]:
        """The table of videos; none for a table of runs that others did, which need no videos here."""
        return [self.videos(self.table(table).dataset)] if self.table(table).selectors else []

    def selection(self, dataset: str, selecting: Selecting) -> str:
        return f"results/selections/{dataset}/{self.selecting_id(selecting)}.json"

    def answers(self, dataset: str, answering: Answering, selecting: Selecting) -> list[str]:
        folder = f"results/answers/{dataset}/{self.answering_id(dataset, answering)}/{self.selecting_id(selecting)}"
        return self._divided(folder, ".json", self.dataset(dataset).chunks)

    def run_answers(self, dataset: str, run: str) -> str:
        return f"results/answers/{dataset}/runs/{run}.json"

    def run_files(self, run: str) -> dict[str, str]:
        """The files of a finished run, by what they are."""
        found = self.config.runs[run]
        files = {"samples": found.samples} | ({"results": found.results} if found.results else {})
        return {name: self._there(file, f"runs.{run}.{name}") for name, file in files.items()}

    def answers_of(self, name: str) -> list[str]:
        """Every file of answers of a table, each once."""
        return list(dict.fromkeys(file for cell in self.table_spec(name)["cells"] for file in cell["answers"]))

    def subtitles(self, dataset: str, answering: Answering) -> list[str]:
        """The option that names the folder of the subtitles, where they are shown."""
        folder = self.dataset(dataset).subtitle_dir
        return ["--subtitles", folder.as_posix()] if answering.subtitles != "none" and folder else []

    def judge_connection(self, name: str) -> dict[str, Any]:
        """What the judge of a table needs beside its spec."""
        judge = self.table(name).judge
        return self.config.judges[judge].connection() if judge else {}

    @staticmethod
    def gpus(answerer: Answerer) -> int:
        """GPUs that a job of an answerer takes."""
        return 1 if isinstance(answerer, LocalAnswerer) else 0

    # Files of a dataset. Where they may come from the hub, the manifest of download_dataset is what later rules wait
    # for, and a digest of what the user put there or changed is a parameter; it is the same before and after a
    # download. Where nothing is downloaded, the files themselves are the input.

    def manifest(self, dataset: str) -> str:
        return f"results/datasets/{dataset}.json"

    def original_labels(self, dataset: str) -> str:
        """What convert_labels waits for."""
        if self.dataset(dataset).downloads:
            return self.manifest(dataset)
        return self._given(dataset, "labels", self.dataset(dataset).labels_file)

    def video_files(self, dataset: str) -> list[str]:
        """What index_videos waits for: the videos that are there now, or, for the demo, those that will be.

        None where there are very many: `video_state` tells of those, which costs Snakemake nothing.
        """
        folder = self.dataset(dataset).video_dir
        if world := self.world_of(folder):
            return [self.demo_video(world, video) for video in video_ids(self.worlds[world])]
        if self.dataset(dataset).downloads:
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
            self._listings[dataset] = [file.as_posix() for file in VideoFolder(self.dataset(dataset).video_dir).all()]
        return self._listings[dataset]

    def label_state(self, dataset: str) -> str:
        """What tells labels that the user gave or exchanged from those that were downloaded."""
        chosen = self.dataset(dataset)
        return self._by_hand(dataset, [chosen.labels_file]) if chosen.downloads else ""

    def video_state(self, dataset: str) -> str:
        """What tells that a video was exchanged, even for one with an older date."""
        chosen = self.dataset(dataset)
        if self.world_of(chosen.video_dir):
            return ""
        if dataset not in self._video_states and not chosen.downloads:
            files = [(file, os.stat(file)) for file in self._listing(dataset)]
            dated = not self.video_files(dataset)  # else Snakemake looks at the dates
            state = [[file, found.st_size, *([found.st_mtime_ns] if dated else [])] for file, found in files]
            self._video_states[dataset] = spec_id(state)
        if dataset not in self._video_states:
            gone = [file.as_posix() for file in downloaded(chosen.data_dir, chosen.video_dir) if not file.is_file()]
            changed = self._by_hand(dataset, VideoFolder(chosen.video_dir).all())
            self._video_states[dataset] = changed if not gone else spec_id([changed, gone])
        return self._video_states[dataset]

    def _by_hand(self, dataset: str, files: list[Path]) -> str:
        changed = by_hand(self.dataset(dataset).data_dir, files)
        return spec_id(changed) if changed else ""

    def evidence(self, dataset: str) -> list[str]:
        """The evidence file, or nothing where the dataset has none."""
        file = self.dataset(dataset).evidence_file
        return [self._given(dataset, "evidence", file)] if file else []

    @staticmethod
    def checkpoint(component: Any) -> list[str]:
        """The manifest of a checkpoint of the hub; nothing for a folder, or for what runs no checkpoint here."""
        if not isinstance(component, Checkpoint | LanguageModel) or component.revision is None:
            return []
        return [manifest_path(component.model, component.revision)]

    def weights(self, component: Any) -> list[str]:
        """The files of a checkpoint folder; not those of a checkpoint of the hub, which its revision pins."""
        if not isinstance(component, Checkpoint | LanguageModel):
            return []
        more = component.files() if isinstance(component, Checkpoint) else []
        if not is_folder(component.model):
            return more
        folder = Path(component.model)
        if self._made_later(component):
            return [folder.as_posix(), *more]
        if not folder.is_dir():
            raise InputError(
                "there is no such folder", field="model", value=component.model, expected="a folder with a checkpoint"
            )
        own = (file.as_posix() for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
        return sorted([*own, *more])

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

    @staticmethod
    def _there(file: str, field: str) -> str:
        if not Path(file).is_file():
            raise InputError("there is no such file", field=field, value=file)
        return file

    # For the rules

    def demo_training(self, model: str) -> DemoTraining | SelectorStart:
        """How one of the demo's models is trained."""
        return self.config.demo.selector_start if model == "selector_start" else self.config.demo.training

    @staticmethod
    def spec(value: Any) -> str:
        """The text of a spec, as a rule's parameter."""
        return canonical_json(value)

    def code(self, program: str, *components: Component) -> str:
        """The code digest of a program with the implementations it loads by name."""
        roots = (program, *(component.module for component in components))
        if roots not in self._codes:
            self._codes[roots] = code_digest(*roots)
        return self._codes[roots]
