"""The contract of encoders, for every member that has a tiny checkpoint or needs none."""

import pytest

from framesift.core.components import build, implementation, kinds
from framesift.interop.contract import check_encoder
from tiny_checkpoints import WRITERS


@pytest.mark.parametrize("kind", kinds("encoders"))
def test_every_encoder_keeps_the_contract(kind, tmp_path):
    if implementation("encoders", kind).checkpoint != "transformers" or kind not in WRITERS:
        pytest.skip("tests/support/tiny_checkpoints.py writes no checkpoint of it")
    WRITERS[kind](tmp_path)
    check_encoder(build("encoders", {"kind": kind, "model": str(tmp_path)}))
