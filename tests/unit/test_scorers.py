"""Scorers with real architectures and random weights, against what transformers itself computes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load, load_file
from transformers import BlipImageProcessorPil, CLIPImageProcessorPil, SiglipImageProcessorPil

import tiny_scorers
from barcode import image_of, write_video
from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.scoring.score_videos import VideoScorer, model_of
from framesift.scoring.scorers._captions import cleaned
from framesift.storage.journal import Journal
from framesift.video.grid import CandidateGrid
from framesift.video.table import describe_video
from tiny_scorers import by_pillow, random_images, scored, scorer

TEXTS = ["What digit is on the red star?", "who is on a blue circle", "red"]
KINDS = ("clip", "siglip", "blip_itm", "blip_itc")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "of"
    tiny_scorers.write_clip(folder / "clip")
    tiny_scorers.write_siglip(folder / "siglip")
    tiny_scorers.write_blip(folder / "blip")
    return folder


@pytest.fixture(scope="module")
def images():
    return random_images(7)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_score_as_single_frames_and_questions_do(kind, checkpoints, images):
    made = scorer(kind, checkpoints)
    together = scored(made, images, TEXTS)
    assert together.shape == (7, 3)
    assert together.dtype == np.float32
    alone = np.concatenate([scored(made, images, [text], batch=1) for text in TEXTS], axis=1)
    assert np.abs(together - alone).max() < 1e-5
    assert together.std(axis=0).min() > 0  # the pictures matter, and so do the texts
    assert together.std(axis=1).min() > 0


def test_clip_is_the_cosine_of_transformers(checkpoints, images):
    made = scorer("clip", checkpoints)
    model, processor = made.load("cpu")
    inputs = processor.tokenizer(TEXTS, return_tensors="pt", padding=True)
    theirs = (
        model(
            **inputs, pixel_values=by_pillow(CLIPImageProcessorPil, processor.image_processor, images)
        ).logits_per_image
        / model.logit_scale.exp()
    )
    assert np.abs(scored(made, images, TEXTS) - theirs.detach().numpy()).max() < 1e-5


def test_clip_reads_long_texts_where_the_model_can(tmp_path, images):
    tiny_scorers.write_clip(tmp_path / "short" / "clip")
    tiny_scorers.write_clip(tmp_path / "long" / "clip", context=20)
    texts = ["what digit is on the red star " * 2, "what digit is on the red star " * 2 + "and who"]
    short, long = (scored(scorer("clip", tmp_path / name), images, texts) for name in ("short", "long"))
    assert (short[:, 0] == short[:, 1]).all()
    assert np.abs(long[:, 0] - long[:, 1]).min() > 1e-6


def test_siglip_is_the_cosine_of_transformers(checkpoints, images):
    made = scorer("siglip", checkpoints)
    model, processor = made.load("cpu")
    inputs = processor.tokenizer(TEXTS, return_tensors="pt", padding="max_length", max_length=12, truncation=True)
    pixels = by_pillow(SiglipImageProcessorPil, processor.image_processor, images)
    theirs = model(input_ids=inputs["input_ids"], pixel_values=pixels).logits_per_image
    theirs = (theirs - model.logit_bias) / model.logit_scale.exp()
    assert np.abs(scored(made, images, TEXTS) - theirs.detach().numpy()).max() < 1e-5


def blip_of_transformers(made, images, text, *, itm, first=None):
    model, processor = made.load("cpu")
    tokens = processor.tokenizer(text, return_tensors="pt")
    if first is not None:
        tokens["input_ids"][:, 0] = first
    pixels = by_pillow(BlipImageProcessorPil, processor.image_processor, images)
    many = {name: value.expand(len(images), -1) for name, value in tokens.items() if name != "token_type_ids"}
    one = {name: value for name, value in tokens.items() if name != "token_type_ids"}
    with torch.inference_mode():
        output = model(pixel_values=pixels, use_itm_head=itm, **(many if itm else one)).itm_score
    return (torch.softmax(output, dim=1)[:, 1] if itm else output[:, 0]).numpy()


@pytest.mark.parametrize(("first_token", "token"), [("cls", None), ("enc", len(tiny_scorers.WORDS) + 1)])
def test_blip_matching_is_that_of_transformers(first_token, token, checkpoints, images):
    made = scorer("blip_itm", checkpoints, first_token=first_token)
    theirs = blip_of_transformers(made, images, "what digit is on the red star?", itm=True, first=token)
    assert np.abs(scored(made, images, TEXTS[:1])[:, 0] - theirs).max() < 1e-5


def test_the_first_token_matters(checkpoints, images):
    both = [scored(scorer("blip_itm", checkpoints, first_token=name), images, TEXTS) for name in ("enc", "cls")]
    assert np.abs(both[0] - both[1]).max() > 1e-4


def test_blip_contrast_is_that_of_transformers(checkpoints, images):
    made = scorer("blip_itc", checkpoints)
    theirs = blip_of_transformers(made, images, "what digit is on the red star?", itm=False)
    assert np.abs(scored(made, images, TEXTS[:1])[:, 0] - theirs).max() < 1e-5


def test_a_checkpoint_without_the_token_of_lavis(tmp_path, images):
    tiny_scorers.write_blip(tmp_path / "of" / "blip", extra_tokens=0)
    with pytest.raises(InputError, match=r"has no \[ENC\] token(.|\n)*set first_token: cls"):
        scored(scorer("blip_itm", tmp_path / "of"), images, TEXTS)
    assert scored(scorer("blip_itm", tmp_path / "of", first_token="cls"), images, TEXTS).shape == (7, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What digit is on the Red Star?", "what digit is on the red star?"),
        ('He said: "go!" (twice) -- #1; ~2*3.', "he said go twice -- 1 2 3"),
        ("  two \n lines  ", "two lines"),
        (" ".join(str(i) for i in range(60)), " ".join(str(i) for i in range(50))),
        ("", ""),
    ],
)
def test_texts_are_cleaned_as_lavis_cleans_captions(text, expected):
    assert cleaned(text) == expected


def test_long_texts_are_cut(checkpoints, images):
    made = scorer("blip_itm", checkpoints, max_tokens=6)
    assert (scored(made, images, ["red star on the blue circle"]) == scored(made, images, ["red star on the a"])).all()


# The cache


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    write_video(path, 120, 10)
    assert image_of(0, (160, 120)).shape == (120, 160, 3)
    return describe_video(("v", path), CandidateGrid())


def question(number, text):
    return Question(question_id=f"q{number}", video_id="v", question=text, options=("a", "b"), answer="A")


ASKED = [question(number, text) for number, text in enumerate(TEXTS)]


def cached(kind, checkpoints, folder):
    model = model_of(scorer(kind, checkpoints, batch_size=5), {"rule": "index"}, "pyav", folder, "cpu")
    return VideoScorer([model], decoder="pyav", workers=1, timeout=60)


def score(kind, checkpoints, folder, video, questions):
    (rows,) = cached(kind, checkpoints, folder).score([video], {video.video_id: questions})
    return rows


@pytest.mark.parametrize("kind", ["clip", "blip_itm"])
def test_a_known_video_costs_no_decoding(kind, checkpoints, video, tmp_path, monkeypatch):
    first = score(kind, checkpoints, tmp_path, video, ASKED[:2])
    monkeypatch.setattr("framesift.scoring.score_videos.decode_all", lambda *_: pytest.fail("decoded again"))
    assert score(kind, checkpoints, tmp_path, video, ASKED[:2]) == first
    if kind == "clip":  # embeddings are kept, so a new question costs its text only
        assert score(kind, checkpoints, tmp_path, video, ASKED)[:2] == first


@pytest.mark.parametrize("kind", ["clip", "blip_itm"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "nonsense"])
def test_a_damaged_cache_file_is_noticed_and_made_anew(kind, damage, checkpoints, video, tmp_path, caplog):
    first = score(kind, checkpoints, tmp_path, video, ASKED)
    (path,) = tmp_path.rglob("*.safetensors")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 0x10
    path.write_bytes({"cut": whole[:-9], "flipped": bytes(flipped), "emptied": b"", "nonsense": b"\xff" * 200}[damage])
    assert score(kind, checkpoints, tmp_path, video, ASKED) == first
    assert "is damaged; the video is scored again" in caplog.text
    assert sorted(load_file(path)) == sorted(load(whole))
    assert score(kind, checkpoints, tmp_path, video, ASKED) == first
    assert caplog.text.count("is damaged") == 1


def test_the_cache_is_listed_checked_and_pruned(checkpoints, video, tmp_path):
    cache = tmp_path / "cache"
    for kind in ("clip", "blip_itc"):
        score(kind, checkpoints, cache, video, ASKED)
    clip, blip = sorted(cache.iterdir(), reverse=True)
    journal = Journal(tmp_path / "results" / "cache" / "pseudo_labels" / "openai_api-0" / "video", "a")
    journal.add("x", {"text": "1"})
    config = {"scorers": {"one": {"kind": "clip", "model": str(checkpoints / "clip")}}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))

    def tool(*arguments):
        command = [sys.executable, str(SCRIPTS / "cache.py"), *arguments, "--cache", str(cache)]
        command += ["--results", str(tmp_path / "results")]
        return subprocess.run(command, capture_output=True, text=True)

    listed = tool("list").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == [blip.name, clip.name, "openai_api-0"]
    assert listed[2].split("\t")[1::2] == ["1 videos", "pseudo-labels"]
    assert "1 videos" in listed[0]
    assert tool("check").returncode == 0
    (path,) = clip.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    done = tool("check")
    assert (done.returncode, done.stdout) == (1, f"damaged: {path}\n")
    would = tool("prune", "--configfile", str(tmp_path / "config.yaml"))
    assert f"would remove {blip}" in would.stdout
    assert blip.is_dir()
    assert tool("prune", "--configfile", str(tmp_path / "config.yaml"), "--yes").returncode == 0
    assert sorted(cache.iterdir()) == [clip]
    assert journal.folder.is_dir()


def test_features_stay_in_the_cache_while_a_selector_that_uses_them_may_still_be_trained(tmp_path):
    folders = [tmp_path / "cache" / name for name in ("clip-0", "patches-0")]
    for folder in folders:
        folder.mkdir(parents=True)
    config = {"scorers": {"one": {"kind": "mllm_selector", "model": str(tmp_path / "later")}}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    command = [sys.executable, str(SCRIPTS / "cache.py"), "prune", "--cache", str(tmp_path / "cache"), "--yes"]
    done = subprocess.run([*command, "--configfile", str(tmp_path / "config.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [folder.is_dir() for folder in folders] == [False, True]
