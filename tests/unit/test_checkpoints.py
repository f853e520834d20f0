"""Checkpoints of a hub on loopback, by huggingface_hub's real client: found, fetched, and loaded without a network."""

import hashlib
import json
import logging
import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from framesift.checkpoints import component as models
from framesift.checkpoints import fetch as checkpoints
from framesift.checkpoints.fetch import Pinned, download_checkpoint, find, find_or_fetch, manifest_path
from framesift.checkpoints.files import small_files, weight_files
from framesift.core import code_digest as code
from framesift.core.errors import InputError
from framesift.scoring.scorers.clip import Clip
from local_hub import GRANTED, Fault, LocalHub, as_the_hub
from tiny_scorers import write_clip

REPO = "someone/model"
PROGRAM = code.SCRIPTS / "download_checkpoint.py"


def blob(size, seed=0):
    return random.Random(seed).randbytes(size)


SMALL = {
    "config.json": b'{"text_config": {}, "vision_config": {}}',
    "preprocessor_config.json": b"{}",
    "tokenizer.json": b'{"version": "1.0"}' + b" " * 2000,
    "chat_template.jinja": b"{{ messages }}",
    "additional_chat_templates/tools.jinja": b"{{ tools }}",
}
WEIGHTS = {"model.safetensors": blob(60_000)}
NOT_NEEDED = {
    ".gitattributes": b"*.bin filter=lfs",
    "README.md": b"a model",
    "modeling_new.py": b"raise SystemExit",
    "pytorch_model.bin": blob(50_000, 1),
    "tf_model.h5": blob(50_000, 2),
    "flax_model.msgpack": blob(50_000, 3),
    "model.fp16.safetensors": blob(30_000, 4),
    "model.gguf": blob(30_000, 5),
    "onnx/model.onnx": blob(30_000, 6),
    "onnx/config.json": b"{}",
}
SHARDED = SMALL | {
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {name: f"model-{number}-of-2.safetensors" for name, number in (("a", 1), ("b", 2), ("c", 1))}}
    ).encode(),
    "model-1-of-2.safetensors": blob(40_000, 7),
    "model-2-of-2.safetensors": blob(30_000, 8),
}


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """No test here reaches for another machine, or asks for the address of one."""
    connect, resolve, elsewhere = socket.socket.connect, socket.getaddrinfo, []

    def check(host):
        if host not in ("127.0.0.1", "::1", "localhost"):
            elsewhere.append(host)  # libraries may swallow what is raised
            raise OSError(f"a test reaches for {host}")

    def guarded_connect(self, address):
        check(address[0])
        return connect(self, address)

    def guarded_resolve(host, *arguments, **options):
        check(host)
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)
    yield
    assert elsewhere == []


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's patience, and ours
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("FRAMESIFT_CHECKPOINTS", str(tmp_path / "ours"))
    with LocalHub() as server, as_the_hub(server, monkeypatch):
        yield server


@pytest.fixture
def root(tmp_path):
    return tmp_path / "ours"


@pytest.fixture
def heard(caplog):
    caplog.set_level(logging.INFO, "framesift")
    return caplog


def publish(hub, files, **options):
    return Pinned(REPO, hub.add(REPO, files, kind="model", **options))


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def in_the_cache(pinned, *, listing=True, **options):
    """The checkpoint in the cache of Hugging Face, as its own client puts it there; its snapshot."""
    from huggingface_hub import snapshot_download

    snapshot = Path(snapshot_download(pinned.model, revision=pinned.revision, **options))
    assert snapshot == pinned.snapshot
    if not listing:  # as older versions leave it
        shutil.rmtree(pinned.storage / "trees")
    return snapshot


def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


# What is fetched


def test_only_what_is_needed_is_fetched_and_the_manifest_tells_of_it(hub, root):
    pinned = publish(hub, SMALL | WEIGHTS | NOT_NEEDED)
    manifest = download_checkpoint(pinned, root)
    assert content(pinned.folder(root)) == SMALL | WEIGHTS
    files = manifest.pop("files")
    assert manifest == {
        "model": REPO,
        "revision": pinned.revision,
        "folder": (root / "someone--model" / pinned.revision).as_posix(),
        "origin": "download",
    }
    assert files["model.safetensors"] == {
        "size": 60_000,
        "digest": f"sha256:{hashlib.sha256(WEIGHTS['model.safetensors']).hexdigest()}",
    }
    assert {path: file["size"] for path, file in files.items()} == {
        path: len(data) for path, data in (SMALL | WEIGHTS).items()
    }
    assert hub.sent() == sum(map(len, (SMALL | WEIGHTS).values()))


def test_a_second_look_asks_the_hub_nothing(hub, root):
    pinned = publish(hub, SMALL | WEIGHTS)
    first = download_checkpoint(pinned, root)
    hub.requests.clear()
    assert download_checkpoint(pinned, root) == first
    assert find_or_fetch(REPO, pinned.revision) == pinned.folder(root)
    assert hub.requests == []


def test_a_newer_commit_changes_nothing(hub, root):
    pinned = publish(hub, SMALL | WEIGHTS)
    newer = publish(hub, SMALL | {"model.safetensors": b"newer"})
    folder = find_or_fetch(REPO, pinned.revision)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS["model.safetensors"]
    assert not any(newer.revision in request.path or "main" in request.path for request in hub.requests)


def test_shards_are_those_of_the_index(hub, root):
    pinned = publish(hub, SHARDED | {"model-3-of-2.safetensors": b"left over", "pytorch_model.bin": b"older"})
    download_checkpoint(pinned, root)
    assert content(pinned.folder(root)) == SHARDED


def test_an_index_that_names_a_missing_shard_is_refused_before_weights_are_fetched(hub, root):
    files = dict(SHARDED)
    del files["model-2-of-2.safetensors"]
    pinned = publish(hub, files)
    with pytest.raises(InputError, match=r"is incomplete: its index names model-2-of-2\.safetensors, which it has not"):
        download_checkpoint(pinned, root)
    assert hub.sent("model-1-of-2") == 0
    assert find(pinned, root) is None


def test_an_index_that_is_none(hub, root):
    for index in (b"[]", b'{"weight_map": {"a": "../elsewhere.safetensors"}}'):
        pinned = publish(hub, SMALL | {"model.safetensors.index.json": index})
        with pytest.raises(InputError, match="is no index of shards"):
            download_checkpoint(pinned, root)


def test_a_repository_of_other_formats_is_refused(hub, root):
    pinned = publish(hub, SMALL | {"model.onnx": b"x", "deep/model.safetensors": b"x", "training_args.bin": b"x"})
    with pytest.raises(InputError, match=r"has no weights that can be used\n  found: \['.bin', '.onnx', '.saf"):
        download_checkpoint(pinned, root)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ("model.safetensors consolidated.safetensors pytorch_model.bin", "model.safetensors"),
        ("model-1-of-1.safetensors model.safetensors other.safetensors", "model-1-of-1.safetensors model.safetensors"),
        (
            "model-1-of-2.safetensors model-2-of-2.safetensors x.pth",
            "model-1-of-2.safetensors model-2-of-2.safetensors",
        ),
        ("model.fp16.safetensors pytorch_model.bin rng_state.pth", "pytorch_model.bin"),
        ("a.safetensors b.safetensors other.bin", "a.safetensors b.safetensors"),
        ("blip.pth training_args.bin optimizer.bin scheduler.bin", "blip.pth"),
        ("model.safetensors.index.json pytorch_model.bin", "model.safetensors.index.json"),  # not there: not known yet
        ("original/model.pth consolidated.gguf", ""),
    ],
)
def test_weights_are_those_that_transformers_loads(names, chosen, tmp_path):
    assert weight_files(names.split(), tmp_path) == chosen.split()


def test_beside_a_file_of_all_weights_an_index_needs_nothing(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1-of-1.safetensors"}}')
    assert weight_files(["model.safetensors", "model.safetensors.index.json"], tmp_path) == ["model.safetensors"]


def test_small_files_are_not_those_of_other_folders():
    names = [
        "config.json",
        "onnx/config.json",
        "merges.txt",
        "spiece.model",
        "additional_chat_templates/a.jinja",
        "x.py",
    ]
    assert small_files(names) == ["additional_chat_templates/a.jinja", "config.json", "merges.txt", "spiece.model"]


# Faults


def test_a_cut_connection_is_taken_up_where_it_broke(hub, root, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    pinned = publish(hub, SMALL | WEIGHTS)
    hub.fail("model.safetensors", Fault(cut_after=20_000), Fault(status=503), Fault(cut_after=10_000))
    download_checkpoint(pinned, root)
    assert content(pinned.folder(root)) == SMALL | WEIGHTS
    ranges = [request.range for request in hub.requests if "/cdn/" in request.path and "safetensors" in request.path]
    assert {"bytes=20000-", "bytes=30000-"} <= set(ranges)


def test_a_download_that_was_given_up_is_continued_by_the_next_run(hub, root, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    pinned = publish(hub, SHARDED)
    hub.fail("model-2-of-2", Fault(cut_after=20_000), Fault(status=403))
    with pytest.raises(InputError, match=r"the hub cannot serve it now \(status 403\)(.|\n)*run again to continue"):
        download_checkpoint(pinned, root, workers=1)
    assert find(pinned, root) is None
    (part,) = pinned.folder(root).glob(".model-2-of-2.safetensors.*.part")
    assert part.stat().st_size == 20_000
    hub.requests.clear()
    download_checkpoint(pinned, root)
    assert hub.sent("model-1-of-2") == 0
    assert hub.sent("model-2-of-2") == 10_000
    assert content(pinned.folder(root)) == SHARDED


def test_a_file_that_arrives_damaged_is_fetched_again(hub, root, heard):
    pinned = publish(hub, SMALL | WEIGHTS)
    hub.fail("model.safetensors", Fault(damage=True))
    download_checkpoint(pinned, root)
    assert "model.safetensors arrived damaged; downloading it again" in heard.text
    assert content(pinned.folder(root)) == SMALL | WEIGHTS


def test_a_file_that_stays_damaged_is_an_error_and_not_kept(hub, root):
    pinned = publish(hub, SMALL | WEIGHTS)
    hub.fail("model.safetensors", Fault(damage=True), Fault(damage=True))
    with pytest.raises(InputError, match=r"its content twice was not what the hub announces(.|\n)*expected: sha256:"):
        download_checkpoint(pinned, root)
    assert not list(pinned.folder(root).glob("*model.safetensors*"))
    assert find(pinned, root) is None


@pytest.mark.parametrize(
    ("token", "refusal"),
    [("", "and you are not logged in"), ("hf_stranger", "and your account does not have access"), (GRANTED, None)],
)
def test_a_gated_repository(hub, root, monkeypatch, token, refusal):
    monkeypatch.setenv("HF_TOKEN", token)
    pinned = publish(hub, SMALL | WEIGHTS, gated=True)
    if refusal is None:
        assert download_checkpoint(pinned, root)["origin"] == "download"
        return
    with pytest.raises(InputError) as error:
        download_checkpoint(pinned, root)
    assert f"is gated, {refusal}" in str(error.value)
    assert f"accept the terms at {hub.endpoint}/{REPO}, " in str(error.value)
    assert "or set `model` to a folder with the checkpoint" in str(error.value)


def test_what_the_hub_does_not_have(hub, root):
    pinned = publish(hub, SMALL | WEIGHTS)
    hub.add("someone/data", {"config.json": b"{}"})  # a dataset is no model
    for model in ("nobody/nothing", "someone/data"):
        with pytest.raises(InputError, match=f"{model}: model: does not exist, or you don't have access"):
            download_checkpoint(Pinned(model, pinned.revision), root)
    with pytest.raises(InputError, match=r"someone/model: revision: there is no such revision\n  found: '0000"):
        download_checkpoint(Pinned(REPO, "0" * 40), root)
    with pytest.raises(InputError, match="is not the name of a repository"):
        download_checkpoint(Pinned("some one/model", "0" * 40), root)


def test_no_hub_at_all(root, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with LocalHub() as server:
        pass
    with as_the_hub(server, monkeypatch), pytest.raises(InputError, match="the hub cannot be reached"):
        download_checkpoint(Pinned(REPO, "0" * 40), root)


def test_a_small_disk_is_noticed_before_weights_are_fetched(hub, root, monkeypatch):
    pinned = publish(hub, SMALL | WEIGHTS)
    usage = shutil.disk_usage(root.parent)._replace(free=50_000)
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"too small: 0\.06 MB are needed, 0\.05 MB are free"):
        download_checkpoint(pinned, root)
    assert hub.sent() == 0


def test_a_folder_that_cannot_be_written_to(hub, root):
    root.write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"cannot be used \(Not a directory\)(.|\n)*set FRAMESIFT_CHECKPOINTS"):
        download_checkpoint(publish(hub, SMALL | WEIGHTS), root)


def test_two_jobs_at_once_fetch_once(hub, root, tmp_path):
    pinned = publish(hub, SMALL | WEIGHTS)
    hub.fail("model.safetensors", Fault(cut_after=30_000, stall=3))  # so that the second comes while the first waits
    command = [sys.executable, str(PROGRAM), "--model", REPO, "--revision", pinned.revision, "--folder", str(root)]
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    jobs = [
        subprocess.Popen([*command, "--out", str(tmp_path / f"{i}.json")], env=environment, stderr=subprocess.PIPE)
        for i in range(2)
    ]
    told = [job.communicate()[1].decode() for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], told
    assert sum("fetching 6 files" in text for text in told) == 1
    assert hub.sent("model.safetensors") <= 60_000 + 30_000  # what was cut off may not have reached the disk
    assert len([request for request in hub.requests if "/cdn/" in request.path and "safetensors" in request.path]) == 2
    assert json.loads((tmp_path / "0.json").read_text()) == json.loads((tmp_path / "1.json").read_text())


# Our own folder


def test_a_folder_that_was_copied_is_still_whole(hub, root, monkeypatch):
    pinned = publish(hub, SMALL | WEIGHTS)
    download_checkpoint(pinned, root)
    for file in pinned.folder(root).rglob("*.*"):
        os.utime(file, ns=(10**18, 10**18))
    offline(monkeypatch)
    hub.requests.clear()
    assert find(pinned, root).folder == pinned.folder(root)
    looked_at = []
    monkeypatch.setattr(checkpoints, "content_digest", lambda path, like: looked_at.append(path))
    assert find(pinned, root) is not None
    assert looked_at == []  # the new dates were noted
    assert hub.requests == []


def test_a_file_that_was_exchanged_is_noticed_and_fetched_again(hub, root, monkeypatch, heard):
    pinned = publish(hub, SHARDED)
    download_checkpoint(pinned, root)
    (pinned.folder(root) / "model-1-of-2.safetensors").write_bytes(blob(40_000, 99))
    assert find(pinned, root) is None
    assert "model-1-of-2.safetensors is not what was downloaded" in heard.text
    hub.requests.clear()
    download_checkpoint(pinned, root)
    assert content(pinned.folder(root)) == SHARDED
    assert hub.sent() == 40_000


def test_a_file_that_is_gone_is_fetched_again(hub, root):
    pinned = publish(hub, SMALL | WEIGHTS)
    download_checkpoint(pinned, root)
    (pinned.folder(root) / "tokenizer.json").unlink()
    hub.requests.clear()
    download_checkpoint(pinned, root)
    assert hub.sent() == len(SMALL["tokenizer.json"])


# The cache of Hugging Face


@pytest.mark.parametrize("listing", [True, False], ids=["list of files", "no list of files"])
@pytest.mark.parametrize("network", [True, False], ids=["online", "offline"])
@pytest.mark.parametrize("files", [SMALL | WEIGHTS, SHARDED], ids=["one file", "shards"])
def test_what_is_in_the_cache_is_used_and_the_hub_is_asked_nothing(hub, root, monkeypatch, listing, network, files):
    pinned = publish(hub, files | {"README.md": b"a model"})
    snapshot = in_the_cache(pinned, listing=listing)
    hub.requests.clear()
    if not network:
        offline(monkeypatch)
    assert find_or_fetch(REPO, pinned.revision) == snapshot
    manifest = download_checkpoint(pinned, root)
    assert (manifest["origin"], manifest["folder"]) == ("cache", snapshot.as_posix())
    wanted = Pinned(REPO, hub.add(REPO, files, kind="model"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root / "another"))
    assert hub.requests == []
    assert manifest["files"] == download_checkpoint(wanted, root)["files"]  # the same digests as the hub has
    assert not pinned.folder(root).exists()


@pytest.mark.parametrize("listing", [True, False], ids=["list of files", "no list of files"])
@pytest.mark.parametrize("lost", ["tokenizer.json", "model-2-of-2.safetensors", "preprocessor_config.json"])
def test_what_the_cache_lacks_is_fetched_and_the_rest_taken_over(hub, root, listing, lost):
    pinned = publish(hub, SHARDED)
    snapshot = in_the_cache(pinned, listing=listing)
    (snapshot / lost).resolve().unlink()
    hub.requests.clear()
    assert download_checkpoint(pinned, root)["origin"] == "download"
    assert content(pinned.folder(root)) == SHARDED
    assert hub.sent() == len(SHARDED[lost])


def test_a_snapshot_without_weights_is_not_used(hub, root, monkeypatch):
    pinned = publish(hub, SMALL | WEIGHTS)
    in_the_cache(pinned, listing=False, allow_patterns=["*.json"])
    offline(monkeypatch)
    with pytest.raises(InputError, match="is needed, but nothing may be downloaded"):
        find_or_fetch(REPO, pinned.revision)


def test_offline_a_snapshot_that_lacks_nothing_vital_is_used_with_a_warning(hub, root, monkeypatch, heard):
    pinned = publish(hub, SMALL | WEIGHTS)
    snapshot = in_the_cache(pinned)
    (snapshot / "chat_template.jinja").unlink()
    assert find(pinned, root) is None  # with a network it is fetched
    offline(monkeypatch)
    assert find(pinned, root).folder == snapshot
    assert "lacks chat_template.jinja, and is used as it is: HF_HUB_OFFLINE is set" in heard.text


def test_a_damaged_file_of_the_cache_is_replaced_in_our_folder(hub, root, heard, monkeypatch):
    pinned = publish(hub, SHARDED)
    shard = in_the_cache(pinned) / "model-1-of-2.safetensors"
    damaged = blob(40_000, 99)
    shard.resolve().write_bytes(damaged)
    hub.requests.clear()
    assert download_checkpoint(pinned, root)["origin"] == "download"
    assert "is damaged in the cache of Hugging Face (model-1-of-2.safetensors)" in heard.text
    assert hub.sent() == 40_000
    assert content(pinned.folder(root)) == SHARDED
    assert shard.read_bytes() == damaged  # which is not ours
    assert find(pinned, root).folder == pinned.folder(root)


def test_a_damaged_index_in_the_cache_is_no_obstacle(hub, root):
    pinned = publish(hub, SHARDED)
    (in_the_cache(pinned) / "model.safetensors.index.json").resolve().write_bytes(b"{")
    assert download_checkpoint(pinned, root)["origin"] == "download"
    assert content(pinned.folder(root)) == SHARDED


# Offline


def test_offline_without_the_checkpoint_the_message_says_how_to_get_it(hub, root, monkeypatch):
    pinned = publish(hub, SMALL | WEIGHTS)
    offline(monkeypatch)
    with pytest.raises(InputError) as error:
        find_or_fetch(REPO, pinned.revision)
    text = str(error.value)
    assert f"{REPO}: revision: is needed, but nothing may be downloaded (HF_HUB_OFFLINE is set)" in text
    assert f"found: {pinned.revision!r}" in text
    assert f"download_checkpoint.py --model {REPO} --revision {pinned.revision} --folder {root}` makes" in text
    assert hub.requests == []
    assert not root.exists()


def test_an_environment_of_older_libraries_uses_what_is_there_and_says_that_it_cannot_fetch(hub, root, monkeypatch):
    pinned, other = publish(hub, SMALL | WEIGHTS), publish(hub, SHARDED)
    download_checkpoint(pinned, root)
    hub.requests.clear()
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None)
    assert find_or_fetch(REPO, pinned.revision) == pinned.folder(root)
    with pytest.raises(
        InputError, match=r"cannot download \(httpx2 is missing\)(.|\n)*the environment envs/data\.yaml"
    ):
        find_or_fetch(REPO, other.revision)
    assert hub.requests == []


def test_offline_what_was_fetched_is_used(hub, root, monkeypatch):
    pinned = publish(hub, SMALL | WEIGHTS)
    download_checkpoint(pinned, root)
    offline(monkeypatch)
    hub.requests.clear()
    assert find_or_fetch(REPO, pinned.revision) == pinned.folder(root)
    assert hub.requests == []


# Loading


def clip_files(folder, weights):
    import torch
    from safetensors.torch import load_file

    write_clip(folder)
    if weights == "pytorch_model.bin":
        torch.save(load_file(folder / "model.safetensors"), folder / weights)
        (folder / "model.safetensors").unlink()
    return content(folder)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("where", ["ours", "hf"])
def test_a_checkpoint_is_fetched_once_and_loaded_without_a_network(hub, root, tmp_path, monkeypatch, weights, where):
    import torch

    files = clip_files(tmp_path / "made", weights)
    pinned = publish(hub, files)
    scorer = Clip(model=REPO, revision=pinned.revision)
    if where == "hf":
        in_the_cache(pinned)
        hub.requests.clear()
    model, _ = scorer.load("cpu")
    if where == "ours":
        assert hub.sent(weights) == len(files[weights])
        assert all(pinned.revision in request.path or "/cdn/" in request.path for request in hub.requests)
        assert find(pinned, root).origin == "download"
        hub.requests.clear()
    scorer.load("cpu")
    assert hub.requests == []

    reached = []

    def nobody(*arguments):
        reached.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", nobody)
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    again, processor = scorer.load("cpu")
    given, made = Clip(model=str(tmp_path / "made")).load("cpu")
    assert reached == []  # though HF_HUB_OFFLINE is not set
    assert processor.tokenizer("red star").input_ids == made.tokenizer("red star").input_ids
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
        assert torch.equal(tensor, given.state_dict()[name])


def test_a_folder_without_one_of_its_shards_is_an_input_error(tmp_path):
    write_clip(tmp_path)
    places = {"logit_scale": "model-1-of-2.safetensors", "text_projection.weight": "model-2-of-2.safetensors"}
    (tmp_path / "model.safetensors").rename(tmp_path / "model-1-of-2.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    with pytest.raises(InputError, match=r"model-2-of-2\.safetensors"):
        Clip(model=str(tmp_path)).load("cpu")


def test_weights_that_were_cut_off_are_an_input_error(tmp_path):
    write_clip(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    for piece in (whole[:-100], whole[:5], b""):
        (tmp_path / "model.safetensors").write_bytes(piece)
        with pytest.raises(InputError, match="cannot be loaded: "):
            Clip(model=str(tmp_path)).load("cpu")


def test_a_folder_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        Clip(model=str(tmp_path / "missing")).load("cpu")


def test_a_hub_checkpoint_is_identified_by_its_commit_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("FRAMESIFT_CHECKPOINTS", str(tmp_path))
    assert Clip(model=REPO, revision="0" * 40).weights() == f"{REPO}@{'0' * 40}"
    assert manifest_path(REPO, "0123456789ab" + "c" * 28) == "results/checkpoints/someone--model-0123456789ab.json"


def test_the_digest_of_a_folder_tells_names_and_contents(tmp_path):
    def made(**files):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    digest = models.model_digest(str(made(a="1", b="2")), None)
    assert models.model_digest(str(made(b="2", a="1")), None) == digest
    folder = made(a="1", b="2")
    (folder / ".hidden").write_text("x")
    assert models.model_digest(str(folder), None) == digest
    assert (
        len({digest, *(models.model_digest(str(made(**files)), None) for files in ({"a": "1"}, {"a": "2", "b": "1"}))})
        == 3
    )


def test_digests_of_large_files_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    weights = folder / "model.safetensors"
    weights.write_bytes(b"first")
    expected = models.model_digest(str(folder), None)
    assert not (tmp_path / "cache").exists()  # a small file

    monkeypatch.setattr(models, "LARGE", 5)
    assert models.model_digest(str(folder), None) == expected
    assert not (tmp_path / "cache").exists()  # one that was just written
    os.utime(weights, ns=(10**18, 10**18))
    read = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *arguments: read.append(1) or real(*arguments))
    assert [models.model_digest(str(folder), None) for _ in range(3)] == [expected] * 3
    assert len(read) == 1
    weights.write_bytes(b"other")
    os.utime(weights, ns=(10**18 + 1, 10**18 + 1))
    assert models.model_digest(str(folder), None) != expected

    monkeypatch.setenv("XDG_CACHE_HOME", str(weights))  # no folder
    weights.write_bytes(b"first")
    os.utime(weights, ns=(10**18 + 2, 10**18 + 2))
    assert models.model_digest(str(folder), None) == expected


# By hand


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", REPO], "needs the full commit"),
        (["--model", REPO, "--revision", "main"], "needs the full commit"),
        (["--model", "./here"], "is not a repository of the hub"),
        (["--spec", "{}"], "is not a repository of the hub"),
    ],
)
def test_a_command_line_that_names_no_commit_of_a_repository(arguments, message):
    done = subprocess.run([sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert message in done.stderr


def test_a_download_by_hand_into_the_usual_folder(hub, tmp_path):
    pinned = publish(hub, SMALL | WEIGHTS)
    command = [sys.executable, str(PROGRAM), "--spec", json.dumps({"model": REPO, "revision": pinned.revision})]
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    del environment["FRAMESIFT_CHECKPOINTS"]
    done = subprocess.run(
        [*command, "--out", "manifest.json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["folder"] == f"data/checkpoints/someone--model/{pinned.revision}"
    assert content(tmp_path / manifest["folder"]) == SMALL | WEIGHTS
    assert "6 files, 0.06 MB, in data/checkpoints" in done.stderr
