"""Answerers: how LLaVA-OneVision is loaded."""

import pytest

import tiny_llava
from framesift.answering.answerers.llava_onevision_hf import LlavaOnevisionHf
from framesift.core.errors import InputError
from local_hub import LocalHub, as_the_hub


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
