"""The selector as it is released, and as a scorer: what it needs, what it refuses, and what it costs again."""

import json
import shutil

import numpy as np
import pytest
import torch

import tiny_mllm
import tiny_scorers
from barcode import described_videos
from framesift.config.load import load_config
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.scoring.mllm_selector.checkpoint import from_pretrained, new_selector, save_pretrained
from framesift.scoring.mllm_selector.checkpoint_config import read_config, settings_of
from framesift.scoring.mllm_selector.sampling import slots
from framesift.scoring.mllm_selector.settings import SecondStage
from framesift.scoring.score_videos import VideoScorer, model_of
from framesift.scoring.scorers import asked
from framesift.scoring.scorers.mllm_selector import _vision_encoder
from framesift.selection.selectors import Candidates, choose
from framesift.selection.selectors.nms import NMS
from framesift.training.train_selector import prepare

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_mllm.write_checkpoints(folder)
    tiny_scorers.write_clip(folder / "clip")
    return folder


@pytest.fixture(autouse=True)
def forget_releases():
    _vision_encoder.cache_clear()


def write_selector(checkpoints, folder, trained="lora", seed=0, **fields):
    settings = tiny_mllm.settings(checkpoints, **{"text": "question_and_options"} | fields)
    selector = new_selector(settings, seed=seed, dtype=torch.float32, replies=False)
    parameters = prepare(selector, SecondStage(train_llm=trained, lora={"r": 2}, seed=seed))
    with torch.no_grad():
        for parameter in parameters.values():  # as if it had been trained
            parameter += 0.05 * torch.randn_like(parameter)
    save_pretrained(selector, folder, trained=trained, dtype=torch.float32)
    selector.network.eval()
    return selector


@pytest.fixture(scope="module", params=["none", "lora", "all"])
def released(request, checkpoints, tmp_path_factory):
    """A selector with the folder that it was saved to."""
    folder = tmp_path_factory.mktemp(request.param) / "selector"
    return write_selector(checkpoints, folder, request.param), folder


@pytest.fixture(scope="module")
def selector_folder(checkpoints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("selector") / "selector"
    write_selector(checkpoints, folder)
    return folder


def logits(selector, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(1, tiny_mllm.N, tiny_mllm.POOL**2, tiny_mllm.WIDTH, generator=generator)
    tokens = torch.tensor(selector.tokenizer("what is on the red star")["input_ids"])
    with torch.inference_mode():
        return selector.network.logits(frames, [tokens])


# The released form


def test_a_selector_comes_back_as_it_was_saved(released):
    selector, folder = released
    again = from_pretrained(str(folder))
    assert torch.equal(logits(again), logits(selector))
    assert again.settings == selector.settings
    assert again.tokenizer("red star")["input_ids"] == selector.tokenizer("red star")["input_ids"] == [10, 11]
    files = {file.name for file in folder.iterdir()}
    assert {"README.md", "config.json", "selector.safetensors", "tokenizer.json"} <= files
    assert ("adapter_model.safetensors" in files) == (selector.config.trained == "lora")
    assert str(folder) not in (folder / "config.json").read_text()


def test_a_selector_can_be_saved_and_loaded_again_and_again(released, tmp_path):
    selector, folder = released
    again = from_pretrained(str(folder))
    save_pretrained(again, tmp_path / "copy", trained=again.config.trained, dtype=torch.float32)
    for name in ("selector.safetensors", "config.json", "README.md"):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()
    assert torch.equal(logits(from_pretrained(str(tmp_path / "copy"))), logits(selector))
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_language_model_that_was_trained_is_not_needed_elsewhere(checkpoints, tmp_path):
    mine = tmp_path / "llm"
    shutil.copytree(checkpoints / "llm", mine)
    made = {
        kind: write_selector(checkpoints, tmp_path / kind, kind, llm={"model": str(mine)}) for kind in ("lora", "all")
    }
    shutil.rmtree(mine)
    assert torch.equal(logits(from_pretrained(str(tmp_path / "all"))), logits(made["all"]))
    with pytest.raises(InputError, match=r"llm: does not exist here(.|\n)*name the folder: llm: FOLDER"):
        from_pretrained(str(tmp_path / "lora"))
    moved = from_pretrained(str(tmp_path / "lora"), llm=str(checkpoints / "llm"))
    assert torch.equal(logits(moved), logits(made["lora"]))


def test_the_saved_language_model_can_be_halved(checkpoints, tmp_path):
    selector = write_selector(checkpoints, tmp_path / "all", "all")
    save_pretrained(selector, tmp_path / "half", trained="all", dtype=torch.float16)
    sizes = [(tmp_path / name / "selector.safetensors").stat().st_size for name in ("all", "half")]
    assert sizes[1] < 0.8 * sizes[0]
    difference = (logits(from_pretrained(str(tmp_path / "half"))) - logits(selector)).abs().max()
    assert 0 < difference < 0.01


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"n": 128}, r"n: does not match(.|\n)*found: 8(.|\n)*expected: 128(.|\n)*train another one"),
        ({"template": "Q: {question}"}, r"template: does not match(.|\n)*found: '\{question\}'"),
        ({"text": "question"}, r"text: does not match(.|\n)*found: 'question_and_options'"),
        ({"encoder": "google/siglip-base"}, r"encoder: does not match(.|\n)*expected: 'google/siglip-base'"),
        ({"llm": "Qwen/Qwen2.5-0.5B"}, r"llm: does not match"),
    ],
)
def test_what_does_not_match_is_refused(expected, message, selector_folder):
    assert settings_of(selector_folder, n=8, template="{question}", text="question_and_options")[1].n == 8
    with pytest.raises(InputError, match=message):
        from_pretrained(str(selector_folder), **expected)


def test_another_encoder_in_the_same_place_is_refused(checkpoints, tmp_path):
    mine = tmp_path / "siglip"
    shutil.copytree(checkpoints / "siglip", mine)
    vision = {"kind": "patches", "model": str(mine), "pool": 2, "frames": 8}
    write_selector(checkpoints, tmp_path / "selector", vision=vision)
    assert from_pretrained(str(tmp_path / "selector"), encoder=str(checkpoints / "siglip"))
    weights = mine / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match=r"encoder \(weights of .*siglip\): does not match"):
        from_pretrained(str(tmp_path / "selector"))


@pytest.mark.parametrize("file", ["config.json", "training.json", "selector.safetensors"])
def test_a_bit_in_a_selector_that_was_trained_here_is_noticed(file, selector_folder, tmp_path):
    shutil.copytree(selector_folder, tmp_path / "selector")
    path = tmp_path / "selector" / file
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{file}: is damaged, or was edited"):
        from_pretrained(str(tmp_path / "selector"))


@pytest.mark.parametrize("what", ["edited", "foreign", "cut", "other"])
def test_a_damaged_release_is_refused(what, selector_folder, tmp_path):
    folder = tmp_path / "selector"
    shutil.copytree(selector_folder, folder, ignore=shutil.ignore_patterns(".*.sha256"))  # releases of others have none
    config = json.loads((folder / "config.json").read_text())
    if what == "edited":
        config["settings"]["template"] = "Look: {question}"
        (folder / "config.json").write_text(json.dumps(config))
        message = "template_hash: does not match"
    elif what == "foreign":
        (folder / "config.json").write_text('{"model_type": "clip"}')
        message = r"is not the configuration of an M-LLM selector(.|\n)*train_selector\.py"
    elif what == "cut":
        weights = folder / "selector.safetensors"
        weights.write_bytes(weights.read_bytes()[:-8])
        message = "selector.safetensors: cannot be read"
    else:
        config["vision_width"] = 31
        (folder / "config.json").write_text(json.dumps(config))
        message = "does not fit its configuration"
    with pytest.raises(InputError, match=message):
        from_pretrained(str(folder))


def test_what_was_saved_without_its_last_block_follows_no_instructions(checkpoints, tmp_path):
    write_selector(checkpoints, tmp_path / "all", "all")
    with pytest.raises(InputError, match="cannot follow instructions"):
        from_pretrained(str(tmp_path / "all"), replies=True)


def test_the_adapter_names_the_checkpoint_it_is_for(selector_folder, checkpoints):
    adapter = json.loads((selector_folder / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == str(checkpoints / "llm")
    assert adapter["revision"] is None
    assert read_config(selector_folder).blocks == 2


# The scorer


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Of 3, 8 and 31 candidates; the selector sees 8 frames."""
    rows = described_videos(tmp_path_factory.mktemp("videos"), 30, 80, 310)
    assert [len(row.frames) for row in rows] == [3, 8, 31]
    return rows


TEXTS = ["what digit is on the red star ?", "who is on a blue circle", "red"]


def questions(videos, texts=TEXTS):
    return {
        video.video_id: [
            Question(
                question_id=f"{video.video_id}-{i}",
                video_id=video.video_id,
                question=text,
                options=("red", "blue"),
                answer="A",
            )
            for i, text in enumerate(texts)
        ]
        for video in videos
    }


def run(cache, videos, asked_of, *specs):
    models = [model_of(build("scorers", spec), {"rule": "index"}, "pyav", cache, "cpu") for spec in specs]
    made = VideoScorer(models, decoder="pyav", workers=1, timeout=60)
    return {row.question_id: row for rows in made.score(videos, asked_of) for row in rows}


def spec_for(folder, **fields):
    return {"kind": "mllm_selector", "model": str(folder), "batch_size": 5} | fields


def test_scores_are_those_of_the_network(selector_folder, checkpoints, videos, tmp_path):
    rows = run(tmp_path, videos, questions(videos), spec_for(selector_folder))
    selector = from_pretrained(str(selector_folder))
    encoder = build("encoders", {"kind": "patches", "model": str(checkpoints / "siglip"), "pool": 2, "frames": 8})
    loaded = encoder.load("cpu")
    from framesift.video.decoders import read_candidates

    for video in videos:
        images = list(read_candidates(video, "pyav"))
        shown = slots(len(images), 8)
        form = encoder.pictures(loaded)
        pixels = form.normalised(np.stack([form.prepare(images[i]) for i in shown]), "cpu")
        with torch.inference_mode():
            frames = encoder.features(loaded, pixels)
            for question in questions([video])[video.video_id]:
                text = asked(question, "question_and_options")
                assert text.endswith("A. red B. blue")
                tokens = torch.tensor(selector.tokenizer(text)["input_ids"])
                direct = selector.network.logits(frames[None], [tokens])[0].sigmoid().numpy()
                first = np.unique(shown, return_index=True)[1]
                expected = np.interp(np.arange(len(images)), shown[first], direct[first])
                scores = rows[question.question_id].scores
                assert len(scores) == len(video.frames)
                assert np.abs(np.array(scores) - expected).max() < 2e-4  # float16 features of other batches
                assert np.ptp(scores) > 1e-4


def test_features_are_means_over_parts_of_the_patches(checkpoints):
    encoder = build("encoders", {"kind": "patches", "model": str(checkpoints / "siglip"), "pool": 2})
    coarse = build("encoders", {"kind": "patches", "model": str(checkpoints / "siglip"), "pool": 1})
    clip = build("encoders", {"kind": "patches", "model": str(checkpoints / "clip"), "pool": 2, "layer": -2})
    images = tiny_scorers.random_images(3)
    with torch.inference_mode():
        features, one, of_clip = (
            tiny_scorers.features_of(made, made.load("cpu"), images) for made in (encoder, coarse, clip)
        )
        tower, _ = encoder.load("cpu")
        form = encoder.pictures(encoder.load("cpu"))
        pixels = form.normalised(np.stack([form.prepare(image) for image in images]), "cpu")
        patches = tower(pixel_values=pixels).last_hidden_state
        clip_tower, _ = clip.load("cpu")
        pixels = clip.pictures(clip.load("cpu")).normalised(
            np.stack([clip.pictures(clip.load("cpu")).prepare(image) for image in images]), "cpu"
        )
        inner = clip_tower(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
    assert features.dtype == torch.float16
    assert features.shape == (3, 4, 32)
    assert torch.allclose(features.float(), patches, atol=2e-3, rtol=2e-3)  # four patches, four parts
    assert torch.allclose(one[:, 0].float(), patches.mean(1), atol=2e-3, rtol=2e-3)
    assert torch.allclose(of_clip.float(), inner[:, 1:], atol=2e-3, rtol=2e-3)  # without the class token


def test_only_the_frames_it_sees_are_decoded_and_interpolated_between(selector_folder, videos, tmp_path, decoded):
    rows = run(tmp_path, videos, questions(videos), spec_for(selector_folder))
    assert [(task.video.video_id, len(task.video.frames)) for task in decoded] == [("v0", 3), ("v1", 8), ("v2", 8)]
    scores = np.array(rows["v2-0"].scores)
    positions = slots(31, 8)
    between = np.setdiff1d(np.arange(31), positions)
    assert len(scores) == 31
    assert np.allclose(scores[between], np.interp(between, positions, scores[positions]))


def test_a_second_question_runs_neither_decoder_nor_encoder(selector_folder, videos, tmp_path, monkeypatch, decoded):
    first = run(tmp_path, videos, questions(videos, TEXTS[:1]), spec_for(selector_folder))
    decoded.clear()
    monkeypatch.setattr(
        "framesift.scoring.encoders.patches.Patches.load", lambda *_: pytest.fail("the encoder was loaded")
    )
    again = run(tmp_path, videos, questions(videos), spec_for(selector_folder))
    assert decoded == []
    assert all(again[name] == row for name, row in first.items())
    monkeypatch.setattr(
        "framesift.scoring.scorers.mllm_selector._LoadedSelector.selector",
        property(lambda _: pytest.fail("the selector was loaded")),
    )
    assert run(tmp_path, videos, questions(videos), spec_for(selector_folder)) == again


def test_selectors_with_the_same_encoder_share_its_features(selector_folder, checkpoints, videos, tmp_path, decoded):
    other = tmp_path / "other"
    write_selector(checkpoints, other, "none", seed=5)
    mine, theirs = (
        run(tmp_path / "cache", videos, questions(videos), spec_for(folder)) for folder in (selector_folder, other)
    )
    assert len(decoded) == 3
    assert mine["v2-0"].scores != theirs["v2-0"].scores
    assert theirs == run(tmp_path / "alone", videos, questions(videos), spec_for(other))
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()) == [
        "mllm_selector", "mllm_selector", "patches",
    ]  # fmt: skip


def test_no_score_depends_on_batches_other_questions_or_companions(
    selector_folder, checkpoints, videos, tmp_path, decoded
):
    together = run(tmp_path / "a", videos, questions(videos), spec_for(selector_folder))
    clip = {"kind": "clip", "model": str(checkpoints / "clip"), "batch_size": 4}
    beside = run(tmp_path / "b", videos, questions(videos), spec_for(selector_folder), clip)
    assert beside == together
    assert len(decoded[-1].video.frames) == 31  # the other wants all frames
    apart = {}
    for i, text in enumerate(TEXTS):
        one = run(tmp_path / f"c{i}", videos, questions(videos, [text]), spec_for(selector_folder))
        apart |= {name.replace("-0", f"-{i}"): row.scores for name, row in one.items()}
    assert apart == {name: row.scores for name, row in together.items()}
    clips = run(tmp_path / "b", videos, questions(videos), clip)
    assert clips == run(tmp_path / "d", videos, questions(videos), clip)
    other_batches = run(tmp_path / "e", videos, questions(videos), spec_for(selector_folder, batch_size=1))
    for name, row in together.items():
        assert np.abs(np.array(row.scores) - other_batches[name].scores).max() < 1e-3


def test_the_scorer_refuses_what_does_not_match(selector_folder, videos, tmp_path):
    for fields, message in (
        ({"n": 128}, "n: does not match"),
        ({"text": "question"}, "text: does not match"),
        ({"template": "Q {question}"}, "template: does not match"),
        ({"encoder": "google/siglip-large-patch16-384"}, "encoder: does not match"),
    ):
        with pytest.raises(InputError, match=message):
            run(tmp_path, videos, questions(videos), spec_for(selector_folder, **fields))


def test_a_release_that_cannot_be_used_stops_no_companion(selector_folder, checkpoints, videos, tmp_path, caplog):
    bad = tmp_path / "bad"
    shutil.copytree(selector_folder, bad)
    (bad / "config.json").write_text("{}")
    clip = {"kind": "clip", "model": str(checkpoints / "clip")}
    rows = run(tmp_path / "cache", videos[:1], questions(videos[:1]), clip, spec_for(bad))
    assert all(row.error is None for row in rows.values())
    assert "a companion is left to its own job" in caplog.text


def test_its_scores_go_to_any_selector(selector_folder, videos, tmp_path):
    rows = run(tmp_path, videos, questions(videos), spec_for(selector_folder))
    scores = np.array(rows["v2-1"].scores)
    positions = choose(NMS(), Candidates(np.array(videos[2].times), scores), 4, np.random.default_rng(0)).positions
    assert scores.argmax() in positions
    assert np.diff(positions).min() > 31 // 16


def test_its_features_are_no_embeddings_for_selectors(selector_folder, tmp_path):
    config = {
        "datasets": {"d": {"kind": "videomme", "data_dir": str(tmp_path)}},
        "scorers": {"mine": spec_for(selector_folder)},
        "selectors": {"uniform": {"kind": "uniform"}, "mmr": {"kind": "mmr"}},
        "answerers": {"a": {"kind": "llava_onevision_hf", "model": str(tmp_path)}},
        "tables": {
            "t": {
                "dataset": "d",
                "answerers": ["a"],
                "scorers": ["mine"],
                "selectors": ["uniform", "mmr"],
                "budgets": [2],
            }
        },
    }
    with pytest.raises(InputError, match="needs embeddings, and 'mine' keeps none"):
        load_config(config)
