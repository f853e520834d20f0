"""Batches of training records, each a function of its number alone, so that a run can resume anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framesift.core.errors import InputError
from framesift.scoring.embedding_table import read_features
from framesift.scoring.mllm_selector.examples import Example, Instruction
from framesift.scoring.mllm_selector.sampling import slots
from framesift.scoring.mllm_selector.settings import SelectorSettings, Stage, Task
from framesift.storage.tensors import read_tensors


@dataclass
class Batch:
    """Records of one task, as tensors.

    Attributes
    ----------
    frames : float16 tensor, shape (videos, n, patches, width)
    of : int tensor, shape (batch,)
        The video of each example, by its place in `frames`.
    texts : list of int tensors
        Tokens of questions or instructions in the template.
    targets : float32 tensor, mask : bool tensor, shape (batch, n)
        Labels; empty for instructions.
    replies : list of int tensors
        Tokens of the replies to instructions; none for labels.
    """

    frames: Tensor
    of: Tensor
    texts: list[Tensor]
    targets: Tensor = field(default_factory=lambda: torch.empty(0))
    mask: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    replies: list[Tensor] = field(default_factory=list)

    def to(self, device: Any) -> Batch:
        def moved(value: Any) -> Any:
            return [one.to(device) for one in value] if isinstance(value, list) else value.to(device)

        return Batch(**{one.name: moved(getattr(self, one.name)) for one in fields(self)})


class VideoFeatures:
    """Pooled patches of videos, read from the cache on access.

    Parameters
    ----------
    files : sequence of path
        From embed_frames.py with an encoder of kind `patches`: they name the file with the features of each video.
    """

    def __init__(self, files: Sequence[str | Path]) -> None:
        self._places: dict[str, dict[str, str]] = {}
        for path in files:
            content = read_tensors(path)
            if content is None or "videos" not in content[1]:
                raise InputError(
                    "is damaged or not a file of embeddings", file=path, hint="make it with embed_frames.py"
                )
            self._places |= json.loads(content[1]["videos"])
            self.encoder: dict[str, Any] = json.loads(content[1]["spec"])["encoder"]

    def __contains__(self, video: str) -> bool:
        return "file" in self._places.get(video, {})

    def __getitem__(self, video: str) -> np.ndarray:
        """Float16, shape (frames, patches, width).

        Raises
        ------
        InputError
            If they are no longer in the cache.
        """
        return read_features(self._places[video]["file"], video)


def in_slots(features: np.ndarray, n: int) -> Tensor:
    """The features in each of n slots, (n, patches, width), from those of all frames, (frames, patches, width)."""
    return torch.from_numpy(features[slots(len(features), n)])


class Reader:
    """Makes batches from records.

    Parameters
    ----------
    settings : SelectorSettings
    tokenizer
        Of the language model.
    features : VideoFeatures, or mapping
        Features by video id.
    """

    def __init__(self, settings: SelectorSettings, tokenizer: Any, features: Any) -> None:
        self.settings, self.tokenizer, self.features = settings, tokenizer, features

    def tokens(self, text: str) -> Tensor:
        """Tokens of a question or an instruction in the template, cut to the longest length."""
        return torch.tensor(self._cut(self.settings.prompt(text)), dtype=torch.long)

    def _cut(self, text: str) -> list[int]:
        most = self.settings.max_tokens
        return self.tokenizer(text, add_special_tokens=False, truncation=True, max_length=most)["input_ids"]

    def importance(self, examples: Sequence[Example], shifts: np.random.Generator | None = None) -> Batch:
        """A batch of labelled questions. With `shifts`, each video is rotated in time by a random number of slots."""
        frames, of = self._frames(examples)
        targets = torch.tensor([example.targets for example in examples], dtype=torch.float32)
        mask = torch.tensor([example.mask for example in examples])
        if shifts:
            turns = shifts.integers(self.settings.n, size=len(frames)).tolist()
            frames = torch.stack([one.roll(turn, 0) for one, turn in zip(frames, turns, strict=True)])
            for number, video in enumerate(of.tolist()):
                targets[number], mask[number] = targets[number].roll(turns[video]), mask[number].roll(turns[video])
        return Batch(frames, of, [self.tokens(example.text) for example in examples], targets, mask)

    def instruction(self, records: Sequence[Instruction]) -> Batch:
        """A batch of instructions with their replies."""
        end = [self.tokenizer.eos_token_id] if self.tokenizer.eos_token_id is not None else []
        replies = [self._cut(record.response) + end for record in records]
        return Batch(
            *self._frames(records),
            [self.tokens(record.prompt) for record in records],
            replies=[torch.tensor(reply, dtype=torch.long) for reply in replies],
        )

    def _frames(self, records: Sequence[Example | Instruction]) -> tuple[Tensor, Tensor]:
        """The frames of each video once, and the place of each record's video among them."""
        videos = {video: self.features[video] for video in dict.fromkeys(record.video_id for record in records)}
        for record in records:
            self._check(record, len(videos[record.video_id]))
        places = {video: place for place, video in enumerate(videos)}
        frames = torch.stack([in_slots(features, self.settings.n) for features in videos.values()])
        return frames, torch.tensor([places[record.video_id] for record in records])

    def _check(self, record: Example | Instruction, embedded: int) -> None:
        expected = len(set(record.frames)) if isinstance(record, Example) else min(embedded, self.settings.n)
        if embedded != expected:
            raise InputError(
                "the frames of an example are not the embedded ones",
                field=f"question {record.question_id}",
                value=f"{expected} frames, {embedded} embedded",
                hint="label and embed with the same candidates and the same number of frames",
            )


def rounds(size: int, batch: int) -> int:
    """Batches in a pass over `size` records.

    Examples
    --------
    >>> rounds(10, 4)
    3
    """
    return -(-size // batch)


class Draws:
    """Batches of records by number (from 0, over all passes), each a function of the arguments and its number alone.

    Each pass has its own order of groups. If its last batch is short, records from the start of that order fill it.

    Parameters
    ----------
    groups : sequence of int arrays
        Places of records that stay together.
    batch : int
    seed : sequence of int

    Examples
    --------
    >>> draws = Draws([np.array([number]) for number in range(3)], batch=2, seed=[0])
    >>> sorted({int(record) for number in range(draws.rounds) for record in draws[number]})
    [0, 1, 2]
    >>> (draws[5] == Draws(draws.groups, 2, [0])[5]).all()
    np.True_
    """

    def __init__(self, groups: Sequence[np.ndarray], batch: int, seed: Sequence[int]) -> None:
        self.groups, self.batch, self.seed = groups, batch, seed
        self.rounds = rounds(sum(map(len, groups)), batch)
        self._order: tuple[int, np.ndarray] = -1, np.empty(0)

    def __getitem__(self, number: int) -> np.ndarray:
        epoch, place = divmod(number, self.rounds)
        if self._order[0] != epoch:
            groups = np.random.default_rng([*self.seed, epoch]).permutation(len(self.groups))
            order = np.concatenate([self.groups[i] for i in groups])
            self._order = epoch, np.resize(order, self.rounds * self.batch)
        return self._order[1][place * self.batch : (place + 1) * self.batch]


class MicroBatches(torch.utils.data.Dataset[Batch]):
    """All forward passes of one device in a stage, by number: step after step, each in equal parts.

    Parameters
    ----------
    reader : Reader
    records : mapping
        By task.
    stage : Stage
    rank, world : int
        Number of this device, and of all devices.
    """

    def __init__(
        self, reader: Reader, records: dict[Task, Sequence[Any]], stage: Stage, rank: int = 0, world: int = 1
    ) -> None:
        self.reader, self.records, self.stage, self.rank = reader, records, stage, rank
        share, rest = divmod(stage.batch_size, world)
        self.micro = min(stage.micro_batch, share)
        if rest or share % max(self.micro, 1):
            raise InputError(
                f"does not divide among {world} devices in parts of {stage.micro_batch}",
                field="stage: batch_size",
                value=stage.batch_size,
                expected=f"a multiple of {world} x {stage.micro_batch}",
            )
        self.parts = share // self.micro
        self.draws = {
            task: Draws(_groups(records[task], stage.by_video), stage.batch_size, self._seed(task))
            for task in stage.tasks
        }
        self.epoch_steps = len(stage.tasks) * rounds(len(records["importance"]), stage.batch_size)
        self.steps = min(stage.epochs * self.epoch_steps, stage.max_steps or 2**62)

    def __len__(self) -> int:
        return self.steps * self.parts

    def task(self, step: int) -> Task:
        """The task of a step; tasks take turns."""
        return self.stage.tasks[step % len(self.stage.tasks)]

    def _seed(self, task: Task) -> tuple[int, int, int]:
        return self.stage.seed, self.stage.stage, self.stage.tasks.index(task)

    def __getitem__(self, number: int) -> Batch:
        step, part = divmod(number, self.parts)
        task, records = self.task(step), self.records[self.task(step)]
        chosen = self.draws[task][step // len(self.stage.tasks)]
        mine = chosen[(self.rank * self.parts + part) * self.micro :][: self.micro]
        if task == "instruction":
            return self.reader.instruction([records[i] for i in mine])
        shifts = np.random.default_rng([*self._seed(task), number, self.rank]) if self.stage.shift else None
        return self.reader.importance([records[i] for i in mine], shifts)


def _groups(records: Sequence[Example | Instruction], by_video: bool) -> list[np.ndarray]:
    """Places of records that are drawn together: those of a video, or each alone."""
    groups: dict[str | int, list[int]] = {}
    for number, record in enumerate(records):
        groups.setdefault(record.video_id if by_video else number, []).append(number)
    return [np.array(group) for group in groups.values()]
