"""The contract of selectors, for every member."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framesift.core.components import build
from framesift.interop.contract import check_selector
from framesift.selection.selectors import Candidates, Selector, choose, methods, question_rng

scores = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=200)


def candidates(values):
    """Candidates with these scores; embeddings and query follow from them: equal scores, equal frames."""
    values = np.asarray(values, dtype=np.float64)
    distinct, frames = np.unique(values, return_inverse=True)
    vectors = np.random.default_rng(zlib.crc32(values.tobytes())).standard_normal((len(distinct) + 1, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Candidates(np.arange(len(values), dtype=float), values, vectors[frames], vectors[-1])


@pytest.mark.parametrize("kind", methods())
def test_every_selector_keeps_the_contract(kind):
    check_selector(build("selectors", {"kind": kind}))


@pytest.mark.parametrize("kind", methods())
@settings(deadline=None)
@given(values=scores, budget=st.integers(1, 4) | st.integers(1, 70), seed=st.integers(0, 5))
def test_every_selector_gives_exactly_the_budget_in_time_order(kind, values, budget, seed):
    selector = build("selectors", {"kind": kind})
    positions = choose(selector, candidates(values), budget, question_rng(seed, "q")).positions
    assert len(positions) == min(budget, len(values))
    assert np.all(np.diff(positions) > 0)
    assert positions.min() >= 0
    assert positions.max() < len(values)
    again = choose(selector, candidates(values), budget, question_rng(seed, "q")).positions
    assert np.array_equal(again, positions)


class Broken(Selector):
    """A selector that breaks one promise after the other."""

    title = "broken"
    random = False
    kind: str = "broken"

    def select(self, candidates, budget, rng):
        return np.arange(budget)


class DrawsInSecret(Broken):
    """Random frames, undeclared."""

    title = "draws"

    def select(self, candidates, budget, rng):
        return rng.choice(len(candidates), budget, replace=False)


class ReadsMore(Broken):
    """Reads embeddings that it does not need."""

    title = "reads"

    def select(self, candidates, budget, rng):
        return np.argsort(candidates.embeddings[:, 0])[:budget]


class Sorts(Broken):
    """Changes its input."""

    title = "sorts"

    def select(self, candidates, budget, rng):
        candidates.scores.sort()
        return np.arange(budget)


class Untitled(Broken):
    """Has no title."""


@pytest.mark.parametrize(
    ("cls", "problem"),
    [(DrawsInSecret, "random: set it"), (ReadsMore, "array"), (Sorts, "read-only"), (Untitled, "Untitled.title")],
)
def test_a_broken_promise_is_named(cls, problem):
    check_selector(Broken())
    with pytest.raises((AssertionError, IndexError, ValueError), match=problem):
        check_selector(cls())
