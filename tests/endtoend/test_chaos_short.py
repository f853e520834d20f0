"""A short piece of `make chaos`: damaged caches, kill -9 while they are rebuilt, and a failing disk."""

import errno
import sys
from pathlib import Path
from random import Random

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "chaos"))

from faults import DamagedCache, Unable, VideosUnreadable
from kills import KillLoop
from world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("chaos").resolve() / "project")


def test_damaged_caches_and_killed_processes_change_nothing(world):
    DamagedCache("bit flipped").strike(world, Random(1))
    loop = KillLoop(world, Random(1))
    loop.until(3, "worker", "rule", "everything")  # looks after each run
    assert min(loop.kills[kind] for kind in ("worker", "rule", "everything")) >= 1
    assert world.counts["redone"] == 0


def test_videos_that_are_away_for_a_moment_are_no_broken_videos(world):
    fault = VideosUnreadable("an I/O error in a video", errno.EIO, "scoring", in_the_middle=True)
    try:
        fault.meet(world, Random(2))
    except Unable as reason:
        pytest.skip(str(reason))
