"""Answerers: the contract that all of them keep, and how LLaVA-OneVision is loaded."""

import subprocess
import sys

import pytest

import tiny_llava
from framesift.answerers.llava_onevision_hf import LlavaOnevisionHf
from framesift.code import SCRIPTS
from framesift.components import build, implementation, kinds
from framesift.errors import InputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("kind", kinds("answerers"))
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
    import huggingface_hub

    tiny_llava.write_checkpoint(tmp_path)
    asked = []

    def snapshot_download(name, revision, **options):
        asked.append((name, revision))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    model = LlavaOnevisionHf(model="owner/name", revision=COMMIT, dtype="bfloat16").load("cpu")
    assert asked == [("owner/name", COMMIT)]
    assert model.pretrained == str(tmp_path)
    assert str(model.model.dtype) == "torch.bfloat16"
    assert model.model.config._attn_implementation == "sdpa"
