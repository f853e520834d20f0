"""Progress of a training on disk, so that a killed run resumes with the losses it would have had."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from framesift.core.errors import InputError
from framesift.program.cli import log
from framesift.storage.files import write_text
from framesift.storage.tensors import read_tensors, write_tensors

COLUMNS = ("step", "stage", "task", "loss", "lr", "ndcg", "recall", "evidence_recall")


class Curves:
    """The rows of curves.csv: the loss of each step, and the figures of validation (task ``validation``).

    Without a path the rows stay in memory: of several processes only one writes.
    """

    def __init__(self, path: Path | None, rows: list[dict[str, Any]] | None = None) -> None:
        self.path, self.rows = path, rows or []
        if path:
            write_text(path, curves_text(self.rows))

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self.path:
            with self.path.open("a", newline="") as file:
                file.write(_lines([row]))


def curves_text(rows: list[dict[str, Any]], before: str = "") -> str:
    """Rows as CSV, after the text of an earlier stage.

    Examples
    --------
    >>> print(curves_text([{"step": 1, "stage": 1, "task": "importance", "loss": 0.5, "lr": 0.001}]), end="")
    step,stage,task,loss,lr,ndcg,recall,evidence_recall
    1,1,importance,0.5,0.001,,,
    """
    return (before or ",".join(COLUMNS) + "\n") + _lines(rows)


def _lines(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(rows)
    return text.getvalue()


class TrainingState:
    """Weights, optimizer and curves after a step, in one file that is replaced atomically.

    It needs no state of random generators or of a schedule: the order of the data, the learning rate and the seed of
    each forward pass are functions of the step.

    Parameters
    ----------
    path : path
    run : str
        Identifies the run: settings, data and start.
    """

    def __init__(self, path: Path, run: str) -> None:
        self.path, self.run = path, run

    def save(
        self, step: int, trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, curves: Curves
    ) -> None:
        tensors = {f"weights/{name}": parameter.detach() for name, parameter in trained.items()}
        for name, state in zip(trained, self._states(trained, optimizer), strict=True):
            tensors |= {f"{key}/{name}": value for key, value in state.items()}
        metadata = {"run": self.run, "step": str(step), "curves": json.dumps(curves.rows)}
        write_tensors(self.path, {name: tensor.cpu().numpy() for name, tensor in tensors.items()}, metadata)

    @staticmethod
    def _states(trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> list[dict[str, torch.Tensor]]:
        states = optimizer.state_dict()["state"]  # by the number of the parameter; none for one without a gradient yet
        return [states.get(number, {}) for number in range(len(trained))]

    def load(
        self, trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> tuple[int, list[dict[str, Any]]]:
        """Restore weights and optimizer, if there is a file.

        Returns
        -------
        steps : int
            Steps done.
        rows : list of dict
            Rows of the curves.

        Raises
        ------
        InputError
            If the file belongs to another run.
        """
        if not self.path.is_file():
            return 0, []
        content = read_tensors(self.path)
        if content is None:
            log.warning("%s is damaged; training starts again", self.path)
            return 0, []
        tensors, metadata = content
        if metadata["run"] != self.run:
            raise InputError(
                "belongs to a training with other settings, data or start",
                file=self.path,
                hint="delete it, or use another folder (--work)",
            )
        states: dict[int, dict[str, torch.Tensor]] = {}
        with torch.no_grad():
            for number, (name, parameter) in enumerate(trained.items()):
                parameter.copy_(torch.from_numpy(tensors[f"weights/{name}"]))
                found = {
                    key.split("/")[0]: torch.from_numpy(tensor)
                    for key, tensor in tensors.items()
                    if key.split("/", 1)[1] == name and not key.startswith("weights/")
                }
                if found:
                    states[number] = found
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        return int(metadata["step"]), json.loads(metadata["curves"])
