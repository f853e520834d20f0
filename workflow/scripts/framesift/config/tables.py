"""What tables, measures, comparisons and reports are made from: their rows, each with its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from framesift.config.models import Table
from framesift.config.plan import Plan
from framesift.config.steps import PlannedCell, Selecting
from framesift.core.components import Component
from framesift.core.errors import InputError
from framesift.core.spec import canonical_json, spec_id
from framesift.papers.methods_text import setup_of
from framesift.papers.published import FOLDER
from framesift.papers.references import REFERENCES
from framesift.scoring.encoders import Encoder
from framesift.scoring.scorers import ScoreSource
from framesift.scoring.scorers.mllm_selector import MllmSelector
from framesift.scoring.scorers.pseudo_labels import PseudoLabels
from framesift.selection.selectors import SelectionSource
from framesift.storage.checksums import file_digest
from framesift.tables.rows import ORACLE


class Tables:
    """Specs and inputs of the rules that look at whole tables.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def spec(self, name: str) -> dict[str, Any]:
        """The table with the files of each cell: which file belongs where is never left to an order."""
        table = self.plan.table(name)
        return {
            "table": name,
            "dataset": table.dataset,
            "protocol": table.protocol,
            "baseline": self._baseline(table),
            "group_by": table.group_by,
            "evidence_tolerance": self.plan.dataset(table.dataset).evidence_tolerance,
            "seed": self.plan.config.seed,
            "cells": [
                *(self._cell(table, cell) for cell in self.plan.cells(name)),
                *(self._run_cell(table, run) for run in table.runs),
            ],
        }

    def answers_of(self, name: str) -> list[str]:
        """Every file of answers of a table, each once."""
        return list(dict.fromkeys(file for cell in self.spec(name)["cells"] for file in cell["answers"]))

    def videos_of(self, table: str) -> list[str]:
        """The table of videos; none for a table of runs that others did, which need no videos here."""
        return [self.plan.videos(self.plan.table(table).dataset)] if self.plan.table(table).selectors else []

    def judge_spec(self, name: str) -> dict[str, Any]:
        """How the answers of a table are judged, and where they are."""
        table = self.plan.table(name)
        judge = self.plan.config.judges[table.judge].spec() if table.judge else None
        return {
            "dataset": self.plan.dataset(table.dataset).task_spec(),
            "unparsed": table.unparsed,
            "judge": judge,
            "cells": {cell["id"]: cell["answers"] for cell in self.spec(name)["cells"]},
        }

    def judge_connection(self, name: str) -> dict[str, Any]:
        """What the judge of a table needs beside its spec."""
        judge = self.plan.table(name).judge
        return self.plan.config.judges[judge].connection() if judge else {}

    def measure_spec(self, name: str) -> dict[str, Any]:
        """The selections of a table, each once; what a variant of an answerer does with them is none of them."""
        table = self.plan.table(name)
        keys = ("method", "scorer", "budget", "selection")
        cells = [
            self._cell(table, cell)
            for cell in self.plan.cells(name)
            if cell.answering.answerer.variant_of is None and not cell.churn
        ]
        selections = {canonical_json([cell[key] for key in keys]): cell for cell in cells}
        return {
            "baseline": self._baseline(table),
            "selections": [{key: cell[key] for key in keys} for cell in selections.values()],
        }

    def measured_embeddings(self, name: str) -> list[str]:
        """Embeddings for redundancy, where a selection of the table needs some anyway: those of the first."""
        dataset = self.plan.table(name).dataset
        needed = [
            self.plan.embeddings_needed(dataset, cell.selecting)
            for cell in self.plan.cells(name)
            if cell.selecting.encoder
        ]
        return needed[0] if needed else []

    @property
    def references(self) -> list[str]:
        """The works that a project adds to those of Framesift: config/references.bib, if there is one."""
        return [file.as_posix() for file in [Path("config/references.bib")] if file.is_file()]

    @property
    def published(self) -> list[str]:
        """The published numbers that a project adds to those of Framesift: config/published/*.csv."""
        return sorted(file.as_posix() for file in Path("config/published").glob("*.csv"))

    @staticmethod
    def published_digest() -> str:
        """A digest of the published numbers and works that come with Framesift, wherever it is installed."""
        return f"published {spec_id([file_digest(file) for file in [*sorted(FOLDER.glob('*.csv')), REFERENCES]])}"

    @staticmethod
    def references_digest() -> str:
        """A digest of the works that come with Framesift."""
        return f"references {spec_id(file_digest(REFERENCES))}"

    def published_spec(self, name: str) -> dict[str, Any]:
        """What each row of a table was made from, to find published numbers of the same.

        No row for questions that are only written in the form of a benchmark, such as those of the demo.
        """
        table = self.plan.table(name)
        dataset = self.plan.dataset(table.dataset)
        own = table.selectors and setup_of(self.plan.config, name)["in_form_of"]
        rows = []
        for cell in [] if own else self.plan.cells(name):
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
        if not self.plan.table(name).selectors:
            raise InputError("the runs of others are for them to describe", field=f"tables.{name}")
        return setup_of(self.plan.config, name)

    def report_spec(self, name: str) -> dict[str, Any]:
        """The spec of a table, with the scores that its selections were made from, and how scorers were trained."""
        dataset = self.plan.table(name).dataset
        training = {
            self._label(cell.selecting.scorer, cell.scorer_name): f"{cell.selecting.scorer.model}/curves.csv"
            for cell in self.plan.cells(name)
            if isinstance(cell.selecting.scorer, MllmSelector) and not cell.selecting.scorer.revision
        }
        return {
            "table": self.spec(name),
            "scores": {
                self.plan.selection(dataset, cell.selecting): self.plan.scores(dataset, cell.selecting.scorer)
                for cell in self.plan.cells(name)
                if cell.selecting.scorer
            },
        } | ({"training": training} if training else {})

    def report_inputs(self, name: str) -> dict[str, Any]:
        """The files that figures and the report read besides the table's own, by what they are."""
        spec = self.report_spec(name)
        selections = [cell["selection"] for cell in spec["table"]["cells"] if cell["selection"]]
        return {
            "labels": self.plan.labels(self.plan.table(name).dataset),
            "videos": self.videos_of(name),
            "evidence": self.plan.sources.evidence(self.plan.table(name).dataset),
            "selections": list(dict.fromkeys(selections)),
            "answers": self.answers_of(name),
            "scores": sorted(set(spec["scores"].values())),
        }

    @staticmethod
    def templates() -> str:
        """A digest of what the report's page is made from besides code."""
        folder = Path(__file__).parents[1] / "report" / "templates"
        return spec_id([file_digest(file) for file in sorted(folder.iterdir())])

    def _cell(self, table: Table, cell: PlannedCell) -> dict[str, Any]:
        selecting, answering = cell.selecting, cell.answering
        answers = self.plan.answers(table.dataset, answering, selecting)
        return {
            "id": Path(answers[0]).parent.relative_to("results/answers").as_posix(),
            **self._row_names(cell),
            "scorer": self._label(selecting.scorer, cell.scorer_name) if selecting.scorer else None,
            "budget": selecting.budget,
            "released": not selecting.selector.fair,
            **({"oracle": True} if selecting.selector.needs_evidence else {}),
            **({"churn": cell.churn} if cell.churn else {}),
            "showing": {
                key: value
                for key, value in self.plan.answer_spec(table.dataset, answering, selecting).items()
                if key in ("protocol", "control", "budget", "uniform", "seed")
            },
            "uniform": answering.answerer.released_uniform if selecting.selector.kind == "uniform" else None,
            "selection": self.plan.selection(table.dataset, selecting),
            "features": self._features(table.dataset, selecting),
            "answers": answers,
        }

    def _run_cell(self, table: Table, name: str) -> dict[str, Any]:
        run = self.plan.config.runs[name]
        return {
            "id": f"{table.dataset}/runs/{name}",
            "answerer": run.answerer,
            "method": run.method,
            "budget": run.budget,
            "selection": None,
            "answers": [self.plan.run_answers(table.dataset, name)],
        }

    def _row_names(self, cell: PlannedCell) -> dict[str, str]:
        """Answerer and method of a row; a variant of an answerer is another method of that one."""
        answerer, method = cell.answering.answerer, self._method(cell.selecting.selector, cell.selector_name)
        name = self._label(answerer, cell.answerer_name)
        if answerer.variant_of is None:
            return {"answerer": name, "method": method}
        original = self.plan.config.answerers[answerer.variant_of]
        return {"answerer": self._label(original, answerer.variant_of), "method": f"{method} + {name}"}

    def _baseline(self, table: Table) -> str:
        if not table.selectors:
            return self.plan.config.runs[table.baseline].method
        return self._method(self.plan.config.selectors[table.baseline], table.baseline)

    def _method(self, selector: Component, name: str) -> str:
        """The name of a selector in a table, which marks an oracle as one."""
        oracle = ORACLE if isinstance(selector, SelectionSource) and selector.needs_evidence else ""
        return self._label(selector, name) + oracle

    @staticmethod
    def _label(component: Component | None, name: str | None) -> str:
        return (component.label if component else None) or name or ""

    def _features(self, dataset: str, selecting: Selecting) -> list[str]:
        """The files of scores and embeddings behind a selection; ``*`` stands for all shards, for specs to be short."""
        scores = self._scored(dataset, selecting.scorer) if selecting.scorer else []
        files = [*scores, *self.plan.embeddings_needed(dataset, selecting)]
        return list(dict.fromkeys(re.sub(r"/\d+-of-", "/*-of-", file) for file in files))

    def _scored(self, dataset: str, scorer: ScoreSource) -> list[str]:
        """What the jobs wrote that looked at frames, or imported scores."""
        if isinstance(scorer, PseudoLabels):
            behind = [self.plan.scorers[scorer.stand_in]] if scorer.stand_in else []
            labels = self.plan.shard_labels(dataset, self.plan.scorer_id(scorer))
            summaries = [str(Path(file).with_suffix(".json")) for file in labels]  # these say on what they were made
            return [*summaries, *(file for one in behind for file in self._scored(dataset, one))]
        if isinstance(scorer, Encoder):
            return self.plan.shard_scores(dataset, self.plan.scorer_id(scorer))
        return [self.plan.scores(dataset, scorer)]
