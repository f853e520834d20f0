"""What the demo's M-LLM selector starts from: lists of words, a look-up, and the shipped weights."""

import json
import re

import numpy as np
import pytest
import torch

from demo_models import train_selector_start as start
from demo_models.lookup_model import FRAMES, WORDS, build_model, start_as_lookup, start_head, word_ids
from demo_models.pool import NO_COLOUR, NO_DIGIT, NO_SHAPE, render_pool
from demo_models.settings import SelectorStartSettings
from demo_models.training import TargetNotReached
from demo_models.word_lists import draw_list
from framesift.config.load import read_config
from framesift.config.plan import Plan
from framesift.core.spec import spec_of
from framesift.demo.text import digit_question
from framesift.demo.world import COLOUR_NAMES, SHAPES
from framesift.scoring.mllm_selector.checkpoint import from_pretrained
from framesift.scoring.mllm_selector.network import SelectorNetwork
from project import ROOT

SHIPPED = ROOT / "resources" / "demo"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def lists(count):
    return [draw_list(np.random.default_rng([3, number])) for number in range(count)]


def test_frames_that_a_question_asks_about_show_its_words():
    asked = 0
    for one in lists(20):
        for question, target in zip(one.questions, one.targets, strict=True):
            words = [word for word in re.findall(r"\w+", question) if word in WORDS]
            assert 1 <= len(words) <= 4
            for frame in np.flatnonzero(target):
                shown = {word for word, there in zip(WORDS, one.shown[frame], strict=True) if there}
                assert len(shown & set(words)) >= (2 if len(words) > 1 else 1)
                asked += 1
    assert asked > 100


def test_decoys_are_not_asked_about():
    for one in lists(20):
        has_digit = one.shown[:, [WORDS.index(digit) for digit in "0123456789"]].any(1)
        assert not (one.targets.any(0) & ~has_digit).any()
        assert (one.shown.any(1) & ~has_digit).any()


def test_the_model_starts_as_a_lookup():
    """Before any training it finds what a question asks about many times as often as by chance."""
    trunk, tokenizer = build_model(0)
    network = SelectorNetwork(start.settings(), trunk, len(trunk.h), 8)
    words = word_ids(tokenizer)
    before = start.check_lists(network, tokenizer, words, lists(10))
    start_as_lookup(trunk, network.query, words)
    start_head(network.head, trunk)
    after = start.check_lists(network, tokenizer, words, lists(10))
    assert before < 0.2
    assert after > 0.4


def test_without_its_target_nothing_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(start, "CHECK_EVERY", 1)
    spec = SelectorStartSettings(max_steps=3, frames_per_combination=1, empty_frames=10, target=1.0)
    with pytest.raises(TargetNotReached, match=r"selector_start: recall at 8 is 0\.\d+, expected at least 1"):
        start.train_selector_start(spec, tmp_path / "start")
    assert len(re.findall(r"lists step \d loss", capsys.readouterr().out)) == 3
    assert not (tmp_path / "start").exists()


def test_what_is_trained_is_a_selector_in_released_form(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "LISTS", 2)
    spec = SelectorStartSettings(max_steps=2, frame_steps=100, frames_per_combination=1, empty_frames=10, target=0.01)
    reached = start.train_selector_start(spec, tmp_path / "start")
    assert reached["explained"] > 0.1
    saved = from_pretrained(str(tmp_path / "start" / "selector"), llm=str(tmp_path / "start" / "llm"))
    assert saved.settings.n == FRAMES
    assert saved.config.trained == "none"
    assert json.loads((tmp_path / "start" / "spec.json").read_text())["reached"] == reached


# What is shipped


@pytest.fixture(scope="module")
def config():
    return read_config(ROOT / "config" / "config.yaml")


def test_the_shipped_start_carries_the_spec_that_made_it():
    record = json.loads((SHIPPED / "selector_start" / "spec.json").read_text())
    assert record["spec"] == SelectorStartSettings().model_dump(mode="json"), "train it again: make demo-models"
    assert record["reached"]["recall"] >= SelectorStartSettings().target


def test_the_shipped_selector_is_the_one_that_is_configured(config):
    trained = config.trained["demo"]
    stages = json.loads((SHIPPED / "selector" / "training.json").read_text())
    assert [stage["settings"] for stage in stages] == [spec_of(stage) for stage in trained.stages]
    rows = {kind: sum(file["rows"] for file in files) for kind, files in stages[0]["data"].items()}
    worlds = Plan(config).sources.worlds
    assert set(rows) == {"importance", "validation"}
    assert rows["importance"] == 240 * (
        worlds["demo_train"].one_moment_questions + worlds["demo_train"].two_moments_questions
    )
    assert sum(file.stat().st_size for file in (SHIPPED / "selector").iterdir()) <= 4e6
    made = from_pretrained(str(SHIPPED / "selector"))
    assert spec_of(made.settings) == spec_of(trained.selector)
    assert made.config.trained == "all"


def test_the_shipped_selector_finds_rendered_events():
    made = from_pretrained(str(SHIPPED / "selector"))
    labels = np.array([[colour, shape, (4 * colour + shape) % 10, 0] for colour in range(4) for shape in range(4)])
    events = render_pool(labels, 11)
    empty = render_pool(np.array([[NO_COLOUR, NO_SHAPE, NO_DIGIT, 0]] * FRAMES), 12)
    frames = start.look_at(empty, torch.device("cpu")).clone()
    places = np.linspace(5, FRAMES - 6, len(labels)).astype(int)
    for step in range(2):
        frames[places + step] = start.look_at(events, torch.device("cpu"))
    found = 0
    for place, (colour, shape, *_) in zip(places, events.labels, strict=True):
        question = digit_question(COLOUR_NAMES[colour], SHAPES[shape])
        tokens = torch.tensor(made.tokenizer(question, add_special_tokens=False)["input_ids"])
        with torch.inference_mode():
            found += int(made.network.logits(frames[None, :, None], [tokens])[0].argmax()) in (place, place + 1)
    assert found >= 0.75 * len(labels)
