"""What a killed process, a full disk and a lost bit leave behind is noticed, and never taken for a result."""

import errno
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest

from barcode import write_video
from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError, VideoError
from framesift.program import cli
from framesift.scoring.score_table import QuestionScores, read_scores, write_scores
from framesift.storage import files
from framesift.storage.cached_values import read_cached, write_cached
from framesift.storage.checksums import is_intact, sidecar_of
from framesift.storage.files import atomic_write, read_json, write_json
from framesift.storage.journal import Journal, parse_line, to_line
from framesift.storage.tensors import read_tensors, write_tensors
from framesift.video import stream as decoding
from framesift.video import workers as parallel
from framesift.video.grid import CandidateGrid
from framesift.video.prefetch import FrameRequest, decoded_ahead
from framesift.video.stream import Task, decode_all
from framesift.video.table import describe_video
from framesift.video.workers import KILLS, map_isolated

#: One bit of each byte, lest this takes minutes.
BITS = [1 << (place * 5 % 8) for place in range(8)]


def flipped(content):
    """The content with one bit turned over, for each byte of it."""
    for place in range(len(content)):
        yield content[:place] + bytes([content[place] ^ BITS[place % 8]]) + content[place + 1 :]


# Files


def test_no_flipped_bit_and_no_cut_of_a_tensor_file_goes_unnoticed(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"features": np.arange(6, dtype=np.float32)}, {"videos": '{"v": "file"}'})
    content = path.read_bytes()
    tensors, metadata = read_tensors(path)
    assert metadata == {"videos": '{"v": "file"}'}
    assert tensors["features"].tolist() == [0, 1, 2, 3, 4, 5]
    for damaged in (*flipped(content), *(content[:end] for end in range(len(content)))):
        path.write_bytes(damaged)
        assert read_tensors(path) is None


def test_tensors_are_written_as_they_are_however_they_lie_in_memory(tmp_path):
    path, grid = tmp_path / "x.safetensors", np.arange(12, dtype=np.float32).reshape(3, 4)
    given = {"turned": grid.T, "every second": grid[:, ::2], "backwards": grid[::-1], "one": np.array(3, np.float32)}
    write_tensors(path, given, {})
    tensors, _ = read_tensors(path)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        name: tensor.tolist() for name, tensor in given.items()
    }
    assert tensors["one"].shape == ()


def test_a_journal_keeps_half_a_pair_of_surrogates(tmp_path):
    first = Journal(tmp_path, "a")
    first.add("k", {"response": "a \ud83d sign \u00e9"})
    first.add("l", {"response": "\U0001f600"})
    first.close()
    again = Journal(tmp_path, "a")
    assert again.get("k") == first.get("k") == {"key": "k", "response": "a \ud83d sign \u00e9"}
    assert again.get("l") == first.get("l")
    (tmp_path / "a.jsonl").read_text(encoding="utf-8")


def test_no_flipped_bit_of_a_line_of_a_journal_goes_unnoticed():
    record = {"key": "k", "response": "A", "frames": [1, 2], "seconds": 0.25}
    line = to_line(record).rstrip(b"\n")
    assert parse_line(line) == record
    assert {repr(parse_line(damaged)) for damaged in flipped(line)} == {"None"}


def test_a_damaged_line_costs_itself_alone(tmp_path, caplog):
    journal = Journal(tmp_path, "a")
    for key in "xyz":
        journal.add(key, {"response": key})
    journal.close()
    path = tmp_path / "a.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"response": "y"', b'"response": "q"'))
    again = Journal(tmp_path, "b")
    assert [again.get(key) and again.get(key)["response"] for key in "xyz"] == ["x", None, "z"]
    assert "a damaged line is ignored" in caplog.text


def test_two_processes_of_one_name_write_files_of_their_own_and_read_each_others(tmp_path):
    one, two = Journal(tmp_path, "same"), Journal(tmp_path, "same")
    one.add("x", {"response": "1"})
    two.add("y", {"response": "2"})
    assert one.get("y")["response"] == "2"
    assert two.get("x")["response"] == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["same.2.jsonl", "same.jsonl"]


def test_what_could_not_be_written_to_a_journal_is_not_known(tmp_path, monkeypatch):
    journal = Journal(tmp_path, "a")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        journal.add("x", {"response": "1"})
    assert len(journal) == 0


def test_a_damaged_entry_of_a_cache_is_found_out_again(tmp_path, caplog):
    entry = tmp_path / "e.json"
    write_cached(entry, {"digest": "abc", "frames": [1, 2]})
    content = entry.read_bytes()
    assert read_cached(entry) == {"digest": "abc", "frames": [1, 2]}
    unharmed = 0
    for damaged in (*flipped(content), *(content[:end] for end in range(len(content)))):
        entry.write_bytes(damaged)
        found = read_cached(entry)
        assert found in (None, {"digest": "abc", "frames": [1, 2]})  # a space may become another one
        unharmed += found is not None
    assert unharmed < 10
    assert "is damaged; its value is computed again" in caplog.text


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "clip.mp4", 60, 10)
    return tmp_path / "clip.mp4"


def test_an_index_goes_on_over_damaged_entries(clip, tmp_path):
    cache = tmp_path / "cache"
    first = describe_video(("clip", clip), CandidateGrid(), cache)
    entries = list(cache.rglob("*.json"))
    assert len(entries) == 2
    for damage in (b"", b'{"sha256": 1, "value": {}}', b"\xff", b"[]"):
        for entry in entries:
            entry.write_bytes(damage)
        assert describe_video(("clip", clip), CandidateGrid(), cache) == first


def test_that_a_video_could_not_be_read_is_not_remembered(clip, tmp_path, monkeypatch):
    def flaky(_):
        raise VideoError("Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("framesift.video.table.index_video", flaky)
        assert describe_video(("clip", clip), CandidateGrid(), tmp_path / "cache").reason == "broken"
    assert describe_video(("clip", clip), CandidateGrid(), tmp_path / "cache").reason == ""


# Results


def test_a_changed_result_is_refused_until_it_or_its_checksum_is_removed(tmp_path):
    path = tmp_path / "r.json"
    write_json(path, {"a": 1}, checked=True)
    assert read_json(path) == {"a": 1}
    path.write_text('{"a": 2}')
    assert not is_intact(path)
    with pytest.raises(InputError, match=r"r\.json: is damaged, or was edited(.|\n)*remove the file and run again"):
        read_json(path)
    sidecar_of(path).unlink()
    assert read_json(path) == {"a": 2}


def test_a_cut_table_of_scores_is_refused(tmp_path):
    path = tmp_path / "s.parquet"
    write_scores(path, [QuestionScores("q", "v", None, [0, 1], [0.5, 0.25])], {})
    assert read_scores(path)["q"].scores == [0.5, 0.25]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="is damaged"):
        read_scores(path)


def test_a_check_names_all_that_is_damaged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tensors("results/cache/scores/clip-0/v.safetensors", {"a": np.zeros(3, np.float32)}, {})
    Path("results/cache/scores/clip-0/.w.x.tmp.safetensors").write_bytes(b"half")
    journal = Journal(Path("results/cache/answers/vlm-0"), "a")
    journal.add("x", {"response": "1"})
    labels = Journal(Path("results/cache/pseudo_labels/openai_api-0/video"), "b")
    labels.add("x", {"text": "1"})
    write_tensors("results/cache/training/0/progress.safetensors", {"a": np.zeros(3, np.float32)}, {})
    write_json("results/selections/s.json", {}, checked=True)

    def check():
        done = subprocess.run(
            [sys.executable, SCRIPTS / "cache.py", "check"], cwd=tmp_path, capture_output=True, text=True
        )
        return done.returncode, [line.split(": ")[1] for line in done.stdout.splitlines()]

    assert check() == (0, [])
    names = ["results/cache/scores/clip-0/v.safetensors", "results/cache/training/0/progress.safetensors",
             "results/cache/answers/vlm-0/a.jsonl", "results/cache/pseudo_labels/openai_api-0/video/b.jsonl",
             "results/selections/s.json"]  # fmt: skip
    for name in names:
        content = Path(name).read_bytes()
        Path(name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    assert check() == (1, names)


# Disks


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs to be allowed to mount ({done.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("kind", ["text", "tensors", "scores"])
def test_a_full_disk_keeps_the_old_file_and_ends_in_one_message(small_disk, kind):
    path = small_disk / "result"
    path.write_text("old")
    noise = np.random.default_rng(0).standard_normal(30_000)
    write = {
        "text": lambda: files.write_text(path, "x" * 100_000),
        "tensors": lambda: write_tensors(path, {"a": noise}, {}),
        "scores": lambda: write_scores(path, [QuestionScores("q", "v", None, [*range(30_000)], noise.tolist())], {}),
    }[kind]
    with pytest.raises(SystemExit) as end:
        cli.run(write)
    assert str(end.value).startswith(f"error: {path}: cannot be written: the disk is full")
    assert [item.name for item in small_disk.iterdir()] == ["result"]
    assert path.read_text() == "old"


def test_an_error_that_is_not_of_a_disk_is_no_users_mistake():
    def mistake():
        raise OSError(errno.EBADF, "Bad file descriptor")

    with pytest.raises(OSError, match="Bad file"):
        cli.run(mistake)


def test_a_whole_file_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda _: calls.append("sync"))
    replace_ = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("name"), replace_(*names)))
    with atomic_write(tmp_path / "x") as temporary:
        temporary.write_text("x")
    assert calls == ["sync", "name"]


# Killed processes


def killed_at_first(folder: str, item: str) -> str:
    """Ends by kill -9 the first times, as often as the item says."""
    name, times = item.split()
    with open(Path(folder) / name, "a+") as calls:
        calls.write("x")
        calls.flush()
        if calls.tell() <= int(times):
            os.kill(os.getpid(), signal.SIGKILL)
    return name


def test_work_whose_process_is_killed_is_done_again(tmp_path):
    work = partial(killed_at_first, str(tmp_path))
    assert list(map_isolated(work, ["a 0", "b 1", "c 3"], 2, 60)) == ["a", "b", "c"]
    assert len((tmp_path / "c").read_text()) == 4


def test_work_that_is_always_killed_ends_the_job(tmp_path):
    with pytest.raises(InputError, match=f"killed {KILLS} times"):
        list(map_isolated(partial(killed_at_first, str(tmp_path)), ["a 99"], 1, 60))


class Killing(str):
    """A path that kills the process which opens it, the first times."""

    times = 3

    def __str__(self):
        killed_at_first(os.path.dirname(str.__str__(self)), f"calls {self.times}")
        return str.__str__(self)


def test_a_question_whose_decoder_is_killed_gets_its_frames(clip):
    video = describe_video(("clip", clip), CandidateGrid())
    wanted = FrameRequest(
        path=str(clip), digest=video.digest, fps=10.0, n_frames=60, keyframes=video.keyframes,
        frames=video.frames[:2], times=video.times[:2], stamps=video.stamps[:2],
    )  # fmt: skip
    ((_, pictures, _),) = decoded_ahead([("q", replace(wanted, path=Killing(clip)))], workers=1, timeout=60)
    assert len(pictures) == 2


class KillingForm:
    """Takes the place of `Pictures`, and kills the process that uses it the first times."""

    shape = (1, 4, 1)

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times = folder, times

    def prepare(self, image):
        killed_at_first(str(self.folder), f"frames {self.times}")
        return image[60, ::40, :1].reshape(-1)[:4].reshape(1, 4, 1)


def test_a_video_whose_decoder_is_killed_is_seen_whole(clip, tmp_path):
    video = describe_video(("clip", clip), CandidateGrid())
    ends = Counter()
    for _, pictures in decode_all([Task(video, (0,))], [KillingForm(tmp_path, 3)], 1, 60, "pyav"):
        ends["frame" if isinstance(pictures, list) else type(pictures).__name__] += 1
    assert ends["NoneType"] == 1
    assert ends["VideoError"] == 3
    assert ends["frame"] >= len(video.frames)
    with pytest.raises(InputError, match=f"killed {KILLS} times"):
        list(decode_all([Task(video, (0,))], [KillingForm(tmp_path, 999)], 1, 60, "pyav"))


def test_a_decoders_shared_memory_has_no_name_once_it_runs(clip, tmp_path, monkeypatch):
    """Without a name it cannot outlive the processes, however they end."""
    names = []

    class Noted(SharedMemory):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            names.append(self.name)

    monkeypatch.setattr(decoding, "SharedMemory", Noted)
    video = describe_video(("clip", clip), CandidateGrid())
    running = decode_all([Task(video, (0,))], [KillingForm(tmp_path, 0)], 1, 60, "pyav")
    next(running)
    (name,) = names
    assert not Path(decoding.SHARED_MEMORY, name).exists()
    running.close()


def test_other_ends_are_the_videos_own():
    assert not parallel.killed_from_outside(-signal.SIGSEGV)
    assert not parallel.killed_from_outside(1)
    assert parallel.killed_from_outside(-signal.SIGKILL)
