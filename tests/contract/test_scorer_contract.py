"""The contract of scorers, for every member that has a tiny checkpoint or needs none."""

import pytest

from framesift.core.components import build, implementation, kinds
from framesift.interop.contract import check_scorer
from tiny_checkpoints import WRITERS


@pytest.mark.parametrize("kind", kinds("scorers"))
def test_every_scorer_keeps_the_contract(kind, tmp_path):
    if implementation("scorers", kind).checkpoint != "transformers" or kind not in WRITERS:
        pytest.skip("tests/support/tiny_checkpoints.py writes no checkpoint of it")
    WRITERS[kind](tmp_path)
    check_scorer(build("scorers", {"kind": kind, "model": str(tmp_path)}))
