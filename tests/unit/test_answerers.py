"""Answerers: the contract that all of them keep, and how LLaVA-OneVision is loaded."""

import subprocess
import sys

import pytest

import tiny_llava
from framesift.answering.answerers import LocalAnswerer
from framesift.answering.answerers.llava_onevision_hf import LlavaOnevisionHf
from framesift.core.code_digest import SCRIPTS
from framesift.core.components import build, implementation, kinds
from framesift.core.errors import InputError
from local_hub import LocalHub, as_the_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


LOCAL = [kind for kind in kinds("answerers") if issubclass(implementation("answerers", kind), LocalAnswerer)]


@pytest.mark.parametrize("kind", LOCAL)
def test_a_hub_checkpoint_is_pinned_to_a_commit(kind):
    for revision in ({}, {"revision": "main"}):
        with pytest.raises(InputError, match="pinned to"):
            build("answerers", {"kind": kind, "model": "owner/name", **revision})
    assert build("answerers", {"kind": kind, "model": "owner/name", "revision": COMMIT}).spec()["revision"] == COMMIT


@pytest.mark.parametrize("kind", kinds("answerers"))
def test_importing_an_answerer_is_cheap(kind):
    module = implementation("answerers", kind).__module__
    script = f"import sys, {module}; print(*sorted({{'torch', 'transformers', 'lmms_eval', 'av'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


@pytest.mark.parametrize("kind", kinds("answerers"))
def test_a_label_is_no_part_of_the_spec(kind):
    spec = {"kind": kind, "model": "./model"}
    assert build("answerers", {**spec, "label": "Ours"}).spec() == build("answerers", spec).spec()


def test_a_folder_without_a_checkpoint_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be loaded"):
        LlavaOnevisionHf(model=str(tmp_path)).load("cpu")


def test_every_file_of_a_hub_checkpoint_is_of_the_pinned_commit(tmp_path, monkeypatch):
    tiny_llava.write_checkpoint(tmp_path / "made")
    files = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("FRAMESIFT_CHECKPOINTS", str(tmp_path / "ours"))
    with LocalHub() as hub, as_the_hub(hub, monkeypatch):
        commit = hub.add("owner/name", files, kind="model")
        hub.add("owner/name", {"config.json": b"of a newer commit"}, kind="model")
        answerer = LlavaOnevisionHf(model="owner/name", revision=commit, dtype="bfloat16")
        answerer.load("cpu")
        asked = [request.path for request in hub.requests if "owner/name" in request.path]
        hub.requests.clear()
        model = answerer.load("cpu")
    assert hub.requests == []  # the second time
    assert asked
    assert all(f"/{commit}" in path for path in asked)
    assert model.pretrained == str(tmp_path / "ours" / "owner--name" / commit)
    assert str(model.model.dtype) == "torch.bfloat16"
    assert model.model.config._attn_implementation == "sdpa"
