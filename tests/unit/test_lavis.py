"""BLIP through LAVIS, in its own environment, against BLIP through transformers: the same weights, the same scores."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lavis_weights
from barcode import write_video
from framesift.core.code_digest import SCRIPTS
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.scoring.score_table import read_scores
from framesift.scoring.scorers._captions import cleaned
from framesift.video.grid import CandidateGrid
from framesift.video.table import describe_video, write_videos

ROOT = SCRIPTS.parent.parent
LAVIS = ROOT / ".venv-lavis"
needs_lavis = pytest.mark.skipif(not (LAVIS / "lavis.done").exists(), reason="needs make lavis")

TEXTS = [
    "What digit is on the red star?",
    'He said: "go!" -- (twice), #1; ~2*3.',
    "Who, in the café, is 'seeing' a blue_circle & a star/square @ 5%?",
    "what is on the red star and who is on the blue circle, " * 6,  # more than 35 tokens, and than 50 words
    "red",
]


def captions():
    """Texts of every length with all that cleaning removes, and spaces of any kind."""
    generator = random.Random(0)
    parts = [
        *"abcXYZ09.!\"()*#:;~?,'-_/\\&%é中",
        *("word", "It's", " ", "  ", " \n", "\n\n\t", "\t ", "\t", "\n", "\u00a0"),
    ]
    made = ["".join(generator.choices(parts, k=generator.randrange(300))) for _ in range(300)]
    return ["", " ", *TEXTS, *made]


def in_lavis(*command):
    """Run a program in LAVIS's environment."""
    paths = os.pathsep.join([str(SCRIPTS), str(ROOT / "tests" / "support")])
    return subprocess.run(
        [LAVIS / "bin" / "python", "-W", "ignore", *map(str, command)],
        env={**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    lavis_weights.write_tiny(folder)
    generator = np.random.default_rng(0)
    np.save(folder / "images.npy", generator.integers(0, 256, (5, 60, 84, 3), dtype=np.uint8))
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    (folder / "captions.json").write_text(json.dumps(captions()))
    return folder


@pytest.fixture(scope="module")
def through_lavis(folder):
    done = in_lavis(ROOT / "tests" / "support" / "lavis_side.py", folder, folder / "lavis")
    assert done.returncode == 0, done.stderr
    return folder


def through_transformers(folder):
    made = build("scorers", {"kind": "blip_itm", "model": str(folder / "blip")})
    loaded = made.load("cpu")
    form = made.pictures(loaded)
    pixels = form.normalised(np.stack([form.prepare(image) for image in np.load(folder / "images.npy")]), "cpu")
    with torch.inference_mode():
        return made.scores(loaded, made.features(loaded, pixels), TEXTS)


@needs_lavis
def test_both_libraries_give_the_same_scores(through_lavis):
    ours, theirs = through_transformers(through_lavis), np.load(through_lavis / "scorer.npy")
    assert ours.shape == theirs.shape == (5, len(TEXTS))
    assert theirs.dtype == np.float32
    assert np.abs(ours - theirs).max() < 1e-5
    assert theirs.std(axis=0).min() > 1e-3  # the pictures matter
    assert theirs.std(axis=1).min() > 1e-3  # and so do the texts


@needs_lavis
def test_the_scorer_is_what_lavis_itself_computes(through_lavis):
    scorer, lavis = (np.load(through_lavis / f"{name}.npy") for name in ("scorer", "lavis"))
    assert np.abs(scorer - lavis).max() < 1e-5


@needs_lavis
def test_captions_are_cleaned_as_lavis_cleans_them(through_lavis):
    theirs = json.loads((through_lavis / "cleaned.json").read_text())
    assert [cleaned(caption) for caption in captions()] == theirs


@needs_lavis
def test_a_video_is_scored_in_the_environment_of_lavis(folder, tmp_path):
    write_video(tmp_path / "v.mp4", 60, 10)
    write_videos(tmp_path / "videos.parquet", [describe_video(("v", tmp_path / "v.mp4"), CandidateGrid())], {})
    asked = Question(question_id="q", video_id="v", question=TEXTS[0], options=("a", "b"), answer="A")
    (tmp_path / "labels.json").write_text(json.dumps([{"normalised": asked.model_dump(mode="json")}]))
    (tmp_path / "shards.json").write_text('{"v": 1}')

    def score(python, kind, name):
        spec = {"scorer": {"kind": kind, "model": str(folder / name)}, "candidates": {"rule": "index"}}
        out = tmp_path / f"{name}.parquet"
        done = python(
            SCRIPTS / "score_frames.py", "--spec", json.dumps(spec), "--labels", tmp_path / "labels.json",
            "--videos", tmp_path / "videos.parquet", "--shards", tmp_path / "shards.json", "--shard", "1",
            "--cache", tmp_path / "cache", "--out", out, "--device", "cpu", "--threads", "2",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return read_scores(out)["q"]

    def here(*command):
        return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)

    theirs, ours = score(in_lavis, "blip_itm_lavis", "lavis"), score(here, "blip_itm", "blip")
    assert theirs.error is None
    assert theirs.frames == ours.frames == [0, 10, 20, 30, 40, 50]
    assert np.abs(np.array(theirs.scores) - ours.scores).max() < 1e-5


TRY_EACH = """
import json, sys
from framesift.core.components import build
from framesift.core.errors import InputError
said = {}
for checkpoint in sys.argv[1:]:
    try:
        build("scorers", {"kind": "blip_itm_lavis", "model": checkpoint}).load("cpu")
    except InputError as error:
        said[checkpoint.rsplit("/", 1)[1]] = str(error)
print(json.dumps(said))
"""
DAMAGES = {
    "no weights": r"holds no checkpoint\n.*\n.*\n.*/model_large_retrieval_coco\.pth",
    "two weights": r"holds several checkpoints\n.*found: \['again\.pth', 'weights\.pth'\]",
    "no vocabulary": r"holds no vocabulary\n.*\n.*bert-base-uncased",
    "other vocabulary": f"found: '{len(lavis_weights.WORDS) + 1} words'\n.*{len(lavis_weights.WORDS)} words",
    "incomplete": r"layer\.1\.crossattention\.self\.key\.bias: lacks weights",
    "another model": "is no BLIP with an image-text matching head",
    "cut": r"weights\.pth: cannot be read",
    "executable": r"weights\.pth: cannot be read",
}


def damage(folder, checkpoint):
    """A copy of the checkpoint with something wrong."""
    checkpoint.mkdir()
    kind, weights = checkpoint.name, checkpoint / "weights.pth"
    words = (folder / "lavis" / "vocab.txt").read_text()
    if kind != "no vocabulary":
        (checkpoint / "vocab.txt").write_text(words + "more\n" if kind == "other vocabulary" else words)
    if kind == "no weights":
        return
    content = torch.load(folder / "lavis" / "weights.pth")
    if kind == "incomplete":
        del content["model"]["text_encoder.encoder.layer.1.crossattention.self.key.bias"]
    if kind == "another model":
        content = {"conv1.weight": torch.zeros(1)}
    if kind == "executable":
        content = {"model": content["model"], "config": Path("what torch must not make")}
    torch.save(content, weights)
    if kind == "two weights":
        torch.save(content, checkpoint / "again.pth")
    if kind == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])


@pytest.fixture(scope="module")
def said(folder):
    for kind in DAMAGES:
        damage(folder, folder / kind)
    done = in_lavis("-c", TRY_EACH, *(folder / kind for kind in DAMAGES))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_lavis
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_checkpoint_that_cannot_be_used(kind, said):
    assert re.search(DAMAGES[kind], said[kind]), said[kind]


def test_without_lavis_the_error_names_its_environment(tmp_path):
    with pytest.raises(InputError, match=r"LAVIS cannot be imported here(.|\n)*envs/lavis\.yaml"):
        build("scorers", {"kind": "blip_itm_lavis", "model": str(tmp_path)}).load("cpu")


def test_the_checkpoint_is_a_folder():
    with pytest.raises(InputError, match="takes a folder"):
        build("scorers", {"kind": "blip_itm_lavis", "model": "Salesforce/blip-itm-large-coco", "revision": "0" * 40})


def test_the_lavis_environment_has_the_torch_of_the_others():
    def versions(name):
        return dict(line.split("==") for line in (ROOT / "envs" / name).read_text().splitlines() if ";" not in line)

    lavis, demo = versions("lavis.lock"), versions("demo.lock")
    shared = ("torch", "torchvision", "av", "pydantic", "safetensors", "pillow")
    assert {name: lavis[name] for name in shared} == {name: demo[name] for name in shared}
