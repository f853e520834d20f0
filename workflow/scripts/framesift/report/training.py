"""Training curves of the selectors behind a table: curves.csv, which train_selector.py writes beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framesift.core.errors import InputError
from framesift.storage.files import read_csv

#: Steps per mean of the losses; those of single batches are noisy.
SMOOTHED = 20
#: What validation measures besides the loss: column of the file -> title.
QUALITIES = {"ndcg": "NDCG", "recall": "recall at k", "evidence_recall": "evidence recall"}
TASKS = ("importance", "instruction")
HELD_OUT = "importance, held out"
Points = list[tuple[int, float]]


@dataclass(frozen=True)
class TrainingCurve:
    """Points (step, value); steps continue over the stages.

    Attributes
    ----------
    losses : dict
        By task: means of at most `SMOOTHED` steps.
    validation : dict
        ``loss``, and those of `QUALITIES` that were measured.
    stages : list of int
        The first step of each stage.
    """

    losses: dict[str, Points]
    validation: dict[str, Points]
    stages: list[int]

    @property
    def all_losses(self) -> dict[str, Points]:
        """Losses of the tasks, and of videos held out."""
        held_out = {HELD_OUT: self.validation["loss"]} if "loss" in self.validation else {}
        return {**self.losses, **held_out}

    @property
    def qualities(self) -> dict[str, Points]:
        """What was measured on videos held out, by title."""
        return {title: self.validation[name] for name, title in QUALITIES.items() if name in self.validation}


def read_curve(path: str | Path) -> TrainingCurve | None:
    """Read ``curves.csv``; None if it does not exist.

    Raises
    ------
    InputError
        If the file has other columns or values.
    """
    if not Path(path).is_file():
        return None
    losses: dict[str, Points] = {}
    validation: dict[str, Points] = {}
    stages: list[int] = []
    before, last, stage = 0, 0, ""
    for number, row in enumerate(read_csv(path), start=2):
        try:
            if row["stage"] != stage:
                before, stage = before + last, row["stage"]
                stages.append(before + 1)
            last = int(row["step"])
            if row["task"] == "validation":
                for name in ("loss", *QUALITIES):
                    if row[name]:
                        validation.setdefault(name, []).append((before + last, float(row[name])))
            elif row["task"] in TASKS:
                losses.setdefault(row["task"], []).append((before + last, float(row["loss"])))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("is no row of a training", file=path, field=f"line {number}", value=str(error)) from None
    return TrainingCurve({task: _smoothed(points) for task, points in losses.items()}, validation, stages)


def _smoothed(points: Points) -> Points:
    parts = [points[start : start + SMOOTHED] for start in range(0, len(points), SMOOTHED)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
