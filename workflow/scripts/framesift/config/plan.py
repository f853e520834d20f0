"""The plan: which files a configuration asks for, and the spec and code of each rule that makes one.

The rules hold no logic of their own: paths, ids, specs and code digests all come from here. A path that ends in an id
is addressed by content: the id is a digest of everything configured that the file depends on, so going back to an
earlier setting finds the earlier result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from framesift.answering.answerers import Answerer, LocalAnswerer
from framesift.checkpoints.component import Checkpoint
from framesift.config.models import Config, Table
from framesift.config.sources import Sources, made_later, there
from framesift.config.steps import Answering, PlannedCell, Selecting, Training
from framesift.core import code_digest
from framesift.core.components import Component
from framesift.core.errors import InputError, did_you_mean
from framesift.core.spec import canonical_json, plain, spec_id
from framesift.core.versions import Stage, versions_of
from framesift.data.benchmarks import Dataset
from framesift.scoring.encoders import Encoder
from framesift.scoring.mllm_selector.settings import LanguageModel
from framesift.scoring.scorers import Scorer, ScoreSource
from framesift.scoring.scorers.mllm_selector import SELECTORS, MllmSelector
from framesift.scoring.scorers.pseudo_labels import PseudoLabels
from framesift.selection.selectors.random import Random

#: Parts of the spec of answers that are the same for whatever a job asks.
_OF_THE_ANSWERER = ("answerer", "dataset")


class Plan:
    """Paths, specs and code digests for a checked configuration.

    Attributes
    ----------
    sources : Sources
        What it starts from.
    scorers, encoders, selectings, answerers, trainings, checkpoints : dict
        All that tables ask for, by the ids that paths hold.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.candidates = plain(config.candidates.spec())
        self.trainings: dict[str, Training] = {}
        self.config = config = self._resolved(config)
        self.sources = Sources(config)
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
            for manifest in self.sources.checkpoint(one)
        }
        self._cells: dict[str, list[PlannedCell]] = {}
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
                yield from scorer.labellers()
        for trained in config.trained.values():
            yield from (trained.selector.vision, trained.selector.llm)

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
        return [name for name, file in files.items() if file.is_file() or self.sources.world_of(file)]

    def cells(self, name: str) -> list[PlannedCell]:
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

    def _make_cells(self, name: str) -> list[PlannedCell]:
        config, table = self.config, self.table(name)
        cells: list[PlannedCell] = []
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
                        shown = [one for one in table.controls if one != "churn"]
                        controls = shown if selector_name == table.baseline else []
                        cells += [
                            PlannedCell(answerer, replace(answering, control=control), selector_name, scorer, selecting)
                            for control in (None, *controls)
                        ]
                for draw in (0, 1) if "churn" in table.controls else ():
                    selecting = Selecting(Random(draw=draw), budget, None, None)
                    cells.append(PlannedCell(answerer, answering, "random", None, selecting, f"churn {draw + 1}"))
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
        return [self.scores(dataset, self.scorers[scorer.stand_in])] if scorer.stand_in else []

    def selector(self, training: Training) -> str:
        """The folder of a selector that is trained."""
        return (SELECTORS / training.name / self.training_id(training)).as_posix()

    def training_inputs(self, training: Training) -> dict[str, list[str]]:
        """What a stage of training reads, by the option of the program."""
        trained = training.trained
        labels, encoder = self.scorer_id(self._labels_of(training)), trained.selector.vision
        before = training.before()
        files = {
            "examples": [file for name in trained.data for file in self.shard_labels(name, labels)],
            "features": [
                file for name in (*trained.data, *trained.validation) for file in self._embeddings(name, encoder)
            ],
            "validation": [file for name in trained.validation for file in self.shard_labels(name, labels)],
            "instructions": [there(file, f"trained.{training.name}.instructions") for file in trained.instructions],
            "initial": [self.selector(before)] if before.stages else [],
        }
        return {name: found for name, found in files.items() if found}

    def network_parts(self, training: Training) -> list[Any]:
        """What a training starts from: vision encoder, language model, and the initial selector, if there is one."""
        trained = training.trained
        return [trained.selector.vision, trained.selector.llm, *([trained.initial] if trained.initial else [])]

    def network_checkpoints(self, training: Training) -> list[str]:
        """The manifests of both, where they come from the hub."""
        network = training.trained.selector
        return [*self.sources.checkpoint(network.vision), *self.sources.checkpoint(network.llm)]

    def training_options(self, training: Training) -> list[str]:
        """What train_selector.py is told of its files."""
        given = self.training_inputs(training)
        if training.trained.initial and not training.before().stages:
            given["initial"] = [training.trained.initial]
        return [word for name, files in given.items() for word in (f"--{name}", *files)]

    def shard_labels(self, dataset: str, labelled: str) -> list[str]:
        """The files of labels; beside each lies one with what was made on what, as JSON."""
        return self._divided(f"results/pseudo_labels/{dataset}/{labelled}", ".parquet", self.dataset(dataset).shards)

    def scores_needed(self, dataset: str, selecting: Selecting) -> list[str]:
        """The scores that a selection reads: one file, or none."""
        return [self.scores(dataset, selecting.scorer)] if selecting.scorer else []

    def embeddings_needed(self, dataset: str, selecting: Selecting) -> list[str]:
        """The embeddings that a selection reads: the files of all shards, or none."""
        return self._embeddings(dataset, selecting.encoder) if selecting.encoder else []

    def _embeddings(self, dataset: str, encoder: Encoder) -> list[str]:
        folder = f"results/embeddings/{dataset}/{self.encoder_id(encoder)}"
        return self._divided(folder, ".safetensors", self.dataset(dataset).shards)

    def selection(self, dataset: str, selecting: Selecting) -> str:
        return f"results/selections/{dataset}/{self.selecting_id(selecting)}.json"

    def answers(self, dataset: str, answering: Answering, selecting: Selecting) -> list[str]:
        folder = f"results/answers/{dataset}/{self.answering_id(dataset, answering)}/{self.selecting_id(selecting)}"
        return self._divided(folder, ".json", self.dataset(dataset).chunks)

    def run_answers(self, dataset: str, run: str) -> str:
        return f"results/answers/{dataset}/runs/{run}.json"

    # For the rules

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
            if isinstance(one, Encoder) and one.env == encoder.env and not made_later(one)
        }
        needed.pop(canonical_json(encoder.spec()), None)
        return [one.spec() | {"batch_size": one.batch_size} for _, one in sorted(needed.items())]

    @staticmethod
    def env(component: Encoder | Answerer) -> str:
        """The conda environment of a scorer, an encoder or an answerer; a plug-in may bring its own file."""
        if component.env.endswith(".yaml"):
            return str(component.class_file.with_name(component.env))
        return f"../envs/{component.env}.yaml"

    @staticmethod
    def gpus(answerer: Answerer) -> int:
        """GPUs that a job of an answerer takes."""
        return 1 if isinstance(answerer, LocalAnswerer) else 0

    @staticmethod
    def given(files: Any, *names: str) -> list[str]:
        """Options for those inputs of a rule that are there, each some files or none."""
        found = {name: files.get(name) for name in names}
        return [
            word
            for name, some in found.items()
            if some
            for word in (f"--{name}", *([some] if isinstance(some, str) else some))
        ]

    @staticmethod
    def spec(value: Any) -> str:
        """The text of a spec, as a rule's parameter."""
        return canonical_json(value)

    @staticmethod
    def program(name: str) -> Callable[[Any, int], str]:
        """The path of a program, as a parameter. It looks at `threads`, so a moved checkout causes no reruns."""
        return lambda wildcards, threads: str(code_digest.SCRIPTS / name)

    @staticmethod
    def made_with(*parts: Stage | Component) -> str:
        """The declared versions of the stages and components that make a costly result."""
        return canonical_json(versions_of(*parts))

    def code(self, program: str, *components: Component) -> str:
        """The code digest of a program with the implementations it loads by name."""
        roots = (program, *(component.module for component in components))
        if roots not in self._codes:
            self._codes[roots] = code_digest.code_digest(*roots)
        return self._codes[roots]
