"""The contract of answerers, for every member that has a tiny checkpoint."""

import pytest

from framesift.answering.answerers import LocalAnswerer
from framesift.core.components import build, implementation, kinds
from framesift.core.errors import InputError
from framesift.interop.contract import check_answerer
from tiny_checkpoints import WRITERS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOCAL = [kind for kind in kinds("answerers") if issubclass(implementation("answerers", kind), LocalAnswerer)]


@pytest.mark.parametrize("kind", kinds("answerers"))
def test_every_answerer_keeps_the_contract(kind, tmp_path):
    if kind not in WRITERS:
        pytest.skip("tests/support/tiny_checkpoints.py writes no checkpoint of it")
    WRITERS[kind](tmp_path)
    check_answerer(build("answerers", {"kind": kind, "model": str(tmp_path), "dtype": "float32"}))


@pytest.mark.parametrize("kind", LOCAL)
def test_a_hub_checkpoint_is_pinned_to_a_commit(kind):
    for revision in ({}, {"revision": "main"}):
        with pytest.raises(InputError, match="pinned to"):
            build("answerers", {"kind": kind, "model": "owner/name", **revision})
    assert build("answerers", {"kind": kind, "model": "owner/name", "revision": COMMIT}).spec()["revision"] == COMMIT


@pytest.mark.parametrize("kind", kinds("answerers"))
def test_a_label_is_no_part_of_the_spec(kind):
    spec = {"kind": kind, "model": "./model"}
    assert build("answerers", {**spec, "label": "Ours"}).spec() == build("answerers", spec).spec()
