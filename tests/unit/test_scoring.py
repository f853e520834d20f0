"""One decode pass for all questions and scorers; what was seen is kept; scores depend on nothing else."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_scorers
from barcode import described_videos
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.scoring.score_videos import VideoScorer, model_of
from framesift.scoring.scorers.blip_itm import BlipItm
from framesift.scoring.scorers.clip import Clip
from framesift.storage.checksums import file_digest
from framesift.video.table import Video

TEXTS = ["what digit is on the red star ?", "who is on a blue circle", "red", "the red circle of a star"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_scorers.write_clip(folder / "clip")
    tiny_scorers.write_blip(folder / "blip")
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return described_videos(tmp_path_factory.mktemp("videos"), 150, 220, 290, 360)


@pytest.fixture
def asked(videos):
    def questions(video):
        texts = enumerate(TEXTS[: 1 + int(video.video_id[1])])
        return [
            Question(
                question_id=f"{video.video_id}-{i}",
                video_id=video.video_id,
                question=text,
                options=("a", "b"),
                answer="A",
            )
            for i, text in texts
        ]

    return {video.video_id: questions(video) for video in videos}


def run(checkpoints, cache, videos, asked, *kinds, workers=2, **fields):
    """Scores of every question, by the first kind of scorer."""
    models = []
    for kind in kinds:
        spec = {"kind": kind, "model": str(checkpoints / kind.split("_")[0]), "batch_size": 7} | fields
        models.append(model_of(build("scorers", spec), {"rule": "index"}, "pyav", cache, "cpu"))
    made = VideoScorer(models, decoder="pyav", workers=workers, timeout=60)
    return {row.question_id: row for rows in made.score(videos, asked) for row in rows}


@pytest.mark.parametrize("kind", ["clip", "blip_itm"])
def test_other_shards_workers_and_questions_change_no_score(kind, checkpoints, videos, asked, tmp_path):
    together = run(checkpoints, tmp_path / "one", videos, asked, kind)
    assert len(together) == 10
    assert all(len(row.scores) == len(row.frames) > 10 and row.error is None for row in together.values())
    apart = {}
    for number, video in enumerate(reversed(videos)):
        apart |= run(checkpoints, tmp_path / f"shard{number}", [video], asked, kind, workers=1)
    assert apart == together
    for question in asked["v3"]:
        alone = run(checkpoints, tmp_path / question.question_id, videos[3:], {"v3": [question]}, kind)
        assert alone[question.question_id] == together[question.question_id]


def test_companions_see_the_frames_of_the_same_pass(checkpoints, videos, asked, tmp_path, decoded):
    own = run(checkpoints, tmp_path, videos, asked, "clip", "blip_itm", "blip_itc")
    assert [(task.video.video_id, len(task.forms)) for task in decoded] == [(video.video_id, 3) for video in videos]
    assert own == run(checkpoints, tmp_path / "alone", videos, asked, "clip")
    decoded.clear()
    for kind in ("blip_itm", "blip_itc"):
        found = run(checkpoints, tmp_path, videos, asked, kind, "clip")
        assert decoded == []
        assert found == run(checkpoints, tmp_path / "alone", videos, asked, kind)
        decoded.clear()


def test_only_who_lacks_a_video_sees_it(checkpoints, videos, asked, tmp_path, decoded):
    run(checkpoints, tmp_path, videos[:2], asked, "blip_itm")
    run(checkpoints, tmp_path, videos[1:3], asked, "clip")
    decoded.clear()
    run(checkpoints, tmp_path, videos, asked, "blip_itm", "clip")
    seen = [(task.video.video_id, len(task.forms)) for task in decoded]
    assert seen == [("v2", 1), ("v3", 2)]  # v0 is what the other's job would see


def test_a_companion_that_cannot_be_loaded_stops_nothing(checkpoints, videos, asked, tmp_path, caplog):
    (tmp_path / "nothing").mkdir()
    specs = [
        {"kind": "clip", "model": str(checkpoints / "clip")},
        {"kind": "blip_itm", "model": str(tmp_path / "nothing")},
    ]
    models = [model_of(build("scorers", spec), {}, "pyav", tmp_path, "cpu") for spec in specs]
    rows = list(VideoScorer(models, decoder="pyav", workers=1, timeout=60).score(videos[:1], asked))
    assert rows[0][0].error is None
    assert "a companion is left to its own job" in caplog.text
    with pytest.raises(InputError, match="cannot be loaded"):
        list(VideoScorer(models[1:], decoder="pyav", workers=1, timeout=60).score(videos[:1], asked))


def test_a_companion_that_needs_too_much_memory_stops_nothing(
    checkpoints, videos, asked, tmp_path, monkeypatch, caplog
):
    features, seen = BlipItm.features, []

    def in_no_memory(self, loaded, pixels):
        seen.append(len(pixels))
        if len(seen) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return features(self, loaded, pixels)

    monkeypatch.setattr(BlipItm, "features", in_no_memory)
    rows = run(checkpoints, tmp_path, videos, asked, "clip", "blip_itm", workers=1)
    assert rows == run(checkpoints, tmp_path / "alone", videos, asked, "clip")
    assert caplog.text.count("a companion is left to its own job") == 1
    monkeypatch.undo()
    assert run(checkpoints, tmp_path, videos, asked, "blip_itm") == run(
        checkpoints, tmp_path / "alone", videos, asked, "blip_itm"
    )


@pytest.mark.parametrize("kind", ["clip", "blip_itm"])
def test_a_batch_too_large_for_memory_is_halved(kind, checkpoints, videos, asked, tmp_path, monkeypatch, caplog):
    plenty = run(checkpoints, tmp_path / "plenty", videos, asked, kind)
    cls = type(build("scorers", {"kind": kind, "model": "./x"}))
    features, sizes = cls.features, []

    def in_little_memory(self, loaded, pixels):
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB\nmore")
        sizes.append(len(pixels))
        return features(self, loaded, pixels)

    monkeypatch.setattr(cls, "features", in_little_memory)
    little = run(checkpoints, tmp_path / "little", videos, asked, kind)
    assert little.keys() == plenty.keys()
    for name, row in plenty.items():
        assert np.abs(np.subtract(little[name].scores, row.scores)).max() < 1e-6
    assert sum(sizes) == sum(len(video.frames) for video in videos)
    assert [record.message for record in caplog.records if "memory" in record.message] == [
        "memory is too small; 4 frames a batch from here on",
        "memory is too small; 2 frames a batch from here on",
    ]


def test_one_frame_too_large_for_memory_is_an_error(checkpoints, videos, asked, tmp_path, monkeypatch):
    def in_no_memory(self, loaded, pixels):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Clip, "features", in_no_memory)
    with pytest.raises(InputError, match="one frame needs more memory"):
        run(checkpoints, tmp_path, videos, asked, "clip")


def test_what_cannot_be_decoded_has_its_reason_and_the_rest_goes_on(checkpoints, videos, asked, tmp_path, caplog):
    data = bytearray(Path(videos[2].path).read_bytes())
    place = data.index(b"mdat") + 2000
    data[place : len(data) - 3000] = bytes(len(data) - 3000 - place)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(bytes(data))
    broken = Video(**(vars(videos[2]) | {"path": str(damaged), "digest": file_digest(damaged)}))
    unusable = Video("v0", "", error="no video file was found", reason="missing")
    rows = run(checkpoints, tmp_path / "cache", [unusable, videos[1], broken, videos[3]], asked, "clip", "blip_itm")
    assert {name: row.error for name, row in rows.items() if row.video_id == "v0"} == {
        "v0-0": "no video file was found"
    }
    assert all("decod" in row.error and row.scores == [] for row in rows.values() if row.video_id == "v2")
    assert all(row.error is None for row in rows.values() if row.video_id in ("v1", "v3"))
    assert "video v2 is left out" in caplog.text
    assert not list((tmp_path / "cache").rglob(broken.digest + "*"))


def _job(checkpoints, cache, videos, asked):
    torch.set_num_threads(1)
    run(checkpoints, cache, videos, asked, "clip", workers=1)


def test_two_jobs_that_write_the_same_entry_leave_one_good_file(checkpoints, videos, asked, tmp_path):
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=_job, args=(checkpoints, tmp_path, videos[:1], asked)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0]
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert file.suffix == ".safetensors"
    assert run(checkpoints, tmp_path, videos[:1], asked, "clip") == run(
        checkpoints, tmp_path / "alone", videos[:1], asked, "clip"
    )
