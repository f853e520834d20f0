"""What the steps of the workflow are made of: selecting frames, answering, rows of tables, training selectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from framesift.answering.answerers import Answerer
from framesift.answering.protocols import Control, Protocol
from framesift.config.models import Trained
from framesift.core.code_digest import SCRIPTS
from framesift.core.spec import plain
from framesift.scoring.encoders import Encoder
from framesift.scoring.scorers import ScoreSource
from framesift.selection.selectors import SelectionSource


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
class PlannedCell:
    """One row of a table: an answerer that sees one selection. Each part comes with the name the user gave it.

    `churn` names one of the two random selections of that control.
    """

    answerer_name: str
    answering: Answering
    selector_name: str
    scorer_name: str | None
    selecting: Selecting
    churn: str | None = None


@dataclass(frozen=True)
class Training:
    """The first so many stages of a selector that the workflow trains."""

    name: str
    trained: Trained
    stages: int

    def before(self) -> Training:
        """The same without the last stage."""
        return replace(self, stages=self.stages - 1)

    def stage_spec(self) -> dict[str, Any]:
        """What train_selector.py is given: the last of the stages, and the network before the first."""
        stage = self.trained.stages[self.stages - 1].model_dump(mode="json")
        network = {"selector": plain(self.trained.selector)} if self.stages == 1 else {}
        return {"stage": stage} | network

    def launcher(self) -> list[str]:
        """What runs a stage: Python, or on several GPUs one process each."""
        gpus = str(self.trained.gpus)
        if gpus == "1":
            return ["python"]
        return ["python", str(SCRIPTS / "on_gpus.py"), gpus, "torchrun", "--standalone", f"--nproc-per-node={gpus}"]
