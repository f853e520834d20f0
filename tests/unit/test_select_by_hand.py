"""select_frames.py by hand: AKS's lists in and out, our own files, the list of methods."""

import gzip
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError
from framesift.data.questions import NORMALISED
from framesift.scoring.score_table import QuestionScores, write_scores
from framesift.selection.select_frames import read_selection
from framesift.selection.selectors import ScoreError, methods, select
from framesift.video.table import Video, write_videos

GOLDEN = Path(__file__).parents[1] / "golden" / "aks_golden.json.gz"


def tool(*arguments):
    command = [sys.executable, str(SCRIPTS / "select_frames.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def lists(tmp_path):
    """Two questions; frame numbers of the second are written as in AKS's files of VideoMME."""
    values = np.random.default_rng(0).random((2, 100)).round(4)
    (tmp_path / "scores.json").write_text(json.dumps(values.tolist()))
    frames = [[29 * j for j in range(100)], [30.0 * j for j in range(100)]]
    (tmp_path / "frames.json").write_text(json.dumps(frames))
    return tmp_path


def by_lists(folder, *arguments):
    return tool("--scores", folder / "scores.json", "--frames", folder / "frames.json", "--out", folder / "out.json",
                *arguments)  # fmt: skip


def test_lists_as_aks_has_them_come_out_in_the_same_form(lists):
    done = by_lists(lists, "--method", "topk", "--budget", 8)
    assert done.returncode == 0, done.stderr
    assert "2 questions, 8 to 8 frames" in done.stderr
    first, second = json.loads((lists / "out.json").read_text())
    values = json.loads((lists / "scores.json").read_text())
    assert first == sorted(29 * int(i) for i in np.argsort(-np.array(values[0]))[:8])
    assert second == sorted(30.0 * int(i) for i in np.argsort(-np.array(values[1]))[:8])
    assert all(isinstance(frame, int) for frame in first)
    assert all(isinstance(frame, float) for frame in second)


def test_aks_as_released_is_the_release(tmp_path):
    golden = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    setting = next(s for s in golden["configs"] if (s["max_num_frames"], s["t1"], s["all_depth"]) == (64, 0.8, 5))
    place = golden["configs"].index(setting)
    vectors = [v for v in golden["vectors"] if len(v["scores"]) > 1][:60]
    (tmp_path / "scores.json").write_text(json.dumps([v["scores"] for v in vectors]))
    frames = [[j * v["stride"] for j in range(len(v["scores"]))] for v in vectors]
    (tmp_path / "frames.json").write_text(json.dumps(frames))
    done = by_lists(tmp_path, "--method", "aks", "--set", "variant=released", "--set", "t1=0.8", "--set",
                    "max_depth=5", "--budget", 64)  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = [[i * v["stride"] for i in itertools.accumulate(v["outputs"][v["by_config"][place]])] for v in vectors]
    assert json.loads((tmp_path / "out.json").read_text()) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "akss", "--budget", 8], "there is no such kind of selector|did you mean 'aks'?"),
        (["--method", "aks", "--budget", 0], "--method and --budget: are needed"),
        (["--method", "aks", "--budget", 8, "--set", "s_thr"], "--set: is not a setting|KEY=VALUE"),
        (["--method", "aks", "--budget", 8, "--set", "s_thr=high"], "selectors aks: s_thr"),
        (["--method", "aks", "--budget", 8, "--set", "depth=3"], "selectors aks: depth"),
        (["--method", "mmr", "--budget", 8], "entry 0|needs 100 embeddings|there are 0"),
    ],
)
def test_mistakes_are_named(lists, arguments, message):
    done = by_lists(lists, *arguments)
    assert done.returncode == 1
    assert all(part in done.stderr for part in message.split("|")), done.stderr
    assert not (lists / "out.json").exists()


@pytest.mark.parametrize(
    ("scores", "frames", "message"),
    [
        ("[[1, 2]]", "[[0, 1], [0]]", "has another number of questions|found: 1|expected: 2"),
        ("[[1, 2], [3]]", "[[0, 1], [0, 1]]", "entry 1: has 1 scores and 2 frames"),
        ("[[1, NaN, 2]]", "[[0, 1, 2]]", "entry 0: 1 of 3 scores are NaN or infinite"),
        ('[[1, "x", 2]]', "[[0, 1, 2]]", "entry 0"),
        ("[[]]", "[[]]", "entry 0: has no frames"),
        ("{}", "[[]]", "is not in AKS's layout"),
        ("[[1,", "[[]]", "scores.json"),
    ],
)
def test_bad_lists_are_named_and_leave_no_file(tmp_path, scores, frames, message):
    (tmp_path / "scores.json").write_text(scores)
    (tmp_path / "frames.json").write_text(frames)
    done = by_lists(tmp_path, "--method", "topk", "--budget", 1)
    assert done.returncode == 1
    assert all(part in done.stderr for part in message.split("|")), done.stderr
    assert not (tmp_path / "out.json").exists()


def test_our_own_files_by_id(tmp_path):
    frames = [29 * j for j in range(50)]
    video = Video("v", "v.mp4", frames=frames, stamps=frames, times=[float(j) for j in range(50)], digest="d")
    write_videos(tmp_path / "videos.parquet", [video], {})
    rows = [QuestionScores(f"q{i}", "v", None, frames, np.roll(np.arange(50.0), i).tolist()) for i in range(3)]
    write_scores(tmp_path / "scores.parquet", rows, {})
    normalised = {"question": "?", "options": ["a", "b"], "answer": "A", "video_id": "v"}
    records = [{NORMALISED: {**normalised, "question_id": f"q{i}"}} for i in (2, 0, 1)]
    (tmp_path / "labels.json").write_text(json.dumps(records))
    files = {name: tmp_path / f"{name}.parquet" for name in ("videos", "scores")}
    done = tool("--labels", tmp_path / "labels.json", "--videos", files["videos"], "--scores", files["scores"],
                "--method", "topk", "--budget", 2, "--out", tmp_path / "out.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    chosen = read_selection(tmp_path / "out.json")
    assert list(chosen) == ["q2", "q0", "q1"]
    assert chosen["q0"].frames == [29 * 48, 29 * 49]
    assert chosen["q1"].frames == [0, 29 * 49]
    assert chosen["q2"].times == [0.0, 1.0]


def test_every_method_is_listed_with_its_parameters():
    done = tool("--list-methods")
    assert done.returncode == 0, done.stderr
    blocks = {block.split()[0]: block for block in done.stdout.split("\n\n")}
    assert set(blocks) == set(methods())
    assert "s_thr = 0.8: Threshold" in blocks["aks"]
    assert "source: arXiv 2502.21271" in blocks["aks"]
    assert "needs nothing but times" in blocks["uniform"]


def test_one_call_by_name():
    values = np.random.default_rng(1).random(200)
    assert select("topk", scores=values, budget=5).tolist() == sorted(np.argsort(-values)[:5].tolist())
    assert select("aks", scores=values.tolist(), budget=16, s_thr=0.5).shape == (16,)
    assert select("uniform", timestamps=np.arange(101) / 2, budget=5).tolist() == [0, 25, 50, 75, 100]
    with pytest.raises(InputError, match="no such kind"):
        select("best", scores=values, budget=5)
    with pytest.raises(ScoreError, match="1 of 200 scores"):
        select("topk", scores=np.where(np.arange(200) == 3, np.nan, values), budget=5)
