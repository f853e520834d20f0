"""Decoders besides ours: the same frames, or an error that says what to do."""

import importlib.util

import numpy as np
import pytest

from barcode import write_video
from framesift.core.errors import InputError, VideoError
from framesift.video.decoders import check_decoder, read_candidates
from framesift.video.grid import CandidateGrid
from framesift.video.table import Video, describe_video

OPTIONS = {"crf": "20", "g": "50", "bf": "3", "threads": "1"}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("decoders") / "v.mp4"
    write_video(path, 130, 10, options=OPTIONS)
    return describe_video(("v", path), CandidateGrid())


def test_ten_bits_become_the_pixels_that_decord_gives(tmp_path):
    pytest.importorskip("decord")
    path = tmp_path / "v.mp4"
    write_video(path, 60, 10, options=OPTIONS, pixels="yuv420p10le")
    video = describe_video(("v", path), CandidateGrid())
    theirs, ours = (list(read_candidates(video, decoder)) for decoder in ("decord", "pyav"))
    assert len(ours) == 6
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("decoder", ["decord", "torchcodec"])
def test_other_decoders_give_the_same_pixels(decoder, video):
    if importlib.util.find_spec(decoder) is None:
        pytest.skip(f"needs {decoder}")
    check_decoder(decoder)
    theirs = list(read_candidates(video, decoder))
    ours = list(read_candidates(video, "pyav"))
    assert len(ours) == len(theirs) == len(video.frames) == 13
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("decoder", ["decord", "torchcodec"])
def test_a_decoder_that_counts_otherwise_is_not_believed(decoder, video):
    if importlib.util.find_spec(decoder) is None:
        pytest.skip(f"needs {decoder}")
    with pytest.raises(VideoError, match="counts 130 frames, but the file has 131 packets"):
        next(read_candidates(Video(**(vars(video) | {"n_frames": 131})), decoder))


@pytest.mark.parametrize("decoder", ["pyav", "decord", "torchcodec"])
def test_what_is_no_video_is_a_video_error(decoder, video, tmp_path):
    if decoder != "pyav" and importlib.util.find_spec(decoder) is None:
        pytest.skip(f"needs {decoder}")
    path = tmp_path / "text.mp4"
    path.write_text("no video\n" * 100)
    with pytest.raises(VideoError):
        next(read_candidates(Video(**(vars(video) | {"path": str(path), "digest": ""})), decoder))


def test_a_decoder_that_is_not_there(monkeypatch):
    check_decoder("pyav")
    monkeypatch.setitem(__import__("sys").modules, "torchcodec", None)
    with pytest.raises(InputError, match=r"cannot be used here(.|\n)*decoder: pyav works everywhere"):
        check_decoder("torchcodec")


def test_a_machine_without_a_gpu_has_no_nvdec(video):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="'nvdec'"):
        check_decoder("nvdec")
    with pytest.raises(VideoError):
        next(read_candidates(video, "nvdec"))
