"""Frames are decoded ahead, in order; what cannot be decoded costs its own question."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest

import barcode
from framesift.core.errors import VideoError
from framesift.video import prefetch
from framesift.video.grid import CandidateGrid
from framesift.video.index import index_video
from framesift.video.prefetch import FrameRequest, decode, decoded_ahead
from framesift.video.table import describe_video

INDICES = [0, 20, 20, 70, 10]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "v.mp4"
    barcode.write_video(path, 80, 10)
    video = describe_video(("v", path), CandidateGrid())
    index = index_video(path)
    return FrameRequest(
        path=str(path), digest=video.digest, fps=10.0, n_frames=80, keyframes=video.keyframes,
        frames=INDICES, times=[index.seconds(i) for i in INDICES], stamps=[index.pts[i] for i in INDICES],
    )  # fmt: skip


def read(pictures):
    return barcode.read_indices(np.stack(pictures).transpose(0, 3, 1, 2))


def test_each_place_gets_its_frame_in_any_order_and_again(wanted):
    assert read(decode(wanted)) == INDICES


def test_blank_pictures_have_the_size_of_the_frames(wanted):
    pictures = decode(replace(wanted, blank=True))
    assert {picture.shape for picture in pictures} == {(120, 160, 3)}
    assert {int(value) for picture in pictures for value in np.unique(picture)} == {128}


def test_questions_come_in_order_and_a_broken_one_costs_itself(wanted, tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"no video")
    items = [(k, wanted if k != 1 else replace(wanted, path=str(tmp_path / "no.mp4"), digest="")) for k in range(5)]
    found = list(decoded_ahead(items, workers=2))
    assert [name for name, _, _ in found] == list(range(5))
    assert isinstance(found[1][1], VideoError)
    assert all(read(pictures) == INDICES for k, pictures, _ in found if k != 1)
    assert all(seconds >= 0 for *_, seconds in found)


def test_no_more_is_decoded_ahead_than_said(wanted):
    taken = []

    def items():
        for k in range(20):
            taken.append(k)
            yield k, wanted

    running = decoded_ahead(items(), workers=1)
    next(running)
    assert len(taken) == prefetch.AHEAD + 1
    running.close()


def test_nothing_to_decode_starts_no_process():
    start = time.monotonic()
    assert list(decoded_ahead([], workers=2)) == []
    assert time.monotonic() - start < 1


class Hangs(str):
    """A path that is never opened."""

    def __str__(self):
        time.sleep(60)
        return "never"


class Crashes(str):
    """A path that ends the process which opens it."""

    def __str__(self):
        os._exit(7)


def test_a_decoder_that_hangs_or_crashes_is_tried_again_and_costs_one_question(wanted):
    bad = {name: replace(wanted, path=cls(wanted.path)) for name, cls in (("hangs", Hangs), ("crashes", Crashes))}
    items = [("a", wanted), ("hangs", bad["hangs"]), ("crashes", bad["crashes"]), ("b", wanted)]
    found = {name: pictures for name, pictures, _ in decoded_ahead(items, workers=1, timeout=6.0)}
    assert "nothing for 6 seconds" in str(found["hangs"])
    assert "crashed" in str(found["crashes"])
    assert read(found["b"]) == INDICES
