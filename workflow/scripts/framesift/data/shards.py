"""Shards: groups of videos that one job works through."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from framesift.video.table import Video


def assign_shards(videos: Mapping[str, Video], n_shards: int) -> dict[str, int]:
    """Spread videos over shards so that each has about the same duration.

    The longest video goes first, each to the emptiest shard (longest processing time rule); ties go to the smaller
    id and shard, so the same videos always give the same shards. Videos that cannot be used count as empty: their
    shard reports them.

    Parameters
    ----------
    videos : mapping
        Videos by id.
    n_shards : int
        Number of shards, at least 1.

    Returns
    -------
    dict
        Shard number (1 to `n_shards`) by video id, sorted by id.
    """
    loads = [(0.0, shard) for shard in range(1, n_shards + 1)]  # a heap: the emptiest comes first
    shards = {}
    for video in sorted(videos.values(), key=lambda video: (-video.duration, video.video_id)):
        load, emptiest = loads[0]
        heapq.heapreplace(loads, (load + video.duration, emptiest))
        shards[video.video_id] = emptiest
    return dict(sorted(shards.items()))
