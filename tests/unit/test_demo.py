"""The demo: its world is deterministic and answerable, its shipped models load plainly and know what made them."""

import json
import re
from importlib import import_module

import pytest

from demo_models.settings import TrainingSettings
from demo_models.training import TargetNotReached
from framesift.demo.config import DemoWorld, video_ids
from framesift.demo.questions import COLUMNS, make_questions
from framesift.demo.world import plan_video
from project import ROOT

MODELS = ("clip", "blip", "vlm")
SHIPPED = ROOT / "resources" / "demo"
WORLD = DemoWorld()


@pytest.fixture(scope="module")
def questions():
    return make_questions(WORLD)


def test_the_same_world_gives_the_same_questions_and_plans(questions):
    assert make_questions(DemoWorld()) == questions
    assert make_questions(DemoWorld(seed=WORLD.seed + 1)) != questions
    # a video does not depend on how many others there are
    fewer = DemoWorld(long_videos=0, medium_videos=1)
    assert plan_video(fewer, "demo-medium-1") == plan_video(WORLD, "demo-medium-1")


def test_the_schema_is_that_of_videomme(questions):
    records, evidence = questions
    assert len(records) >= 60
    assert len({record["question_id"] for record in records}) == len(records)
    assert evidence.keys() == {record["question_id"] for record in records}
    assert {record["videoID"] for record in records} == set(video_ids(WORLD))
    assert {record["duration"] for record in records} == {"short", "medium", "long"}
    for record in records:
        assert tuple(record) == COLUMNS
        assert [option[:3] for option in record["options"]] == ["A. ", "B. ", "C. ", "D. "]
        assert len(set(record["options"])) == 4
        assert record["answer"] in "ABCD"


def test_every_kind_of_question_is_asked_of_every_video(questions):
    records, evidence = questions
    for video in video_ids(WORLD):
        kinds = [evidence[record["question_id"]]["kind"] for record in records if record["videoID"] == video]
        assert set(kinds) == {"one_moment", "two_moments", "whole_video"}


def test_evidence_lies_in_the_video_and_shows_the_answer(questions):
    records, evidence = questions
    for record in records:
        plan = plan_video(WORLD, record["videoID"])
        spans = evidence[record["question_id"]]["spans"]
        kind = evidence[record["question_id"]]["kind"]
        assert len(spans) == {"one_moment": 1, "two_moments": 2, "whole_video": 0}[kind]
        events = [event for event in plan.events if event.digit is not None]
        shown = [event for event in events if [round(event.start, 3), round(event.end, 3)] in spans]
        assert len(shown) == len(spans)
        answer = record["options"]["ABCD".index(record["answer"])][3:]
        for event in shown:
            assert {event.digit, event.colour, event.shape} & set(answer.replace(" and ", " ").split())
        if kind == "two_moments":
            (first, _), (second, _) = sorted(spans)
            assert second - first > 0.3 * plan.seconds


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_training_starts_to_learn(model, monkeypatch, capsys, tmp_path):
    """A few steps: the loss falls, the target is missed, and then nothing is written."""
    for module in ("vision", "train_clip", "train_blip", "vlm_language"):
        monkeypatch.setattr(import_module(f"demo_models.{module}"), "CHECK_EVERY", 20)
    spec = TrainingSettings(frames_per_combination=1, empty_frames=200, validation_frames=400, max_steps=60)
    train = getattr(import_module(f"demo_models.train_{model}"), f"train_{model}")
    with pytest.raises(TargetNotReached, match=f"{model}: .* expected at least"):
        train(spec, tmp_path / model)
    losses = [float(loss) for loss in re.findall(r"vision step \d+ loss ([\d.]+)", capsys.readouterr().out)]
    assert len(losses) == 3
    assert losses[-1] < 0.9 * losses[0]
    assert not (tmp_path / model).exists()


@pytest.mark.parametrize("model", MODELS)
def test_shipped_weights_carry_the_spec_that_made_them(model):
    record = json.loads((SHIPPED / model / "spec.json").read_text())
    assert record["model"] == model
    assert record["spec"] == TrainingSettings().model_dump(mode="json"), "train them again: make demo-models"


def test_shipped_weights_are_small_and_load_plainly():
    from transformers import (
        AutoProcessor,
        BlipForImageTextRetrieval,
        CLIPModel,
        LlavaOnevisionForConditionalGeneration,
    )

    assert sum(file.stat().st_size for file in SHIPPED.rglob("*")) < 12e6
    classes = (CLIPModel, BlipForImageTextRetrieval, LlavaOnevisionForConditionalGeneration)
    for model, cls in zip(MODELS, classes, strict=True):
        loaded, report = cls.from_pretrained(SHIPPED / model, output_loading_info=True)
        assert not report["missing_keys"]
        assert not report["unexpected_keys"]
        assert AutoProcessor.from_pretrained(SHIPPED / model).tokenizer.eos_token_id is not None
        assert sum(parameter.numel() for parameter in loaded.parameters()) < 3e6


def test_rendering_is_repeatable(tmp_path):
    from framesift.demo.world import write_video

    world = DemoWorld(short_videos=1, medium_videos=0, long_videos=0, short_seconds=120)
    for name in ("a.mp4", "b.mp4"):
        write_video(world, "demo-short-1", tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
