"""Labelling videos: nothing is asked twice, a broken video costs itself alone, and what failed is said."""

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import barcode
import label_frames
import tiny_labellers
from chat_server import ChatServer, completion
from framesift.core.errors import InputError, VideoError
from framesift.data.questions import NORMALISED, Question
from framesift.remote import chat_api
from framesift.scoring.mllm_selector.examples import read_examples
from framesift.scoring.mllm_selector.label_settings import LabelSettings, LocalModel
from framesift.scoring.score_table import QuestionScores, read_scores, write_scores
from framesift.storage.checksums import file_digest
from framesift.storage.files import read_json, write_json
from framesift.training.labels import frame_questions
from framesift.training.labels.frame_questions import scaled_down
from framesift.training.labels.labelling import Labelling, summary
from framesift.video.prefetch import decode
from framesift.video.table import Video, write_videos

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
N = 6

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def direct_and_quick(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(chat_api, "FIRST_WAIT", 0.01)


@pytest.fixture
def processes():
    """Frames are decoded in processes of their own, as they are outside of tests; these take a second to start."""


@pytest.fixture(autouse=True)
def decoded_here(request, monkeypatch):
    def decoded(items, workers, timeout):
        for item, wanted in items:
            try:
                yield item, decode(wanted), 0.0
            except VideoError as error:
                yield item, error, 0.0

    if "processes" not in request.fixturenames:
        monkeypatch.setattr(frame_questions, "decoded_ahead", decoded)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Of 15, 22 and 3 candidate frames."""
    return barcode.described_videos(tmp_path_factory.mktemp("videos"), 150, 220, 30)


@pytest.fixture
def asked():
    return {f"v{v}": [question(f"v{v}", q) for q in range(2)] for v in range(3)}


def question(video, number):
    return Question(
        question_id=f"{video}-{number}", video_id=video, question=f"What is in part {number}?",
        options=("a dog", "a cat"), answer="A",
    )  # fmt: skip


# A server whose opinion of a frame depends on its index and on the question


def frame_of(message):
    content = base64.b64decode(message["content"][0]["image_url"]["url"].split(",")[1])
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    return barcode.read_indices([picture.transpose(2, 0, 1)])[0]


def part_of(text):
    return int(re.search(r"What is in part (\d)", text).group(1))


def log_odds(frame, part):
    return -0.5 * abs(frame - 40 - 50 * part) / 10


def told(chosen="[1, 2]"):
    """Replies as asked; the LLM names `chosen`."""

    def say(heard):
        first, last = heard.body["messages"][0], heard.body["messages"][-1]
        if isinstance(first["content"], str):
            return completion(f'So: {{"reason": "seen", "frames": {chosen}}}')
        frame, text = frame_of(first), first["content"][1]["text"]
        if "Describe" in text:
            return completion(f"Scene {frame}.")
        if last["role"] == "user":
            return completion(f"Frame {frame} for part {part_of(text)}.\nFinal answer: True")
        assert last["content"] == f"Frame {frame} for part {part_of(text)}.\nFinal answer:"
        odds = log_odds(frame, part_of(text))
        said = completion(" True")
        tokens = [{"token": " True", "logprob": odds - 1.0}, {"token": "False", "logprob": -1.0}]
        said.body["choices"][0]["logprobs"] = {"content": [{**tokens[0], "top_logprobs": tokens}]}
        return said

    return say


def kind(heard):
    first, last = heard.body["messages"][0], heard.body["messages"][-1]
    if isinstance(first["content"], str):
        return "read"
    if last["role"] == "assistant":
        return "verdict"
    return "caption" if "Describe" in first["content"][1]["text"] else "explanation"


def counts(server):
    return dict(Counter(map(kind, server.heard)))


def settings(server, **fields):
    model = {"kind": "openai_api", "model": "tiny", "base_url": server.url, "max_retries": 0, "parallel": 3}
    return LabelSettings.model_validate({"vlm": model, "n": N, "text": "question"} | fields)


def label(made, cache, videos, asked, **fields):
    labels = Labelling(made, cache, fields.pop("writer", "one"), **fields).label(videos, asked)
    return {one.question.question_id: one for one in labels}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_labels_are_the_average_of_what_is_seen_and_what_is_read(videos, asked, tmp_path, processes):
    with ChatServer(told("[1]")) as server:
        made = settings(server)
        labels = label(made, tmp_path, videos, asked)
        assert counts(server) == {"caption": 15, "explanation": 30, "verdict": 30, "read": 6}
    assert list(labels) == [f"v{v}-{q}" for v in range(3) for q in range(2)]
    one, video = labels["v0-1"], videos[0]
    assert one.positions.tolist() == [0, 3, 6, 8, 11, 14]
    chances = np.array([sigmoid(log_odds(video.frames[i], 1)) for i in one.positions])
    spatial = (chances - chances.min()) / (chances.max() - chances.min())
    expected = spatial / 2 + np.array([0, 1, 0, 0, 0, 0]) / 2
    np.testing.assert_allclose(one.importance, expected, atol=1e-9)
    assert one.choice.reason == "seen"


def test_what_the_llm_reads_is_the_captions_in_their_order(videos, asked, tmp_path):
    with ChatServer(told()) as server:
        label(settings(server), tmp_path, videos[:1], asked)
        texts = [heard.text for heard in server.heard if kind(heard) == "read"]
    frames = [videos[0].frames[i] for i in (0, 3, 6, 8, 11, 14)]
    lines = "\n".join(f'[{i}] "Scene {frame}."' for i, frame in enumerate(frames))
    assert all(lines in text and "at most 3" in text for text in texts)


def test_examples_fit_the_selector_and_repeated_frames_do_not_count(videos, asked, tmp_path):
    with ChatServer(told("[1]")) as server:
        made = settings(server)
        labels = label(made, tmp_path, videos, asked)
    short = labels["v2-0"].example(made, [(0.0, 1.0)])
    assert short.frames == (0, 0, 1, 1, 2, 2)
    assert short.mask == (True, False, True, False, True, False)
    assert short.targets[0] == short.targets[1]
    assert short.targets[2] == max(short.targets)
    assert short.times == (0.0, 0.0, 1.0, 1.0, 2.0, 2.0)
    assert short.spans == ((0.0, 1.0),)
    assert labels["v0-0"].example(made).mask == (True,) * N


def test_fewer_frames_are_labelled_and_the_others_interpolated(videos, asked, tmp_path):
    with ChatServer(told("[1]")) as server:
        made = settings(server, n_label=3)
        labels = label(made, tmp_path, videos[:1], asked)
        assert counts(server) == {"caption": 3, "explanation": 6, "verdict": 6, "read": 2}
    one = labels["v0-0"]
    assert one.positions.tolist() == [0, 6, 14]
    example = one.example(made)
    assert example.frames == (0, 3, 6, 8, 11, 14)
    np.testing.assert_allclose(example.targets, np.interp([0, 3, 6, 8, 11, 14], [0, 6, 14], one.importance), atol=1e-12)
    scores = one.scores()
    assert scores.frames == videos[0].frames
    np.testing.assert_allclose(scores.scores, np.interp(range(15), [0, 6, 14], one.importance), atol=1e-12)


def test_one_kind_of_label_alone_asks_for_nothing_else(videos, asked, tmp_path):
    with ChatServer(told()) as server:
        spatial = label(settings(server, weight=0), tmp_path / "s", videos[:1], asked)
        assert counts(server) == {"explanation": 12, "verdict": 12}
        server.heard.clear()
        temporal = label(settings(server, weight=1), tmp_path / "t", videos[:1], asked)
        assert counts(server) == {"caption": 6, "read": 2}
        server.heard.clear()
        both = label(settings(server), tmp_path / "s", videos[:1], asked)
        assert counts(server) == {"caption": 6, "read": 2}  # the weight is no part of what is kept
    np.testing.assert_allclose(
        both["v0-0"].importance, (spatial["v0-0"].importance + temporal["v0-0"].importance) / 2, atol=1e-12
    )
    assert temporal["v0-0"].importance.tolist() == [0, 1, 1, 0, 0, 0]


def test_nothing_is_asked_twice(videos, asked, tmp_path):
    with ChatServer(told("[1]")) as server:
        made = settings(server)
        first = label(made, tmp_path, videos, asked)
        server.heard.clear()
        again = label(made, tmp_path, videos, asked, writer="two")
        assert server.heard == []
        np.testing.assert_equal([one.importance for one in again.values()], [one.importance for one in first.values()])
        more = {**asked, "v0": [*asked["v0"], question("v0", 3)]}
        label(made, tmp_path, videos, more)
        assert counts(server) == {"explanation": 6, "verdict": 6, "read": 1}
        server.heard.clear()
        label(settings(server, prompts={"caption": "Describe it."}), tmp_path, videos, asked)
        assert counts(server) == {"caption": 15}  # the captions say the same, so the LLM is told the same
        server.heard.clear()
        label(settings(server, max_side=80), tmp_path, videos[:1], asked)
        assert counts(server) == {"caption": 6, "explanation": 12, "verdict": 12}


def test_questions_that_are_put_the_same_are_asked_once(videos, tmp_path):
    twins = [question("v0", 0), question("v0", 0).model_copy(update={"question_id": "twin", "answer": "B"})]
    with ChatServer(told()) as server:
        labels = label(settings(server), tmp_path, videos[:1], {"v0": twins})
        assert counts(server) == {"caption": 6, "explanation": 6, "verdict": 6, "read": 1}
    np.testing.assert_array_equal(labels["v0-0"].importance, labels["twin"].importance)


def test_another_model_is_asked_anew(videos, asked, tmp_path):
    with ChatServer(told()) as server:
        made = settings(server)
        label(made, tmp_path, videos[:1], asked)
        before = len(server.heard)
        other = made.model_copy(update={"llm": made.vlm.model_copy(update={"served": "another"})})
        label(other, tmp_path, videos[:1], asked)
        assert Counter(map(kind, server.heard[before:])) == {"read": 2}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_reply_that_cannot_be_used_is_asked_for_again_with_what_was_wrong(videos, asked, tmp_path):
    def say(heard):
        if kind(heard) != "read":
            return told()(heard)
        replies = ["none", '{"reason": "r", "frames": [99]}', '{"reason": "r", "frames": [4]}']
        return completion(replies[(len(heard.body["messages"]) - 1) // 2])

    with ChatServer(say) as server:
        made = settings(server)
        labels = label(made, tmp_path, videos[:1], asked)
        reads = [heard.body["messages"] for heard in server.heard if kind(heard) == "read"]
        assert [len(messages) for messages in reads] == [1, 1, 3, 3, 5, 5]
        assert reads[-1][1] == {"role": "assistant", "content": "none"}
        assert "there is no JSON object" in reads[-1][2]["content"]
        assert "each is a number from 0 to 5" in reads[-1][4]["content"]
        server.heard.clear()
        label(made, tmp_path, videos[:1], asked)
        assert server.heard == []
    assert labels["v0-0"].choice.attempts == 3
    assert labels["v0-0"].choice.frames == (4,)
    assert summary(made, list(labels.values()))["temporal"]["failure_rate"] == 0


def test_where_no_reply_can_be_used_the_spatial_label_stands_alone_and_the_record_says_so(videos, asked, tmp_path):
    def say(heard):
        if kind(heard) == "read" and "part 1" in heard.text:
            return completion('Sure! {"reason": "all of them", "frames": "all"}')
        return told()(heard)

    with ChatServer(say) as server:
        made = settings(server)
        labels = label(made, tmp_path, videos[:1], asked)
        alone = label(settings(server, weight=0), tmp_path, videos[:1], asked)
        assert Counter(map(kind, server.heard))["read"] == 1 + 3
        strict = label(settings(server, weight=1), tmp_path, videos[:1], asked)
        never = label(settings(server, retries=0), tmp_path, videos[:1], asked)
    np.testing.assert_array_equal(labels["v0-1"].importance, alone["v0-1"].importance)
    assert not np.array_equal(labels["v0-0"].importance, alone["v0-0"].importance)
    found = summary(made, list(labels.values()))
    assert found["temporal"]["failures"] == {"v0-1": "frames: Input should be a valid list"}
    assert found["temporal"]["failure_rate"] == 0.5
    assert found["temporal"]["replies"] == 4
    assert strict["v0-1"].error == "no reply to the captions could be used"
    assert strict["v0-0"].error is None
    assert never["v0-1"].choice.attempts == 1


def test_frames_without_a_verdict_are_interpolated_and_counted(videos, asked, tmp_path):
    def say(heard):
        if kind(heard) != "verdict" or frame_of(heard.body["messages"][0]) not in (30, 60):
            return told()(heard)
        said = completion("Maybe")
        said.body["choices"][0]["logprobs"] = {"content": [{"top_logprobs": [{"token": "Maybe", "logprob": 0.0}]}]}
        return said

    with ChatServer(say) as server:
        made = settings(server, weight=0)
        labels = label(made, tmp_path, videos[:1], asked)
    assert labels["v0-0"].undecided == 2
    ends = labels["v0-0"].importance[[0, 3]]
    np.testing.assert_allclose(labels["v0-0"].importance[1:3], ends[0] + (ends[1] - ends[0]) * np.array([1, 2]) / 3)
    assert summary(made, list(labels.values()))["undecided_frames"] == 4


def test_a_question_without_any_verdict_is_left_out_with_the_reason(videos, asked, tmp_path):
    def say(heard):
        if kind(heard) != "verdict":
            return told()(heard)
        said = completion("Maybe")
        said.body["choices"][0]["logprobs"] = {"content": [{"top_logprobs": [{"token": "Maybe", "logprob": 0.0}]}]}
        return said

    with ChatServer(say) as server:
        labels = label(settings(server, weight=0), tmp_path, videos[:1], asked)
        both = label(settings(server), tmp_path, videos[:1], asked)
    assert labels["v0-0"].error == "no frame has a verdict"
    assert labels["v0-0"].scores() == QuestionScores("v0-0", "v0", "no frame has a verdict", [], [])
    assert both["v0-0"].importance.tolist() == [0, 1, 1, 0, 0, 0]


def test_a_broken_video_costs_its_own_questions(videos, asked, tmp_path, processes):
    broken = tmp_path / "broken.mp4"
    content = Path(videos[1].path).read_bytes()
    broken.write_bytes(content[: len(content) // 3])
    given = [videos[0], replace(videos[1], path=str(broken), digest=file_digest(broken)), videos[2]]
    asked = {**asked, "v3": [question("v3", 0)]}
    given.append(Video("v3", "", error="no video file was found", reason="missing"))
    with ChatServer(told()) as server:
        made = settings(server)
        labels = label(made, tmp_path / "cache", given, asked)
    assert {name for name, one in labels.items() if one.error} == {"v1-0", "v1-1", "v3-0"}
    assert labels["v3-0"].error == "no video file was found"
    assert set(summary(made, list(labels.values()))["left_out"]) == {"v1-0", "v1-1", "v3-0"}


def test_a_server_that_goes_down_keeps_what_was_said(videos, asked, tmp_path):
    left = iter(range(20))

    def say(heard):
        return told()(heard) if next(left, None) is not None else None

    with ChatServer(say) as server:
        made = settings(server)
        with pytest.raises(InputError, match=r"^video v0: base_url: cannot be reached"):
            label(made, tmp_path, videos[:1], asked)
        server.answer = told()
        server.heard.clear()
        label(made, tmp_path, videos[:1], asked)
        assert len(server.heard) == 6 + 12 + 12 + 2 - 20


def test_half_a_pair_of_surrogates_in_a_reply_is_kept_all_the_same(videos, asked, tmp_path):
    def say(heard):
        return completion("a \ud83d sign") if kind(heard) == "caption" else told()(heard)

    with ChatServer(say) as server:
        labels = label(settings(server), tmp_path, videos[:1], asked)
        server.heard.clear()
        label(settings(server), tmp_path, videos[:1], asked)
        assert server.heard == []
    assert labels["v0-0"].error is None


def test_models_that_run_here_label_too(videos, asked, tmp_path):
    vlm = tiny_labellers.write_vlm(tmp_path / "vlm")
    llm = tiny_labellers.write_llm(tmp_path / "llm")
    made = LabelSettings.model_validate(
        {
            "vlm": {"kind": "transformers", "model": str(vlm), "dtype": "float32"},
            "llm": {"kind": "transformers", "model": str(llm), "dtype": "float32"},
            "n": 3, "retries": 1, "explanation_tokens": 4, "caption_tokens": 4, "reply_tokens": 8, "max_side": 56,
        }
    )  # fmt: skip
    labels = label(made, tmp_path / "cache", videos[:1], asked)
    assert {one.choice.problem for one in labels.values()} == {"there is no JSON object in it that can be read"}
    assert all(one.error is None and one.importance.max() == 1 for one in labels.values())
    again = label(made, tmp_path / "cache", videos[:1], asked, writer="two")
    np.testing.assert_equal([one.importance for one in again.values()], [one.importance for one in labels.values()])


def test_frames_are_scaled_down_and_never_up():
    picture = np.zeros((100, 300, 3), dtype=np.uint8)
    assert scaled_down(picture, 150).shape == (50, 150, 3)
    assert scaled_down(picture, 300) is picture
    assert scaled_down(picture, None) is picture
    assert scaled_down(np.zeros((1, 1000, 3), dtype=np.uint8), 16).shape == (1, 16, 3)


# Scores in place of a VLM


def stand_in(**fields):
    vlm = {"kind": "scorer", "scorer": "clip"}
    return LabelSettings.model_validate({"vlm": vlm, "llm": {"kind": "peaks"}, "n": N, "text": "question"} | fields)


def test_scores_stand_in_for_verdicts_and_their_peaks_for_named_frames(videos, asked, tmp_path):
    curve = np.array([0, 1, 2, 9, 2, 1, 0, 0, 0, 1, 2, 7, 2, 0, 0], dtype=float) - 4
    scores = {name: QuestionScores(name, "v0", None, videos[0].frames, curve.tolist()) for name in ("v0-0", "v0-1")}
    labels = label(stand_in(), tmp_path, videos[:1], asked, scores=scores)
    # of the candidates 0, 3, 6, 8, 11, 14
    np.testing.assert_allclose(labels["v0-0"].importance, [0, 1, 0, 0, 0.5 + 3.5 / 9, 0], atol=1e-12)
    alone = label(stand_in(weight=0), tmp_path, videos[:1], asked, scores=scores)
    np.testing.assert_allclose(alone["v0-0"].importance, [0, 1, 0, 0, 7 / 9, 0], atol=1e-12)
    peaks = label(stand_in(weight=1), tmp_path, videos[:1], asked, scores=scores)
    assert peaks["v0-0"].importance.tolist() == [0, 1, 0, 0, 1, 0]
    surer = label(
        stand_in(weight=0, vlm={"kind": "scorer", "scorer": "clip", "exponent": 3}),
        tmp_path,
        videos[:1],
        asked,
        scores=scores,
    )
    np.testing.assert_allclose(surer["v0-0"].importance, [0, 1, 0, 0, (7 / 9) ** 3, 0], atol=1e-12)
    assert not any(tmp_path.iterdir())
    assert summary(stand_in(), list(labels.values()))["spatial"] == {"kind": "scorer", "scorer": "clip"}


def test_scores_that_are_missing_or_of_other_frames_are_refused(videos, asked, tmp_path):
    with pytest.raises(InputError, match="question v0-0"):
        label(stand_in(), tmp_path, videos[:1], asked)
    other = {"v0-0": QuestionScores("v0-0", "v0", None, [1, 2], [0.0, 1.0])}
    with pytest.raises(InputError, match="no scores of the candidates"):
        label(stand_in(), tmp_path, videos[:1], asked, scores=other)
    broken = {name: QuestionScores(name, "v0", "it broke", [], []) for name in ("v0-0", "v0-1")}
    assert label(stand_in(), tmp_path, videos[:1], asked, scores=broken)["v0-1"].error == "it broke"


# The program


@pytest.fixture
def job(videos, asked, tmp_path):
    """Input files of label_frames.py; v0 and v2 are shard 1."""
    records = [{NORMALISED: one.model_dump(mode="json")} for group in asked.values() for one in group]
    write_json(tmp_path / "labels.json", records)
    write_videos(tmp_path / "videos.parquet", videos, {})
    write_json(tmp_path / "shards.json", {"v0": 1, "v1": 2, "v2": 1})
    write_json(tmp_path / "evidence.json", {"v0-0": {"kind": "one_moment", "spans": [[1, 2]]}})
    return tmp_path


def command(job, spec, out="examples.parquet", *more):
    write_json(job / "spec.json", {"labels": spec, "candidates": {"rule": "index"}})
    files = ["--labels", "labels.json", "--videos", "videos.parquet", "--shards", "shards.json"]
    return [
        *(sys.executable, str(SCRIPTS / "label_frames.py"), "--spec", "@spec.json", *files, "--shard", "1"),
        *("--cache", "cache", "--out", out, "--summary", "summary.json", "--device", "cpu", "--threads", "1", *more),
    ]


@pytest.fixture
def run(job, monkeypatch):
    """Runs the program in this process."""
    monkeypatch.chdir(job)

    def program(*arguments):
        monkeypatch.setattr(sys, "argv", command(job, *arguments)[1:])
        label_frames.main()

    return program


def test_the_program_rejects_shards_that_were_changed(job, run):
    write_scores(job / "scores.parquet", [], {})
    write_json(job / "shards.json", {"v0": 1, "v1": 2, "v2": 1}, checked=True)
    (job / "shards.json").write_text('{"v0": 1, "v1": 1, "v2": 1}')
    with pytest.raises(InputError, match=r"shards\.json: is damaged, or was edited"):
        run(stand_in().spec(), "examples.parquet", "--scores", "scores.parquet")


def test_a_job_killed_in_the_middle_asks_nothing_twice(job, run):
    write_json(job / "shards.json", {"v0": 1, "v1": 2, "v2": 2})
    deadly = iter([False] * 17 + [True])
    process = None

    def say(heard):
        if next(deadly, False):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        return told()(heard)

    with ChatServer(say) as server:
        spec = settings(server).spec()
        spec["vlm"] |= {"parallel": 1, "max_retries": 0}
        process = subprocess.Popen(command(job, spec), cwd=job, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.wait(60) == -signal.SIGKILL, process.stderr.read()
        assert not (job / "examples.parquet").exists()
        first = [json.dumps(heard.body, sort_keys=True) for heard in server.heard]
        assert len(first) == 18
        run(spec)
        every = Counter(json.dumps(heard.body, sort_keys=True) for heard in server.heard)
        assert len(every) == 6 + 12 + 12 + 2
        # the one that was not answered is asked again
        assert every - Counter(set(every)) == Counter([first[-1]])
    examples = read_examples([job / "examples.parquet"], N)
    assert [one.question_id for one in examples] == ["v0-0", "v0-1"]


def test_the_program_writes_examples_scores_and_a_summary(job, run, videos):
    curve = np.sin(np.arange(15)).tolist()
    rows = [QuestionScores(f"v0-{q}", "v0", None, videos[0].frames, curve) for q in range(2)]
    rows += [QuestionScores(f"v2-{q}", "v2", "it broke", [], []) for q in range(2)]
    write_scores(job / "scores.parquet", rows, {})
    spec = stand_in().spec()
    more = ("--scores", "scores.parquet", "--evidence", "evidence.json", "--as-scores", "as_scores.parquet")
    run(spec, "examples.parquet", *more)
    examples = read_examples([job / "examples.parquet"], N)
    assert [one.question_id for one in examples] == ["v0-0", "v0-1"]
    assert examples[0].spans == ((1.0, 2.0),)
    assert examples[1].spans == ()
    assert examples[0].text == "What is in part 0?"
    found = read_json(job / "summary.json")
    assert found["left_out"] == {"v2-0": "it broke", "v2-1": "it broke"}
    assert found["questions"] == 4
    assert found["temporal"] == {
        "by": {"kind": "peaks"}, "asked": 0, "replies": 0, "failures": {}, "failure_rate": None,
    }  # fmt: skip
    scores = read_scores(job / "as_scores.parquet")
    assert scores["v2-0"].error == "it broke"
    assert scores["v0-0"].frames == videos[0].frames
    kept = json.loads(pq.read_schema(job / "examples.parquet").metadata[b"spec"])
    assert kept["labels"]["vlm"] == {"kind": "scorer", "scorer": "clip", "exponent": 1}


def test_a_spec_that_cannot_be_is_one_clear_message(run):
    with pytest.raises(InputError, match=r"^--spec: labels.weight: "):
        run(stand_in().spec() | {"weight": 2})
    with pytest.raises(InputError, match="--scores: are needed"):
        run(stand_in().spec())


def test_the_size_of_batches_is_given_apart_for_each_model():
    models = {name: LocalModel(model="./nowhere", batch_size=size) for name, size in (("vlm", 8), ("llm", 2))}
    made = LabelSettings(**models)
    connections = {name: model.connection() for name, model in models.items()}
    assert label_frames.settings_of(made.spec(), connections, None) == made
    assert label_frames.settings_of(made.spec(), {}, 5).llm.batch_size == 5


def test_what_a_server_needs_besides_its_spec_is_given_apart(job, run):
    with ChatServer(told("[1]")) as server:
        model = {"kind": "openai_api", "model": "tiny", "base_url": server.url, "served": "v1"}
        spec = settings(server, vlm=model).spec()
        assert spec["vlm"]["base_url"] == ""
        connections = {"vlm": {"base_url": server.url, "parallel": 2, "max_retries": 0}}
        run(spec, "examples.parquet", "--connections", json.dumps(connections))
        assert len(server.heard) == 49
    assert len(read_examples([job / "examples.parquet"], N)) == 4
