"""Whose fault it is that a video cannot be decoded: the content's, which excludes it, or the machine's."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from barcode import write_video
from framesift.core.errors import MachineError, VideoError
from framesift.data.benchmarks import VideoFolder
from framesift.video import faults
from framesift.video.faults import check_readable, repeated
from framesift.video.grid import CandidateGrid
from framesift.video.prefetch import FrameRequest, decoded_ahead
from framesift.video.reader import read_frames
from framesift.video.stream import Task, decode_all
from framesift.video.table import describe_video
from framesift.video.workers import map_isolated
from misbehaving import Form


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "clip.mp4", 60, 10)
    return tmp_path / "clip.mp4"


def request(video, path):
    return FrameRequest(
        path=str(path), digest=video.digest, fps=10.0, n_frames=60, keyframes=video.keyframes,
        frames=video.frames[:2], times=video.times[:2], stamps=video.stamps[:2],
    )  # fmt: skip


def failing(*errors):
    """A source of three items that fails after the first, once for each error."""
    left = list(errors)

    def read(done):
        for item in "abc"[done:]:
            if item == "b" and left:
                raise left.pop(0)
            yield item

    return read


def test_a_failure_that_does_not_come_again_is_nobodys(clip):
    assert list(repeated(failing(VideoError("invalid data")), clip, "")) == ["a", "b", "c"]
    assert list(repeated(failing(MachineError("cannot be read now")), clip, "")) == ["a", "b", "c"]


def test_one_that_comes_again_at_the_same_place_counts(clip):
    with pytest.raises(VideoError, match="invalid data"):
        list(repeated(failing(*[VideoError("invalid data")] * 2), clip, ""))


def test_nothing_is_known_of_a_video_that_is_away(clip):
    video = describe_video(("clip", clip), CandidateGrid())
    away = clip.with_name("away.mp4")
    clip.rename(away)
    with pytest.raises(MachineError, match=r"clip\.mp4: cannot be read now \(No such file"):
        list(decode_all([Task(video, (0,))], [Form(clip.parent, {})], 1, 60, "pyav"))
    with pytest.raises(MachineError, match="cannot be read now"):
        list(decoded_ahead([("q", request(video, clip))], workers=1, timeout=60))
    with pytest.raises(MachineError, match="cannot be read now"):
        describe_video(("clip", clip), CandidateGrid())
    away.rename(clip)
    ((_, pictures, _),) = decoded_ahead([("q", request(video, clip))], workers=1, timeout=60)
    assert len(pictures) == 2


def test_nor_of_one_that_is_not_the_file_that_was_indexed(clip):
    video = describe_video(("clip", clip), CandidateGrid())
    clip.write_bytes(b"another file\n" * 100)
    with pytest.raises(MachineError, match=r"is not the file that was indexed(.|\n)*run again"):
        list(decoded_ahead([("q", request(video, clip))], workers=1, timeout=60))
    ((_, pictures, _),) = decoded_ahead([("q", replace(request(video, clip), digest=""))], workers=1, timeout=60)
    assert isinstance(pictures, VideoError)


def test_without_memory_no_video_is_broken(clip, monkeypatch):
    monkeypatch.setattr(faults, "SPARE", 1 << 60)
    with pytest.raises(MachineError, match="no memory"):
        check_readable(clip, "")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOENT, errno.EACCES])
def test_errors_of_the_system_are_the_machines(number, clip):
    import av

    error = av.FFmpegError(number, os.strerror(number))
    assert isinstance(faults.failure(error, clip, "decoding failed"), MachineError)


def test_invalid_data_is_the_contents(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"no video\n" * 100)
    with pytest.raises(VideoError, match="Invalid data"):
        list(read_frames(tmp_path / "v.mp4", [0], [0]))


def crash(_):
    os._exit(3)


def check_absent(path):
    check_readable(path, "")


def test_a_crash_is_a_videos_fault_only_if_it_can_be_read(clip, tmp_path):
    (crashed,) = map_isolated(crash, [str(clip)], 1, 60, check=check_absent)
    assert isinstance(crashed, VideoError)
    with pytest.raises(MachineError, match="cannot be read now"):
        list(map_isolated(crash, [str(tmp_path / "none.mp4")], 1, 60, check=check_absent))


def test_links_that_lead_nowhere_are_missing_videos(clip, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "good.mp4").symlink_to(clip)
    (folder / "dangling.mp4").symlink_to(tmp_path / "none.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    found = VideoFolder(folder)
    assert [path.name for path in found.all()] == ["good.mp4"]
    for name in ("dangling", "loop"):
        row = describe_video((name, found.find(name)), CandidateGrid())
        assert (row.reason, row.error) == ("missing", "is a link that leads nowhere")
    assert describe_video(("good", found.find("good")), CandidateGrid()).error is None


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path, monkeypatch):
    (tmp_path / "part").mkdir()
    listed = os.scandir

    def fails(path):
        if Path(path).name == "part":
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", fails)
    with pytest.raises(MachineError, match=r"part: cannot be read now \(Stale file handle\)"):
        VideoFolder(tmp_path)
    assert VideoFolder(tmp_path / "none").all() == []


def test_projects_with_one_cache_know_their_own_videos(tmp_path, monkeypatch):
    """The paths in a configuration are relative, and say nothing by themselves."""
    rows = {}
    for project, rate in (("one", 10), ("two", 5)):
        (tmp_path / project).mkdir()
        monkeypatch.chdir(tmp_path / project)
        write_video(Path("v.mp4"), 60, rate)
        content = Path("v.mp4").read_bytes()
        Path("v.mp4").write_bytes(content.ljust(40_000, b"\0"))  # of one size
        os.utime("v.mp4", (1_000_000, 1_000_000))  # and date
        rows[project] = describe_video(("v", Path("v.mp4")), CandidateGrid(), tmp_path / "cache")
    assert rows["one"].digest != rows["two"].digest
    assert rows["one"].duration < rows["two"].duration
