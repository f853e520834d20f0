"""Shards: groups of videos, one job each."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from pathlib import Path

from framesift.core.errors import InputError
from framesift.data.questions import Question, read_questions
from framesift.storage.files import read_json
from framesift.video.table import Video


def assign_shards(videos: Mapping[str, Video], n_shards: int) -> dict[str, int]:
    """Divide videos into shards of about the same duration.

    Videos go to the shard with the least so far, longest first (longest processing time rule). Ties go to the smaller
    id and shard, so the same videos always give the same shards. A video that cannot be used counts as empty; its shard
    reports it.

    Parameters
    ----------
    videos : mapping
        Videos by id.
    n_shards : int
        Number of shards, at least 1.

    Raises
    ------
    InputError
        For fewer than one shard.

    Returns
    -------
    dict
        Shard number (1 to `n_shards`) by video id, sorted by id.

    Examples
    --------
    >>> videos = {name: Video(name, "", duration=seconds) for name, seconds in [("a", 60), ("b", 50), ("c", 20)]}
    >>> assign_shards(videos, 2)
    {'a': 1, 'b': 2, 'c': 2}
    """
    if not isinstance(n_shards, int) or n_shards < 1:
        raise InputError("expected a positive integer", field="shards", value=n_shards)
    loads = [(0.0, shard) for shard in range(1, n_shards + 1)]  # a heap: the shard with the least comes first
    shards = {}
    for video in sorted(videos.values(), key=lambda video: (-video.duration, video.video_id)):
        load, emptiest = loads[0]
        heapq.heapreplace(loads, (load + video.duration, emptiest))
        shards[video.video_id] = emptiest
    return dict(sorted(shards.items()))


def questions_of_shard(labels: str | Path, shards: str | Path, shard: int) -> dict[str, list[Question]]:
    """The questions about the videos of a shard, by video id, in the order of the ids.

    Parameters
    ----------
    labels : path
        From convert_labels.py.
    shards : path
        From assign_shards.py.
    shard : int
        Its number, from 1.
    """
    shard_of = read_json(shards)
    asked: dict[str, list[Question]] = {}
    for question in sorted(read_questions(labels), key=lambda question: question.video_id):
        if shard_of[question.video_id] == shard:
            asked.setdefault(question.video_id, []).append(question)
    return asked
