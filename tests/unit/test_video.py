"""Videos: which frames there are, that exactly they are read, and what broken files do."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from barcode import H264, read_indices, write_video
from framesift.core.errors import VideoError
from framesift.video import reader
from framesift.video.grid import CandidateGrid
from framesift.video.index import VideoIndex, index_video
from framesift.video.reader import decode, read_frames
from framesift.video.table import Video, checked_length, describe_video, read_videos, write_videos

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "videos"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """450 frames at 29.97 a second, a key frame every 30, each frame carrying its index."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_video(path, 450, Fraction(30000, 1001))
    return path


def frames_read(path, frames):
    index = index_video(path)
    images = [image for _, image in read_frames(path, [index.pts[i] for i in frames], index.keyframes)]
    return read_indices([image.transpose(2, 0, 1) for image in images])


def test_the_index_of_a_clip(clip):
    index = index_video(clip)
    assert (index.n_frames, index.codec, index.complete) == (450, "h264", True)
    assert index.fps == pytest.approx(29.97, abs=0.001)
    assert index.seconds(29) == pytest.approx(29 / 29.97, abs=1e-3)
    assert index.duration == pytest.approx(450 / 29.97, abs=1e-2)
    assert len(index.keyframes) > 5


@pytest.mark.parametrize(
    "frames", [[0], [449], [0, 449], [3, 50, 51, 52, 120, 200, 449], [59, 60, 61, 179, 180, 181], [*range(450)]]
)
def test_exactly_the_wanted_frames_are_read(clip, frames):
    assert frames_read(clip, frames) == frames


def test_reading_nothing(clip):
    assert list(read_frames(clip, [], [0])) == []


def test_a_frame_that_is_not_there_is_an_error(clip):
    index = index_video(clip)
    with pytest.raises(VideoError, match="cannot be decoded"):
        list(read_frames(clip, [index.pts[3] + 1], index.keyframes))
    with pytest.raises(VideoError, match="cannot be decoded"):
        list(read_frames(clip, [index.pts[0], index.pts[-1] + 10**6], index.keyframes))


@pytest.mark.parametrize(
    ("n_frames", "fps", "expected"),
    [
        (300, 10.0, [*range(0, 300, 10)]),
        (450, 29.97, [*range(0, 435, 29)]),  # int(fps) is 29: the grid of AKS drifts against the clock
        (7, 25.0, [0]),  # shorter than a second
        (30, 0.5, [*range(30)]),  # below one frame a second every frame is a candidate
        (1, 30.0, [0]),
    ],
)
def test_the_candidate_grid(n_frames, fps, expected):
    assert CandidateGrid().frames(an_index(n_frames, fps)) == expected


def an_index(n_frames, fps, start=0):
    """The index of a video with frames at equal distances, 90,000 ticks a second."""
    pts = [start + round(90_000 * frame / fps) for frame in range(n_frames)]
    return VideoIndex(pts, pts[:1], 1 / 90_000, fps, 64, 64, "h264", True, n_frames / fps)


@pytest.mark.parametrize(
    ("n_frames", "fps", "per_second", "expected"),
    [
        (90, 30, 1, [0, 30, 60]),
        (91, 30, 1, [0, 30, 60, 90]),
        (90, 29.97, 1, [0, 29, 59]),  # the frame on the screen at 1.0 s began at 0.968 s
        (90, 30, 2, [0, 15, 30, 45, 60, 75]),
        (90, 30, 0.5, [0, 60]),
        (4, 0.5, 1, [0, 1, 2, 3]),  # a frame every two seconds is a candidate once
        (1, 30, 1, [0]),
    ],
)
def test_candidates_at_true_seconds(n_frames, fps, per_second, expected):
    grid = CandidateGrid(rule="timestamp", per_second=per_second)
    assert grid.frames(an_index(n_frames, fps)) == expected
    assert grid.frames(an_index(n_frames, fps, start=12_345)) == expected


def test_candidates_at_true_seconds_of_an_uneven_video():
    """Frames at 0, 0.1, 0.9, 2.5 and 4 s: at 1 s the third is shown, at 2 s still, at 3 s the fourth."""
    pts = [0, 9_000, 81_000, 225_000, 360_000]
    index = VideoIndex(pts, pts[:1], 1 / 90_000, 1.25, 64, 64, "h264", True, 4.8)
    assert CandidateGrid(rule="timestamp").frames(index) == [0, 2, 3, 4]


def test_files_that_are_no_videos(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    for name, message in (("empty", "is empty"), ("text", "cannot be read as a video")):
        with pytest.raises(VideoError, match=message):
            index_video(tmp_path / f"{name}.mp4")


def test_a_clip_cut_short_keeps_what_can_be_decoded(clip, tmp_path):
    """Matroska can be read up to where it ends; what the index promises can then be read."""
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    write_video(whole, 300, 10)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    index = index_video(cut)
    assert 50 < index.n_frames < 300
    frames = CandidateGrid().frames(index)
    assert frames_read(cut, frames) == frames
    cut_mp4 = tmp_path / "cut.mp4"
    cut_mp4.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])  # its index stood at the end
    with pytest.raises(VideoError, match="cannot be read as a video"):
        index_video(cut_mp4)


def test_the_table_of_videos_is_read_back(clip, tmp_path):
    videos = [
        describe_video(("clip", clip), CandidateGrid(), tmp_path / "cache"),
        describe_video(("missing", None), CandidateGrid()),
    ]
    write_videos(tmp_path / "videos.parquet", videos, {"a": 1})
    table = read_videos(tmp_path / "videos.parquet")
    assert table == {video.video_id: video for video in videos}
    assert table["missing"].error == "no video file was found"
    assert table["clip"].times[:3] == pytest.approx([0, 29 / 29.97, 58 / 29.97], abs=1e-3)
    with pytest.raises(VideoError, match="frame 1 is not a candidate"):
        table["clip"].stamps_of([0, 1])


X264 = H264 | {"preset": "medium"}
#: Encoders with structures that a reader may stumble over.
STREAMS = {
    "open gop": ("libx264", X264 | {"x264-params": "open-gop=1:b-adapt=0:bframes=3"}, "yuv420p", "mp4"),
    "pyramid": ("libx264", X264 | {"x264-params": "b-adapt=0:bframes=5:b-pyramid=normal"}, "yuv420p", "mp4"),
    "10 bits": ("libx264", H264, "yuv420p10le", "mp4"),
    "hevc": ("libx265", {"x265-params": "log-level=0:keyint=30:bframes=3:pools=1", "crf": "18"}, "yuv420p", "mp4"),
    "vp9": ("libvpx-vp9", {"crf": "20", "b": "0", "g": "30", "cpu-used": "8", "threads": "1"}, "yuv420p", "webm"),
    "av1": ("libaom-av1", {"crf": "20", "g": "30", "cpu-used": "8", "usage": "realtime"}, "yuv420p", "mkv"),
    "mpeg4": ("mpeg4", {"q:v": "2", "bf": "2", "g": "30"}, "yuv420p", "avi"),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_every_structure_gives_exactly_the_wanted_frames(name, tmp_path):
    codec, options, pixels, suffix = STREAMS[name]
    path = tmp_path / f"video.{suffix}"
    write_video(path, 150, 25, codec=codec, options=options, pixels=pixels)
    for frames in ([*range(0, 150, 25)], [*range(150)], [1, 2, 3, 29, 30, 31, 88, 149], [59], [149]):
        assert frames_read(path, frames) == frames


def test_frames_that_nobody_refers_to_are_not_decoded(tmp_path):
    options = X264 | {"g": "250", "x264-params": "b-adapt=0:bframes=3:b-pyramid=none:scenecut=0"}
    write_video(tmp_path / "b.mp4", 200, 25, options=options)
    with av.open(str(tmp_path / "b.mp4")) as container:
        decoded = [frame.pts for frame in reader._decoded(container, container.streams.video[0], set())]
    assert 50 <= len(decoded) < 60


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)])
def test_a_video_filmed_sideways_is_shown_upright(matrix, turns, clip, tmp_path):
    """The display matrix in the track header turns the picture; decord, the reference, obeys it too."""
    data = bytearray(clip.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version, flags and the fields before the matrix
    a, b, c, d = (value << 16 for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    index, plain = index_video(path), index_video(clip)
    ((_, turned),) = read_frames(path, index.pts[40:41], index.keyframes)
    ((_, upright),) = read_frames(clip, plain.pts[40:41], plain.keyframes)
    assert (turned == np.rot90(upright, turns)).all()
    decord = pytest.importorskip("decord")
    theirs = decord.VideoReader(str(path), num_threads=1)[40].asnumpy()
    assert theirs.shape == turned.shape
    assert (theirs == turned).all()


@pytest.mark.parametrize(
    ("labelled", "tolerance", "reason"),
    [
        (10.0, 0.1, ""),
        (None, 0.1, ""),
        (13.1, 0.1, "short"),
        (6.9, 0.1, "mislabelled"),
        (12.9, 0.0, ""),  # three seconds are always allowed
        (100.0, None, ""),
        (100.0, 0.9, "")
    ],
)  # fmt: skip
def test_a_video_of_another_length_than_the_labels_say(labelled, tolerance, reason):
    video = Video("v", "v.mp4", duration=10.0, frames=[0], stamps=[0], times=[0.0], keyframes=[0], fps=1, digest="d")
    checked = checked_length(video, labelled, tolerance)
    assert checked.reason == reason
    assert (checked == video) == (reason == "")
    if reason:
        assert checked.error == f"is 10.0 seconds long, but the labels say {labelled:.1f}"
        assert (checked.frames, checked.duration, checked.digest) == ([], 10.0, "d")


def test_a_video_whose_frames_cannot_be_decoded_is_broken(clip, tmp_path):
    """Sound packets and no decodable frame: the index of the container is whole, its content is not."""
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 8
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    (tmp_path / "zeroed.mp4").write_bytes(data)
    video = describe_video(("zeroed", tmp_path / "zeroed.mp4"), CandidateGrid())
    assert video.reason == "broken"
    assert video.frames == []


def test_a_remembered_video_is_not_read_again(clip, tmp_path, monkeypatch):
    first = describe_video(("clip", clip), CandidateGrid(), tmp_path)
    monkeypatch.setattr("framesift.video.table.index_video", lambda path: pytest.fail("read again"))
    assert describe_video(("clip", clip), CandidateGrid(), tmp_path) == first


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    "name",
    [
        "dc_demo.mp4",
        "jobs.mp4",
        "sevila_demo1.mp4",
        "xU25MMA2N4aVtYay.mp4",
        "h264_10bits.mp4",
        "h265_10bits.mp4",
    ],
)
def test_candidates_have_the_pixels_that_decord_gives(name):
    decord = pytest.importorskip("decord")
    index = index_video(REAL / name)
    theirs = decord.VideoReader(str(REAL / name), num_threads=1)
    assert index.n_frames == len(theirs)
    assert index.fps == pytest.approx(theirs.get_avg_fps())
    frames = CandidateGrid().frames(index)
    ours = read_frames(REAL / name, [index.pts[i] for i in frames], index.keyframes)
    for i, (_, image) in zip(frames, ours, strict=True):
        assert np.array_equal(image, theirs[i].asnumpy())


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("name", sorted(path.name for path in REAL.glob("*")) if REAL.is_dir() else [])
def test_every_real_video_gives_its_candidates(name):
    index = index_video(REAL / name)
    frames = CandidateGrid().frames(index)
    images = [image for _, image in read_frames(REAL / name, [index.pts[i] for i in frames], index.keyframes)]
    assert len(images) == len(frames)
    assert {image.shape for image in images} == {(index.height, index.width, 3)}
    # the same frames as a plain decode of the whole file
    wanted = {index.pts[i] for i in frames}
    assert wanted <= {stamp for stamp, _ in decode(REAL / name)}
