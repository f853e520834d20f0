"""Hostile input by the thousand: whoever reads it accepts it or says what is wrong with it, and never fails otherwise.

FRAMESIFT_FUZZ sets the inputs a target; ``make test-all`` and ``make fuzz`` try as many as docs/safety.md says.
"""

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from fuzz_targets import TARGETS, VALID, attempt

INPUTS = int(os.environ.get("FRAMESIFT_FUZZ", "30"))
#: Seconds that a single input may take, on a machine that has other work.
LONGEST = 20.0


@pytest.fixture
def folder():
    """In memory, where that can be: most of the time goes into opening files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as path:
        yield Path(path)


@pytest.mark.parametrize("name", VALID)
def test_what_the_changes_are_made_to_is_accepted(name, folder):
    assert attempt(name, VALID[name], folder)


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_input_is_accepted_or_refused_and_nothing_else(name, folder):
    counts, slowest = [0, 0], 0.0

    @settings(
        max_examples=max(1, round(INPUTS * TARGETS[name].share)),
        derandomize=True,  # the same inputs each time
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(TARGETS[name].inputs)
    def tried(given_input):
        nonlocal slowest
        begun = time.perf_counter()
        counts[attempt(name, given_input, folder)] += 1
        slowest = max(slowest, time.perf_counter() - begun)

    begun = time.perf_counter()
    tried()
    refused, accepted = counts
    print(f"\n{name:24} {refused + accepted:7,} inputs: {accepted:,} accepted, {refused:,} refused,"
          f" {time.perf_counter() - begun:.1f} s, slowest {slowest:.2f} s")  # fmt: skip
    assert bool(refused) == TARGETS[name].refuses
    assert slowest < LONGEST
