"""Evaluation: the selected frames reach the network, answers survive, and nothing is asked twice."""

import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import barcode
import tiny_llava
from framesift.answering import asker as answering
from framesift.answering.answer_file import Answer, read_answers
from framesift.answering.answerers import Given, LocalAnswerer, Reply
from framesift.answering.answerers.llava_onevision_hf import LlavaOnevisionHf
from framesift.answering.asker import Asker, LmmsRequest
from framesift.answering.evaluate import chunk_of, frame_requests
from framesift.answering.lmms.task import Frames, frames_only
from framesift.answering.protocols import Presentation
from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError
from framesift.core.versions import STAGES
from framesift.data.benchmarks.videomme import VideoMME
from framesift.data.labels import convert
from framesift.data.questions import Question
from framesift.selection.select_frames import Selected, write_selection
from framesift.storage.checksums import file_digest
from framesift.storage.files import read_json, write_json
from framesift.storage.journal import Journal
from framesift.video.grid import CandidateGrid
from framesift.video.prefetch import FrameRequest
from framesift.video.table import Video, describe_video, write_videos

#: Video and positions among its candidates, by question: even, odd, one, all.
CHOSEN = {
    "1-1": ("ten_fps", [0, 2, 5, 11]),
    "1-2": ("ten_fps", [1, 2, 9]),
    "2-1": ("ntsc", [4]),
    "2-2": ("ntsc", [*range(10)]),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folder with two videos, four questions, a video table and a checkpoint."""
    folder = tmp_path_factory.mktemp("world")
    barcode.write_video(folder / "ten_fps.mp4", 120, 10)
    barcode.write_video(folder / "ntsc.mp4", 300, Fraction(30000, 1001))
    records = [
        {
            "video_id": question_id[0], "duration": "short", "domain": "Our own", "sub_category": "Barcodes", "url": "",
            "videoID": video, "question_id": question_id, "task_type": "Counting", "question": f"{question_id}: which?",
            "options": ["A. 2020-01-01", "B. two", "C. three", "D. four"], "answer": answer,
        }
        for (question_id, (video, _)), answer in zip(CHOSEN.items(), "ABCD", strict=True)
    ]  # fmt: skip
    write_json(folder / "original.json", records)
    write_json(folder / "labels.json", convert(VideoMME(), folder / "original.json"))
    videos = {name: describe_video((name, folder / f"{name}.mp4"), CandidateGrid()) for name in ("ten_fps", "ntsc")}
    write_videos(folder / "videos.parquet", videos.values(), {})
    tiny_llava.write_checkpoint(folder / "model")
    return SimpleNamespace(folder=folder, videos=videos, asked=[])


@pytest.fixture
def network(world, monkeypatch):
    """The network of the checkpoint, with a record of the frames in its tensors, and words put into its mouth."""
    from transformers.generation.utils import GenerationMixin

    generate = GenerationMixin.generate
    network = SimpleNamespace(frames=[], prompts=[], says=None, fails=None, reads=None)

    def watched(self, **inputs):
        import torch

        assert "pixel_values" not in inputs
        assert inputs["pixel_values_videos"].shape[0] == 1
        network.frames.append(barcode.read_indices(inputs["pixel_values_videos"][0]))
        if network.fails:
            raise network.fails
        if network.says is None:
            return generate(self, **inputs)
        answer = torch.tensor([network.reads(network.says[len(network.frames) - 1])])
        return torch.cat([inputs["input_ids"], answer], dim=1)

    def reads(text):
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(world.folder / "model")(text)["input_ids"]

    network.reads = reads
    monkeypatch.setattr(GenerationMixin, "generate", watched)
    return network


@pytest.fixture(scope="module")
def program():
    """The program evaluate_selection.py (not by its name, which an installed library has too)."""
    spec = importlib.util.spec_from_file_location("evaluate_program", SCRIPTS / "evaluate_selection.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def job(world, program, tmp_path, monkeypatch):
    """Run evaluate_selection.py in this process: job(name, chosen=..., excluded=..., model=...) gives the answers."""

    def run(out="answers", **given):
        command = arguments(world, tmp_path, out, **given)
        monkeypatch.setattr(sys, "argv", ["evaluate_selection.py", *command])
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        program.main()
        return read_answers(tmp_path / f"{out}.json")

    return run


def arguments(
    world, folder, out, *, chosen=CHOSEN, excluded=(), model="model", videos=None, chunk="1", chunks="1", also=(),
    **asked,
):  # fmt: skip
    selection = {
        question_id: Selected(video_id=video, error="scores: NaN")
        if question_id in excluded
        else Selected(
            video_id=video,
            frames=[world.videos[video].frames[i] for i in positions],
            times=[world.videos[video].times[i] for i in positions],
            candidates=len(world.videos[video].frames),
        )
        for question_id, (video, positions) in chosen.items()
    }
    write_selection(folder / f"selection-{out}.json", selection, {})
    answerer = {"kind": "llava_onevision_hf", "model": str(world.folder / model), "dtype": "float32"}
    spec = {"answerer": answerer, "dataset": {"kind": "videomme"}, "protocol": "fair", **asked}
    options = {
        "spec": json.dumps(spec), "labels": world.folder / "labels.json",
        "videos": videos or world.folder / "videos.parquet", "selection": folder / f"selection-{out}.json",
        "cache": folder / "cache", "chunk": chunk, "chunks": chunks, "out": folder / f"{out}.json",
        "device": "cpu", "threads": 1,
        "also": json.dumps([[str(folder / f"selection-{name}.json"), spec] for name in also]),
    }  # fmt: skip
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def indices(world, question_id):
    video, positions = CHOSEN[question_id]
    return [world.videos[video].frames[i] for i in positions]


def test_exactly_the_selected_frames_reach_the_network(world, network, job, tmp_path):
    answers = job()
    assert network.frames == [indices(world, question_id) for question_id in CHOSEN]
    assert [answer.frames_given for answer in answers.values()] == network.frames
    assert answers["2-1"].times_given == [pytest.approx(116 * 1001 / 30000, abs=1e-5)]
    made_by = read_json(tmp_path / "answers.json")["made_by"]
    assert made_by["lmms_eval"] == "0.7.3"
    assert made_by["spec"]["protocol"] == "fair"


def test_an_excluded_question_is_not_asked(network, job):
    answers = job(excluded=["1-1"])
    assert len(network.frames) == 3
    assert answers["1-1"] == Answer(video_id="ten_fps", error="scores: NaN")


def test_without_a_question_to_ask_no_model_is_needed(network, job, monkeypatch):
    monkeypatch.setattr(LlavaOnevisionHf, "load", None)
    assert all(answer.error for answer in job(excluded=[*CHOSEN]).values())


def test_a_broken_video_costs_only_its_questions(world, network, job, tmp_path):
    whole = (world.folder / "ten_fps.mp4").read_bytes()
    (tmp_path / "ten_fps.mp4").write_bytes(whole[: len(whole) // 2])
    table = tmp_path / "videos.parquet"
    broken = replace(
        world.videos["ten_fps"], path=str(tmp_path / "ten_fps.mp4"), digest=file_digest(tmp_path / "ten_fps.mp4")
    )
    write_videos(table, [broken, world.videos["ntsc"]], {})
    answers = job(videos=table)
    assert [bool(answer.error) for answer in answers.values()] == [True, True, False, False]
    assert "decoding failed" in answers["1-1"].error
    assert network.frames == [indices(world, "2-1"), indices(world, "2-2")]
    assert not any(answer.error for answer in job("mended").values())  # an error is not written to the journal
    assert len(network.frames) == 4


def test_an_error_of_the_model_fails_the_job(network, job, tmp_path):
    network.fails = ValueError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory") as failure:
        job()
    assert failure.value.__cause__ is network.fails
    assert not (tmp_path / "answers.json").exists()


def test_a_processor_that_drops_a_frame_fails_the_job(network, job, monkeypatch):
    from transformers import LlavaOnevisionProcessor

    process = LlavaOnevisionProcessor.__call__

    def dropping(self, *arguments, **options):
        inputs = process(self, *arguments, **options)
        inputs["pixel_values_videos"] = inputs["pixel_values_videos"][:, 1:]
        return inputs

    monkeypatch.setattr(LlavaOnevisionProcessor, "__call__", dropping)
    with pytest.raises(RuntimeError, match="4 frames became a tensor of 3 pictures"):
        job()
    assert network.frames == []


def test_an_error_that_lmms_eval_only_logs_fails_the_job(network, job, monkeypatch):
    from transformers import PreTrainedTokenizerFast

    monkeypatch.setattr(PreTrainedTokenizerFast, "batch_decode", None)
    with pytest.raises(RuntimeError, match="not callable"):
        job()


def test_known_answers_need_no_checkpoint_whatever_the_chunks_and_the_method(network, job, monkeypatch):
    first = job()
    monkeypatch.setattr(LlavaOnevisionHf, "load", None)
    assert job("again") == first
    chunks = [job(f"chunk{i}", chunk=str(i), chunks="3") for i in (1, 2, 3)]
    assert sum(len(chunk) for chunk in chunks) == len(CHOSEN)
    assert {key: answer for chunk in chunks for key, answer in chunk.items()} == first
    assert len(network.frames) == len(CHOSEN)


def test_only_the_changed_question_is_asked_again(network, job):
    job()
    job("other", chosen=CHOSEN | {"1-2": ("ten_fps", [1, 2, 8])})
    assert network.frames[len(CHOSEN) :] == [[10, 20, 80]]


@pytest.mark.parametrize("change", ["prompt", "weights", "version", "library"])
def test_a_change_of_anything_else_asks_anew(world, network, job, monkeypatch, change):
    job()
    model = "model"
    asked = {}
    if change == "prompt":
        asked = {"prompt": {"pre_prompt": "", "post_prompt": "\nWhich letter?"}}
    elif change == "weights":
        model = "other"
        tiny_llava.write_checkpoint(world.folder / model, seed=1)
    elif change == "version":
        monkeypatch.setitem(STAGES, "answering", STAGES["answering"] + 1)
    else:
        monkeypatch.setattr(answering, "version", lambda name: "another")
    job("changed", model=model, **asked)
    assert len(network.frames) == 2 * len(CHOSEN)


KILLED_IN_THIRD_CALL = """
import os, runpy, signal, socket, sys
sys.argv.pop(0)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
from transformers.generation.utils import GenerationMixin
generate, calls = GenerationMixin.generate, []
def killing(self, **inputs):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return generate(self, **inputs)
def refuse(self, address):
    raise AssertionError(f"the network was asked for: {address}")
GenerationMixin.generate, socket.socket.connect = killing, refuse
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_killed_job_goes_on_where_it_was(world, network, job, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    command = [str(SCRIPTS / "evaluate_selection.py"), *arguments(world, tmp_path, "answers")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THIRD_CALL, *command],
        env=environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not any(path.is_file() for path in home.rglob("*"))
    assert not (tmp_path / "answers.json").exists()
    answers = job()
    assert network.frames == [indices(world, "2-1"), indices(world, "2-2")]
    assert [answer.frames_given for answer in answers.values()] == [indices(world, key) for key in CHOSEN]


def test_the_journal_ignores_a_torn_line(tmp_path):
    journal = Journal(tmp_path, "a")
    journal.add("one", {"response": "ä"})
    journal.close()
    with open(tmp_path / "a.jsonl", "ab") as file:
        file.write('{"key": "two", "response": "ä'.encode()[:-1])
    again = Journal(tmp_path, "a")
    assert len(again) == 1
    again.add("three", {"response": "C"})
    again.close()
    other = Journal(tmp_path, "b")
    assert [other.get(key) and other.get(key)["response"] for key in ("one", "two", "three")] == ["ä", None, "C"]


@pytest.mark.parametrize("n", [0, 1, 5, 12])
@pytest.mark.parametrize("chunks", [1, 3, 7])
def test_every_item_is_in_one_chunk(n, chunks):
    parts = [chunk_of(range(n), chunk, chunks) for chunk in range(1, chunks + 1)]
    assert [item for part in parts for item in part] == [*range(n)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_there_is_no_chunk_zero():
    with pytest.raises(InputError, match="expected: 1 to 3"):
        chunk_of(range(9), 0, 3)


QUESTION = Question(question_id="q", video_id="v", question="?", options=("a", "b"), answer="A")
VIDEO = Video("v", "v.mp4", n_frames=11, frames=[0, 10], stamps=[0, 100], times=[0.0, 1.0], keyframes=[0])


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({}, "not in the selection"),
        ({"q": Selected(video_id="w", frames=[0])}, "not with the video"),
        ({"q": Selected(video_id="v", frames=[0, 11], times=[0, 1])}, "v has frames 0 to 10, not 11"),
        ({"q": Selected(video_id="v", frames=[10, 0], times=[1, 0])}, "no frames in time order"),
        ({"q": Selected(video_id="v")}, "no frames in time order"),
    ],
)
def test_a_selection_that_does_not_belong_is_refused(selection, message):
    with pytest.raises(InputError, match=message):
        frame_requests([QUESTION], selection, {"v": VIDEO}, Presentation())


def test_a_column_that_the_task_reads_is_asked_for_before_the_model_is(world, job, tmp_path, monkeypatch):
    records = read_json(world.folder / "labels.json")
    write_json(tmp_path / "labels.json", [{k: v for k, v in record.items() if k != "domain"} for record in records])
    monkeypatch.setattr(LlavaOnevisionHf, "load", None)
    folder, world.folder = world.folder, tmp_path
    try:
        (tmp_path / "model").symlink_to(folder / "model")
        with pytest.raises(InputError, match="column 'domain'"):
            job(videos=folder / "videos.parquet")
    finally:
        world.folder = folder


class Parrot(LocalAnswerer):
    """A simple model, without a network: it says what it was given."""

    chat = False
    kind: str = "parrot"
    skips: int = 0

    @property
    def module(self):
        return LlavaOnevisionHf.__module__

    def load(self, device):
        def answer(asked):
            text, generation, visual, *_ = asked.request.args
            assert asked.text == text
            generation["changed"] = asked.generation["changed"] = True
            [frames] = visual(None)
            assert frames is asked.frames
            assert [image.size for image in frames] == [(160, 120)] * len(frames)
            given = Given(frames.frames[self.skips :], frames.times[self.skips :], "digest")
            return Reply(f"{text} {frames.fps} {frames.n_frames} {len(frames)}", given)

        return SimpleNamespace(answer=answer)


class Request:
    """What `Asker` uses of a request of lmms-eval."""

    def __init__(self, *arguments):
        self.arguments = arguments

    @property
    def args(self):
        return self.arguments


@pytest.mark.parametrize("skips", [0, 1])
def test_simple_models_are_asked_the_same_way(world, tmp_path, skips):
    video = world.videos["ten_fps"]
    wanted = FrameRequest(
        path=video.path, digest=video.digest, fps=10.0, n_frames=120, keyframes=video.keyframes,
        frames=video.frames[:2], times=video.times[:2], stamps=video.stamps[:2],
    )  # fmt: skip
    asker = Asker(Parrot(model=str(world.folder / "model"), skips=skips), tmp_path, "job", "cpu")
    request = Request("which?", {"max_new_tokens": 16}, frames_only, 0, "task", "test")

    def ask():
        put = LmmsRequest(request, {"task": {"test": [{"framesift_id": "q"}]}}, chat=False)
        return asker.ask([put], {"q": wanted})["q"].response

    if skips:
        with pytest.raises(RuntimeError, match="not the selected frames"):
            ask()
        assert len(asker.journal) == 0
        return
    assert ask() == ask() == "which? 10.0 120 2"
    assert asker.timing.asked == 1
    assert request.args[1] == {"max_new_tokens": 16}


class Crowd(Parrot):
    """Asked several questions at a time; it fails on the fourth."""

    fails: str = ""

    @property
    def concurrency(self):
        return 3

    def load(self, device):
        def answer(asked):
            number = len(heard)
            heard.append(asked.frames.question_id)
            if self.fails and number == 3:
                raise InputError("the context is too long", field="model", value=self.fails)
            return Reply(asked.frames.question_id * LONG, Given(asked.frames.frames, asked.frames.times, "digest"))

        heard = []
        return SimpleNamespace(answer=answer, heard=heard)


#: A reply of 200,000 letters.
LONG = 100_000


@pytest.mark.parametrize("fails", ["", "tiny"])
def test_several_questions_at_a_time(world, tmp_path, fails, caplog):
    """Each answer goes to its question; after a failure the others finish what they have, and it is kept."""
    caplog.set_level(logging.INFO, "framesift")
    video = world.videos["ten_fps"]
    wanted, put = {}, []
    documents = {"task": {"test": [{"framesift_id": f"q{k}"} for k in range(12)]}}
    for k in range(12):
        wanted[f"q{k}"] = FrameRequest(
            path=video.path, digest=video.digest, fps=10.0, n_frames=120, keyframes=video.keyframes,
            frames=video.frames[k : k + 1], times=video.times[k : k + 1], stamps=video.stamps[k : k + 1],
        )  # fmt: skip
        put.append(LmmsRequest(Request("?", {}, frames_only, k, "task", "test"), documents, chat=False))
    asker = Asker(Crowd(model=str(world.folder / "model"), fails=fails), tmp_path, "job", "cpu")
    if not fails:
        answers = asker.ask(put, wanted)
        assert {name: answer.response for name, answer in answers.items()} == {name: name * LONG for name in wanted}
        assert "q11: 'q11q11q11" in caplog.text
        assert max(map(len, caplog.messages)) < 300  # a log is for reading
        return
    with pytest.raises(InputError, match=r"^question q\d+: model: the context is too long\n  found: 'tiny'"):
        asker.ask(put, wanted)
    assert 4 <= len(asker.loaded.heard) <= 6
    assert len(Journal(asker.journal.folder, "again")) == len(asker.loaded.heard) - 1


def test_what_another_job_answers_meanwhile_is_not_asked(world, tmp_path):
    asker = Asker(Parrot(model=str(world.folder / "model")), tmp_path, "job", "cpu")
    other = Journal(asker.journal.folder, "other")
    other.add("key", {"response": "A"})
    assert asker.journal.get("key")["response"] == "A"


def test_a_gpu_that_is_too_small_is_one_clear_error(world, network, job, monkeypatch, caplog):
    """All fallbacks are tried, in turn; what was answered before stays."""
    import torch

    calls = []

    def exhausted(self, *arguments, **inputs):
        calls.append(inputs.get("cache_implementation"))
        raise torch.OutOfMemoryError("CUDA out of memory")

    from transformers.generation.utils import GenerationMixin

    monkeypatch.setattr(GenerationMixin, "generate", exhausted)
    with pytest.raises(InputError, match=r"question 1-1: the GPU does not have enough memory for 4 frames") as failure:
        job()
    assert "hint: use a larger GPU" in str(failure.value)
    assert calls == [None, None, "offloaded"]
    assert "keeping keys and values" in caplog.text


def test_a_fallback_that_helps_is_no_error(world, network, job, monkeypatch):
    import torch
    from transformers.generation.utils import GenerationMixin

    generate, failures = GenerationMixin.generate, []

    def failing_once(self, *arguments, **inputs):
        if not failures:
            failures.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(self, *arguments, **inputs)

    monkeypatch.setattr(GenerationMixin, "generate", failing_once)
    assert not any(answer.error for answer in job().values())


# Protocols and controls, as they reach the network


def test_the_released_protocol_replaces_a_short_selection(world, network, job):
    answers = job(protocol="released", budget=4)
    ntsc = [int(frame) for frame in np.linspace(0, 299, 4, dtype=int)]
    assert network.frames == [indices(world, "1-1"), [0, 39, 79, 119], ntsc, indices(world, "2-2")[:4]]
    assert [answer.frames_given for answer in answers.values()] == network.frames
    assert answers["2-1"].times_given == [pytest.approx(frame * 1001 / 30000, abs=1e-5) for frame in ntsc]


@pytest.mark.parametrize("control", ["zeroed", "shuffled", "blank"])
def test_negative_controls(world, network, job, monkeypatch, control):
    before = job()
    pixels = [answer.pixels for answer in before.values()]
    network.frames.clear()
    if control == "blank":
        monkeypatch.setattr(
            barcode, "read_indices", lambda frames: [float(frame[0].max() - frame[0].min()) for frame in frames]
        )
    answers = job(control, control=control)
    given = [answer.frames_given for answer in answers.values()]
    assert all(answer.times_given == sorted(answer.times_given) for answer in answers.values())
    if control == "zeroed":
        assert network.frames == given == [[0] * len(positions) for _, positions in CHOSEN.values()]
        assert {time for answer in answers.values() for time in answer.times_given} == {0.0}
    elif control == "shuffled":
        assert network.frames == [frames for frames in given if len(frames) > 1]  # one frame has one order
        for question_id, frames in zip(CHOSEN, given, strict=True):
            chosen = indices(world, question_id)
            assert sorted(frames) == chosen
            assert frames != chosen or len(chosen) == 1
    else:
        assert given == [indices(world, question_id) for question_id in CHOSEN]
        assert all(deviation == 0 for frames in network.frames for deviation in frames)
    changed = [one != answer.pixels for one, answer in zip(pixels, answers.values(), strict=True)]
    assert changed == [True, True, control != "shuffled", True]


# One loaded model serves what else is pending


def test_the_loaded_model_answers_other_selections_too(world, network, job, tmp_path, monkeypatch):
    other = CHOSEN | {"1-2": ("ten_fps", [1, 2, 8]), "2-1": ("ntsc", [5])}
    arguments(world, tmp_path, "other", chosen=other)  # writes the selection
    job(also=["other", "not_there"])
    assert network.frames[len(CHOSEN) :] == [[10, 20, 80], [145]]
    monkeypatch.setattr(LlavaOnevisionHf, "load", None)
    answers = job("other", chosen=other)
    assert [answers[name].frames_given for name in ("1-2", "2-1")] == [[10, 20, 80], [145]]


def test_an_outdated_selection_is_left_to_its_own_job(world, network, job, tmp_path):
    other = CHOSEN | {"1-2": ("ten_fps", [1, 2, 8])}
    arguments(world, tmp_path, "other", chosen=other)
    os.utime(tmp_path / "selection-other.json", (10**9, 10**9))
    job(also=["other"])
    assert len(network.frames) == len(CHOSEN)


def test_without_a_question_to_ask_others_are_left_alone(world, network, job, tmp_path):
    job()
    arguments(world, tmp_path, "other", chosen=CHOSEN | {"1-2": ("ten_fps", [1, 2, 8])})
    job("again", also=["other"])
    assert len(network.frames) == len(CHOSEN)


def test_where_the_time_went_is_told(network, job, caplog):
    import logging

    with caplog.at_level(logging.INFO, logger="framesift"):
        job()
    assert "4 questions in " in caplog.text
    assert "waiting for frames" in caplog.text


def test_frames_are_a_video_before_they_are_decoded():
    assert Frames("q")
    assert len(Frames("q")) == 0


def test_a_file_of_something_else_is_no_file_of_answers(tmp_path):
    Path(tmp_path / "x.json").write_text('{"questions": [1]}')
    with pytest.raises(InputError, match="not a file of answers"):
        read_answers(tmp_path / "x.json")
