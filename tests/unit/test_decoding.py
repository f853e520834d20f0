"""Decoding in processes: everything arrives, and what crashes, hangs or leaks costs one video."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from barcode import write_video
from framesift.core.errors import InputError, VideoError
from framesift.storage.checksums import file_digest
from framesift.video import stream as decoding
from framesift.video import workers
from framesift.video.grid import CandidateGrid
from framesift.video.pictures import Pictures
from framesift.video.reader import read_frames
from framesift.video.stream import Task, decode_all
from framesift.video.table import describe_video
from misbehaving import Form

PLAIN = Pictures(None, (24, 32), None, 3, 1.0, (0.0,) * 3, (1.0,) * 3)
CROPPED = Pictures(24, (0, 0), (24, 24), 3, 1.0, (0.0,) * 3, (1.0,) * 3)
#: Widths by which a video is told what to do; heights are 120.
WIDTHS = (160, 192, 224)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    rows = []
    for number, width in enumerate(WIDTHS):
        path = folder / f"v{width}.mp4"
        write_video(path, 40 + 30 * number, 10, (width, 120))
        rows.append(describe_video((path.stem, path), CandidateGrid(rule="timestamp", per_second=5)))
    return rows


def gathered(tasks, forms, **options):
    """What came of each video: its pictures by form, or the error."""
    options = {"workers": 2, "timeout": 60, "decoder": "pyav"} | options
    frames, ends = {}, {}
    for task, pictures in decode_all(tasks, forms, **options):
        name = task.video.video_id
        if isinstance(pictures, VideoError):
            ends[name] = str(pictures)
            frames.pop(name, None)
        elif pictures is None:
            ends[name] = "end"
        else:
            ends.pop(name, None)
            frames.setdefault(name, []).append([picture.copy() for picture in pictures])
    return frames, ends


@pytest.mark.parametrize("ahead", [1, 3, 16])
def test_every_frame_arrives_once_and_in_order(videos, monkeypatch, ahead):
    monkeypatch.setattr(decoding, "AHEAD", ahead)
    tasks = [Task(videos[0], (0, 1)), Task(videos[1], (1,)), Task(videos[2], (0,))]
    frames, ends = gathered(tasks, [PLAIN, CROPPED])
    assert ends == dict.fromkeys(("v160", "v192", "v224"), "end")
    for task in tasks:
        video = task.video
        images = [image for _, image in read_frames(video.path, video.stamps, video.keyframes)]
        assert len(images) == len(video.frames) >= 20
        forms = [(PLAIN, CROPPED)[form] for form in task.forms]
        for theirs, image in zip(frames[video.video_id], images, strict=True):
            assert all((a == form.prepare(image)).all() for a, form in zip(theirs, forms, strict=True))


def pids(folder, width):
    return {int(line) for line in (folder / f"{width}.pids").read_text().split()}


@pytest.mark.parametrize(
    ("what", "message"),
    [("crash", "the decoder crashed (exit status -11)"), ("hang", "the decoder sent nothing for 3 seconds")],
)
def test_a_decoder_that_fails_costs_its_video_after_a_second_try(what, message, videos, tmp_path):
    form = Form(tmp_path, {192: what})
    frames, ends = gathered([Task(video, (0,)) for video in videos], [form], timeout=3)
    assert ends == {"v160": "end", "v192": message, "v224": "end"}
    assert [len(frames[name]) for name in ("v160", "v224")] == [len(videos[0].frames), len(videos[2].frames)]
    assert len(pids(tmp_path, 192)) == 2


def test_a_crash_that_does_not_come_again_costs_nothing(videos, tmp_path):
    frames, ends = gathered([Task(videos[1], (0,))], [Form(tmp_path, {192: "once crash"})])
    assert ends == {"v192": "end"}
    assert len(frames["v192"]) == len(videos[1].frames)


def test_time_in_which_the_model_works_is_not_the_decoders(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "AHEAD", 2)
    form = Form(tmp_path, {})
    for count, (_, pictures) in enumerate(decode_all([Task(videos[0], (0,))], [form], 1, 3.0, "pyav")):
        assert not isinstance(pictures, VideoError)
        if count == 3:
            time.sleep(5)
    assert count == len(videos[0].frames)


def test_a_mistake_in_the_program_is_raised(videos, tmp_path):
    with pytest.raises(ZeroDivisionError) as raised:
        gathered([Task(videos[0], (0,))], [Form(tmp_path, {160: "mistake"})])
    (note,) = raised.value.__notes__
    assert re.match(r"in the process that decodes(.|\n)*ZeroDivisionError", note)


def test_a_truncated_video_ends_with_its_error(videos, tmp_path):
    path = tmp_path / "cut.mp4"
    whole = Path(videos[2].path).read_bytes()
    path.write_bytes(whole)
    row = describe_video(("cut", path), CandidateGrid(rule="timestamp", per_second=5))
    place = whole.index(b"mdat") + 2000
    path.write_bytes(whole[:place] + bytes(len(whole) - place - 3000) + whole[-3000:])
    row = replace(row, digest=file_digest(path))
    frames, ends = gathered([Task(row, (0,)), Task(videos[0], (0,))], [PLAIN])
    assert ends["v160"] == "end"
    assert "decod" in ends["cut"]
    assert "cut" not in frames


def test_workers_are_replaced(videos, tmp_path, monkeypatch):
    form = Form(tmp_path, {})
    gathered([Task(video, (0,)) for video in videos], [form], workers=1)
    kept = set().union(*(pids(tmp_path, width) for width in WIDTHS))
    assert len(kept) == 1
    monkeypatch.setattr(workers, "RECYCLED_AFTER", 1)
    gathered([Task(video, (0,)) for video in videos], [form], workers=1)
    assert len(set().union(*(pids(tmp_path, width) for width in WIDTHS)) - kept) == 3


def test_little_shared_memory(videos, monkeypatch):
    frame = 24 * 32 * 3

    def disk(free):
        monkeypatch.setattr(decoding.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))

    disk(2 * 2 * 3 * frame)
    assert decoding._affordable_slots(frame, 2) == 3
    _, ends = gathered([Task(videos[0], (0,))], [PLAIN])
    assert ends == {"v160": "end"}
    disk(3 * frame)
    with pytest.raises(InputError, match="--shm-size"):
        gathered([Task(videos[0], (0,))], [PLAIN])


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path):
    peaks = []
    for minutes in (1, 60):
        path = tmp_path / f"{minutes}.mp4"
        write_video(path, minutes * 60 * 4, 4, (320, 240))  # an hour of candidates would take 800 MB
        video = describe_video((path.stem, path), CandidateGrid())
        _, ends = gathered([Task(video, (0,))], [Form(tmp_path, {320: "measure"})], workers=1)
        assert ends == {path.stem: "end"}
        peaks.append(int((tmp_path / "memory").read_text()))
    assert peaks[1] < 1.2 * peaks[0]


def test_nothing_is_left_when_the_consumer_stops(videos, tmp_path, monkeypatch):
    names = []

    class Noted(decoding.SharedMemory):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            names.append(self.name)

    monkeypatch.setattr(decoding, "SharedMemory", Noted)
    frames = decode_all([Task(videos[0], (0,))], [Form(tmp_path, {160: "slow"})], 1, 60, "pyav")
    _, picture = next(frames)
    assert isinstance(picture[0], np.ndarray)
    frames.close()
    (pid,) = pids(tmp_path, 160)
    assert gone(pid)
    assert len(names) == 1
    assert set(os.listdir("/dev/shm")).isdisjoint(names)


def test_a_decoder_that_hangs_ends_with_the_process_that_was_killed(videos, tmp_path):
    program = f"""
from pathlib import Path
from framesift.video.stream import Task, decode_all
from framesift.video.grid import CandidateGrid
from framesift.video.table import describe_video
from misbehaving import Form

if __name__ == "__main__":
    video = describe_video(("v", Path({videos[0].path!r})), CandidateGrid())
    for _ in decode_all([Task(video, (0,))], [Form(Path({str(tmp_path)!r}), {{160: "hang"}})], 1, 600, "pyav"):
        pass
"""
    (tmp_path / "program.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    main = subprocess.Popen([sys.executable, str(tmp_path / "program.py")], env=environment, start_new_session=True)
    try:
        until(lambda: (tmp_path / "160.pids").exists() and pids(tmp_path, 160))
        (pid,) = pids(tmp_path, 160)
    finally:
        main.send_signal(signal.SIGKILL)
        main.wait()
    assert gone(pid)


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def gone(pid):
    def ended():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        return state == "Z"

    return until(ended)
