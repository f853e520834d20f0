"""Training of the selector: data in a fixed order, and runs that are killed and go on as if they had not been."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from accelerate.state import AcceleratorState
from pydantic import ValidationError

import tiny_mllm
from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError
from framesift.core.spec import spec_of
from framesift.scoring.mllm_selector.batches import Draws, MicroBatches, Reader, VideoFeatures, rounds
from framesift.scoring.mllm_selector.checkpoint import from_pretrained, new_selector
from framesift.scoring.mllm_selector.examples import (
    Example,
    read_examples,
    read_instructions,
    write_examples,
    write_instructions,
)
from framesift.scoring.mllm_selector.settings import FirstStage, SecondStage, SelectorSettings, TrainingSpec
from framesift.training import train_selector as training
from framesift.training.train_selector import Files, prepare, train
from framesift.training.validation import figures_of, mean_figures, ndcg, recall_at

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_mllm.write_checkpoints(folder)
    return folder


@pytest.fixture(scope="module")
def settings(checkpoints):
    return tiny_mllm.settings(checkpoints)


@pytest.fixture(scope="module")
def world(settings, tmp_path_factory):
    return tiny_mllm.World(tmp_path_factory.mktemp("world"), settings)


@pytest.fixture(scope="module")
def files(world):
    examples, instructions = world.folder / "examples.parquet", world.folder / "instructions.parquet"
    validation = world.folder / "validation.parquet"
    write_examples(examples, world.examples[:16], {})
    write_examples(validation, world.examples[16:], {})
    write_instructions(instructions, world.instructions[:16], {})
    return Files((examples,), (world.features,), (instructions,), (validation,))


def curve(folder):
    with (folder / "curves.csv").open() as file:
        return list(csv.DictReader(file))


def stage_1(settings, **fields):
    stage = {"stage": 1, "batch_size": 8, "micro_batch": 4, "precision": "float32", "epochs": 3, "save_every": 2}
    return TrainingSpec(selector=settings, stage=stage | fields)


def stage_2(**fields):
    stage = {"stage": 2, "batch_size": 8, "micro_batch": 4, "precision": "float32", "epochs": 3, "save_every": 2}
    return TrainingSpec(stage=stage | {"learning_rate": 1e-3, "lora": {"r": 4, "dropout": 0.2}} | fields)


@pytest.fixture(scope="module")
def trained(settings, files, tmp_path_factory):
    """Both stages, one after the other."""
    folder = tmp_path_factory.mktemp("trained")
    train(stage_1(settings), files, work=folder / "work1", out=folder / "stage1", start=None, device="cpu")
    train(stage_2(), files, work=folder / "work2", out=folder / "stage2", start=folder / "stage1", device="cpu")
    AcceleratorState._reset_state(reset_partial_state=True)
    return folder


# Records


def test_records_come_back_as_they_were_written(world, files):
    given = sorted(world.examples[:16], key=lambda one: one.question_id)
    assert [one.question_id for one in given] == [one.question_id for one in read_examples(files.examples, 8)]
    assert read_examples(files.examples, 8)[3] == given[3]
    assert read_instructions(files.instructions)[0] in world.instructions
    folder = files.examples[0].parent / "both"
    write_examples(folder / "a.parquet", given[:5], {})
    write_examples(folder / "b.parquet", given[5:], {})
    assert read_examples([folder], 8) == given


def test_damaged_labels_are_refused(world, tmp_path):
    path = tmp_path / "examples.parquet"
    write_examples(path, world.examples[:2], {})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged, or was edited"):
        read_examples([path], 8)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("targets", (0.5,) * 7, "'targets' has 7 values for 4 frames"),
        ("targets", (0.5, 1.2, 0, 0), "less than or equal to 1"),
        ("targets", (0.5, float("nan"), 0, 0), "finite|greater|less"),
        ("frames", (0, 1, 2, 9), "not the 4 candidates"),
        ("frames", (0, 0, 1, 1), "a slot that repeats a frame counts"),
        ("mask", (False,) * 4, "no slot counts"),
        ("spans", ((3.0, 2.0),), "must not end before it starts"),
        ("text", "", "at least 1 character"),
    ],
)
def test_a_wrong_record_is_refused_with_its_reason(field, value, message, tmp_path):
    good = {
        "question_id": "q", "video_id": "v", "text": "what", "frames": (0, 1, 2, 3), "targets": (0, 1, 0.5, 0),
        "mask": (True,) * 4,
    }  # fmt: skip
    Example(**good)
    with pytest.raises(ValidationError, match=message):
        Example(**good | {field: value})
    path = tmp_path / "examples.parquet"
    write_examples(path, [Example.model_construct(**good | {"spans": (), "times": ()} | {field: value})], {})
    with pytest.raises(InputError, match=r"examples\.parquet: record 1"):
        read_examples([path], 4)


def test_records_for_another_number_of_frames_and_twice_are_refused(world, files, tmp_path):
    with pytest.raises(InputError, match=r"has a different number of frames(.|\n)*found: 8(.|\n)*expected: 16 frames"):
        read_examples(files.examples, 16)
    with pytest.raises(InputError, match="occurs twice"):
        read_examples([*files.examples, *files.examples], 8)
    with pytest.raises(InputError, match="there are no parquet files"):
        read_examples([tmp_path], 8)
    (tmp_path / "bad.parquet").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        read_examples([tmp_path], 8)


# Order


def alone(size):
    return [np.array([number]) for number in range(size)]


def test_every_record_is_drawn_once_a_pass_and_any_batch_alone_is_the_same():
    first = [Draws(alone(20), 4, (7, 1))[number] for number in range(10)]
    assert (
        Counter(np.concatenate(first[:5]).tolist()) == Counter(range(20)) == Counter(np.concatenate(first[5:]).tolist())
    )
    assert np.concatenate(first[:5]).tolist() != np.concatenate(first[5:]).tolist()
    assert [Draws(alone(20), 4, (7, 1))[number].tolist() for number in (7, 3)] == [first[7].tolist(), first[3].tolist()]
    assert Draws(alone(20), 4, (8, 1))[0].tolist() != first[0].tolist()
    short = [Draws(alone(5), 4, (0,))[number] for number in range(2)]
    assert [len(batch) for batch in short] == [4, 4]
    assert set(np.concatenate(short).tolist()) == set(range(5))
    assert Draws(alone(3), 8, (0,))[0].tolist().count(0) >= 2
    assert rounds(5, 4) == 2


def test_examples_of_a_video_are_drawn_together_on_request(settings, world):
    reader = Reader(settings, None, VideoFeatures([world.features]))
    stage = FirstStage(tasks=("importance",), batch_size=4, by_video=True)
    groups = MicroBatches(reader, {"importance": world.examples}, stage).draws["importance"].groups
    numbers = np.concatenate(groups).tolist()
    assert sorted(numbers) == list(range(len(world.examples)))
    videos = [world.examples[number].video_id for number in numbers]
    assert [video for i, video in enumerate(videos) if i == 0 or videos[i - 1] != video] == list(dict.fromkeys(videos))
    assert len(set(videos)) < len(videos)


def test_videos_are_turned_round_with_their_labels(settings, world):
    reader = Reader(settings, lambda *args, **options: {"input_ids": [1]}, VideoFeatures([world.features]))
    plain, turned = (reader.importance(world.examples, rng) for rng in (None, np.random.default_rng(4)))
    turns = []
    for number, video in enumerate(plain.of.tolist()):
        [turn] = [t for t in range(settings.n) if torch.equal(plain.frames[video].roll(t, 0), turned.frames[video])]
        assert torch.equal(plain.targets[number].roll(turn), turned.targets[number])
        assert torch.equal(plain.mask[number].roll(turn), turned.mask[number])
        turns.append(turn)
    assert len(set(turns)) > 1


def test_devices_and_parts_share_a_batch(settings, world, checkpoints):
    selector = new_selector(settings, seed=0, dtype=torch.float32, replies=False)
    reader = Reader(settings, selector.tokenizer, VideoFeatures([world.features]))
    records = {"importance": world.examples[:16]}

    def targets(micro, world_size, step):
        stage = SecondStage(batch_size=8, micro_batch=micro, epochs=2)
        made = [MicroBatches(reader, records, stage, rank, world_size) for rank in range(world_size)]
        rows = [
            row.tolist()
            for batches in made
            for part in range(batches.parts)
            for row in batches[step * batches.parts + part].targets
        ]
        return sorted(rows)

    assert targets(8, 1, 3) == targets(2, 1, 3) == targets(2, 2, 3) != targets(8, 1, 2)
    with pytest.raises(InputError, match="does not divide among 3 devices"):
        MicroBatches(reader, records, SecondStage(batch_size=8, micro_batch=2), 0, 3)


def test_tasks_take_turns(settings, world, checkpoints):
    records = {"importance": world.examples[:16], "instruction": world.instructions[:3]}
    selector = new_selector(settings, seed=0, dtype=torch.float32, replies=True)
    reader = Reader(settings, selector.tokenizer, VideoFeatures([world.features]))
    batches = MicroBatches(reader, records, FirstStage(batch_size=8, micro_batch=8, epochs=2), 0, 1)
    assert len(batches) == 8  # an epoch has each labelled example once, and as many steps of the other task
    assert [bool(batches[number].replies) for number in range(8)] == [True, False] * 4


def test_parts_of_a_batch_add_up_to_its_gradient(settings, world):
    gradients = []
    for micro in (8, 2):
        selector = new_selector(settings, seed=0, dtype=torch.float32, replies=False)
        stage = SecondStage(batch_size=8, micro_batch=micro, lora={"r": 2, "dropout": 0})
        trained = prepare(selector, stage)
        reader = Reader(settings, selector.tokenizer, VideoFeatures([world.features]))
        batches = MicroBatches(reader, {"importance": world.examples}, stage)
        for part in range(batches.parts):
            (selector.network(batches[part]) / batches.parts).backward()
        gradients.append({name: one.grad for name, one in trained.items()})
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-6) for name in gradients[0])


# Whole runs


def test_two_stages_leave_curves_and_a_selector(trained, files):
    rows = curve(trained / "stage2")
    by_stage = [[row for row in rows if row["stage"] == str(stage)] for stage in (1, 2)]
    assert [row["task"] for row in by_stage[0] if row["task"] != "validation"] == ["instruction", "importance"] * 6
    assert [int(row["step"]) for row in by_stage[1] if row["task"] == "importance"] == list(range(1, 7))
    checked = [row for row in by_stage[1] if row["task"] == "validation"]
    assert [int(row["step"]) for row in checked] == [2, 4, 6]
    assert all(0 <= float(row[name]) <= 1 for row in checked for name in ("ndcg", "recall", "evidence_recall"))
    assert all(row["ndcg"] == "" for row in rows if row["task"] != "validation")
    record = json.loads((trained / "stage2" / "training.json").read_text())
    assert [one["settings"]["stage"] for one in record] == [1, 2]
    assert record[1]["validation"]["ndcg"] == float(checked[-1]["ndcg"])
    assert "instruction" in record[0]["data"]
    assert "instruction" not in record[1]["data"]


def test_frozen_parts_are_as_they_were(trained, checkpoints):
    from safetensors.torch import load_file

    original = load_file(checkpoints / "llm" / "model.safetensors")
    for stage, moved in ((1, False), (2, True)):
        selector = from_pretrained(str(trained / f"stage{stage}"))
        assert selector.config.trained == ("lora" if moved else "none")
        state = selector.network.trunk.state_dict()
        for name, tensor in state.items():
            if "lora_" in name:
                assert tensor.any() == ("lora_A" in name or moved)
            else:
                plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
                assert torch.equal(tensor, original[f"model.{plain}"])
    files_ = {file.name for file in (trained / "stage1").iterdir()}
    assert "adapter_model.safetensors" not in files_


class Killed(BaseException):
    """What no handler catches."""


@pytest.mark.parametrize("stage", [1, 2])
def test_a_killed_run_has_the_losses_of_one_that_was_not(stage, trained, settings, files, tmp_path, monkeypatch):
    spec = stage_1(settings) if stage == 1 else stage_2()
    start = None if stage == 1 else trained / "stage1"
    places = {"work": tmp_path / "work", "out": tmp_path / "out", "start": start}
    seed = time.time_ns() % 1000
    steps = sorted(random.Random(seed).sample(range(1, 6), 2))
    print("killed within steps", steps, "of seed", seed)
    original = training._StageLoop._micro
    for step in steps:

        def micro(self, number, batch, step=step):
            if number == step * self.batches.parts + 1:  # half way through a step
                raise Killed
            return original(self, number, batch)

        monkeypatch.setattr(training._StageLoop, "_micro", micro)
        with pytest.raises(Killed):
            train(spec, files, device="cpu", **places)
        AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(training._StageLoop, "_micro", original)
    train(spec, files, device="cpu", **places)
    whole = trained / f"stage{stage}"
    assert (tmp_path / "out" / "curves.csv").read_bytes() == (whole / "curves.csv").read_bytes()
    for name in ("selector.safetensors", *(["adapter_model.safetensors"] if stage == 2 else [])):
        assert (tmp_path / "out" / name).read_bytes() == (whole / name).read_bytes()


def test_the_program_goes_on_after_kill(trained, settings, files, tmp_path):
    spec = stage_1(settings, save_every=1)
    (tmp_path / "spec.json").write_text(json.dumps({"selector": spec_of(settings), "stage": spec_of(spec.stage)}))
    given = {"examples": files.examples, "features": files.features, "instructions": files.instructions}
    command = [sys.executable, str(SCRIPTS / "train_selector.py"), "--spec", f"@{tmp_path / 'spec.json'}"]
    command += [str(word) for name, paths in given.items() for word in (f"--{name}", *paths)]
    command += ["--validation", str(files.validation[0]), "--work", str(tmp_path / "work")]
    command += ["--out", str(tmp_path / "out"), "--device", "cpu", "--threads", "1", "--micro-batch", "4"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "work" / "progress.safetensors").is_file() and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "resuming after step" in done.stderr
    assert (tmp_path / "out" / "curves.csv").read_bytes() == (trained / "stage1" / "curves.csv").read_bytes()


def in_two_processes(settings, files, folder):
    """The command that trains stage 1."""
    (folder / "spec.json").write_text(
        json.dumps({"selector": spec_of(settings), "stage": spec_of(stage_1(settings).stage)})
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [SCRIPTS / "train_selector.py", "--spec", f"@{folder / 'spec.json'}", "--device", "cpu"]
    command += ["--examples", *files.examples, "--features", *files.features, "--instructions", *files.instructions]
    command += ["--validation", *files.validation, "--work", folder / "work", "--out", folder / "out"]
    return [str(word) for word in [*command, "--threads", "1", "--micro-batch", "2", "--readers", "1"]]


def test_processes_end_with_what_started_them(settings, files, tmp_path):
    launcher = subprocess.Popen(in_two_processes(settings, files, tmp_path), stderr=subprocess.DEVNULL)
    while not (tmp_path / "work" / "progress.safetensors").is_file():
        assert launcher.poll() is None
        time.sleep(0.02)
    started = psutil.Process(launcher.pid).children(recursive=True)
    assert len(started) >= 2
    launcher.kill()
    launcher.wait()
    assert not psutil.wait_procs(started, timeout=30)[1]


def test_two_processes_train_what_one_does(trained, settings, files, tmp_path):
    done = subprocess.run(in_two_processes(settings, files, tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    both, alone = curve(tmp_path / "out"), curve(trained / "stage1")
    assert [(row["step"], row["task"]) for row in both] == [(row["step"], row["task"]) for row in alone]
    for name in ("loss", "lr", "ndcg"):
        values = ([float(row[name] or 0) for row in rows] for rows in (both, alone))
        assert next(values) == pytest.approx(next(values), rel=1e-4)
    assert json.loads((tmp_path / "out" / "training.json").read_text())[0]["devices"] == 2
    assert Path(os.devnull).is_char_device()  # where the second process had written its curves


def test_a_training_takes_a_gpu_as_every_program_does(settings, files, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(training, "pick_device", lambda device: asked.append(device) or "cpu")
    train(stage_1(settings, epochs=1), files, work=tmp_path / "work", out=tmp_path / "out", start=None)
    assert asked == ["auto"]


def test_progress_of_another_run_is_refused_and_damaged_progress_made_anew(trained, settings, files, tmp_path, caplog):
    places = {"work": tmp_path / "work", "out": tmp_path / "out", "start": None, "device": "cpu"}
    train(stage_1(settings, epochs=1), files, **places)
    AcceleratorState._reset_state(reset_partial_state=True)
    with pytest.raises(InputError, match="belongs to a training with other settings"):
        train(stage_1(settings, epochs=1, seed=1), files, **places)
    AcceleratorState._reset_state(reset_partial_state=True)
    progress = tmp_path / "work" / "progress.safetensors"
    progress.write_bytes(progress.read_bytes()[:-4])
    before = (tmp_path / "out" / "curves.csv").read_bytes()
    train(stage_1(settings, epochs=1), files, **places)
    assert "is damaged; training starts again" in caplog.text
    assert (tmp_path / "out" / "curves.csv").read_bytes() == before


def test_bfloat16_trains_float32_weights_round_a_frozen_model_in_half(trained, files, tmp_path, monkeypatch):
    seen = {}
    original = training.prepare

    def watched(selector, stage):
        parameters = original(selector, stage)
        seen["trained"] = {one.dtype for one in parameters.values()}
        seen["frozen"] = {one.dtype for one in selector.network.parameters() if not one.requires_grad}
        return parameters

    monkeypatch.setattr(training, "prepare", watched)
    spec = stage_2(precision="bfloat16", max_steps=2)
    train(spec, files, work=tmp_path / "work", out=tmp_path / "out", start=trained / "stage1", device="cpu")
    assert seen == {"trained": {torch.float32}, "frozen": {torch.bfloat16}}
    full, half = (float(curve(folder)[-1]["loss"]) for folder in (trained / "stage2", tmp_path / "out"))
    assert np.isfinite([full, half]).all()


def test_what_does_not_fit_is_refused(trained, settings, files, tmp_path, checkpoints):
    places = {"work": tmp_path / "work", "out": tmp_path / "out", "device": "cpu"}

    def refused(message, spec, given, start=None):
        with pytest.raises(InputError, match=message):
            train(spec, given, start=start, **places)
        AcceleratorState._reset_state(reset_partial_state=True)

    refused("has neither a network nor", stage_2(), files)
    other = tiny_mllm.settings(checkpoints, order="question_then_frames")
    refused("is not the selector that the settings describe", stage_1(other), files, trained / "stage1")
    refused("are required for the task", stage_1(settings), Files(files.examples, files.features))
    coarse = settings.model_copy(update={"vision": settings.vision.model_copy(update={"pool": 1})})
    refused("come from a different encoder", stage_1(coarse), files)
    refused("has a language model trained by 'lora'", stage_2(train_llm="all"), files, trained / "stage2")
    few = tiny_mllm.World(tmp_path / "few", settings, videos=2)
    refused("videos have no features", stage_1(settings), Files(files.examples, (few.features,), files.instructions))
    with pytest.raises(ValidationError, match="adapters are trained on importance alone"):
        FirstStage(train_llm="lora")
    with pytest.raises(ValidationError, match=r"must contain \{question\} exactly once"):
        SelectorSettings.model_validate(spec_of(settings) | {"template": "no place"})


# Figures of validation


def test_ndcg_and_recall_on_hand_made_scores():
    gains = np.array([1.0, 0.0, 0.5, 0.0])
    best = 1 + 0.5 / np.log2(3)
    assert ndcg(np.array([4.0, 1, 3, 2]), gains) == pytest.approx(1.0)
    assert ndcg(np.array([1.0, 4, 3, 2]), gains) == pytest.approx((0.5 / np.log2(3) + 1 / np.log2(5)) / best)
    assert ndcg(np.zeros(4), np.zeros(4)) is None
    assert recall_at(np.array([4.0, 1, 3, 2]), gains, 1) == 1.0
    assert recall_at(np.array([4.0, 1, 2, 3]), gains, 2) == 0.5
    assert recall_at(np.array([4.0, 1, 2, 3]), gains, 3) == 1.0
    assert recall_at(np.array([4.0, 1, 2, 3]), gains / 4, 3) is None


def test_validation_looks_at_the_slots_that_count():
    example = Example(
        question_id="q", video_id="v", text="what", frames=(0, 1, 1, 2), targets=(0, 1, 0, 0.25),
        mask=(True, True, False, True), times=(0, 10, 10, 20), spans=((9, 11), (19, 30)),
    )  # fmt: skip
    logits = np.array([-1.0, 2.0, 99.0, -3.0])
    judged = figures_of(example, logits, 1)
    p = 1 / (1 + np.exp(-logits[[0, 1, 3]]))
    t = np.array([0, 1, 0.25])
    assert judged.loss == pytest.approx(-(t * np.log(p) + (1 - t) * np.log(1 - p)).mean())
    assert judged.recall == 1.0
    assert judged.evidence_recall == 0.5
    assert judged.ndcg == pytest.approx((1 + 0.25 / 2) / (1 + 0.25 / np.log2(3)))
    without = figures_of(example.model_copy(update={"spans": ()}), logits, 1)
    assert without.evidence_recall is None
    assert mean_figures([judged, without])["evidence_recall"] == 0.5
