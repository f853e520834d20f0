"""Downloading with huggingface_hub's real client from a hub on loopback, faults included."""

import hashlib
import logging
import shutil
import zipfile

import pytest

from benchmarks import REPOSITORIES, parquet, tarred, video, zipped
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data import download as download_module
from framesift.data.download import download_dataset
from framesift.data.labels import convert
from framesift.data.questions import Question
from local_hub import GRANTED, Fault, LocalHub, as_the_hub

REPO = "someone/benchmark"


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's patience, and ours
    with LocalHub() as server, as_the_hub(server, monkeypatch):
        yield server


@pytest.fixture
def heard(caplog):
    caplog.set_level(logging.INFO, "framesift")
    return caplog


def dataset(kind, folder, revision, **fields):
    return build("datasets", {"kind": kind, "data_dir": folder, "repo": REPO, "revision": revision} | fields)


def names(folder):
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".framesift" not in path.parts
    )


WHOLE = {
    "videomme": ["short1.mp4", "short2.mp4", "medium3.mp4", "long4.mp4"],
    "longvideobench": ["one.mp4", "two.mp4", "three.mp4"],
    "mlvu": ["needle_1.mp4", "order_7.mp4", "ego_3.mp4"],
    "lvbench": ["Cm73ma6Ibcs.mp4", "t-RtDI2RWQs.mp4"],
    "egoschema": ["0a-1.mp4", "0b-2.mp4"],
    "nextqa": ["4010069381.mp4", "4010069382.mp4", "4010069383.mp4"],
    "activitynetqa": ["v_1QIUV7WYKXg.mp4", "v_-abc_d.mkv"],
}


@pytest.mark.parametrize("kind", REPOSITORIES)
def test_every_benchmark_in_its_real_layout(kind, hub, tmp_path, monkeypatch):
    chosen = dataset(kind, tmp_path, hub.add(REPO, REPOSITORIES[kind]()))
    manifest = download_dataset(chosen)
    assert names(tmp_path) == sorted(
        [chosen.labels.as_posix(), *((chosen.videos / name).as_posix() for name in WHOLE[kind])]
    )
    assert manifest["missing"] == []
    assert manifest["revision"] == chosen.revision
    for name in WHOLE[kind]:
        content = video(name.rsplit(".", 1)[0].removeprefix("v_"))
        assert (chosen.video_dir / name).read_bytes() == content
        entry = manifest["files"][(chosen.videos / name).as_posix()]
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["from"].startswith(f"{REPO}@{chosen.revision}: ")
    questions = [Question(**record["normalised"]) for record in convert(chosen, chosen.labels_file)]
    assert {chosen.file_name(question.video_id) for question in questions} == {
        name.rsplit(".", 1)[0] for name in WHOLE[kind]
    }

    hub.requests.clear()
    assert download_dataset(chosen) == manifest
    assert hub.requests == []  # a second run looks at the files, and asks nobody
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert download_dataset(chosen)["files"] == manifest["files"]


def test_what_the_questions_of_other_benchmarks_look_like(hub, tmp_path):
    def first(kind, **fields):
        chosen = dataset(kind, tmp_path / kind, hub.add(REPO, REPOSITORIES[kind]()), **fields)
        download_dataset(chosen)
        return Question(**convert(chosen, chosen.labels_file)[0]["normalised"])

    question = first("lvbench")
    assert (question.question, question.options) == ("What year?", ("1636", "1366", "1363", "1633"))
    assert (question.answer, question.question_id) == ("D", "Cm73ma6Ibcs-0")
    assert question.evidence.spans == ((3598, 3602),)
    assert question.groups["question_type"] == "event understanding + reasoning"
    question = first("nextqa")
    assert (question.question_id, question.answer, question.groups["kind"]) == ("4010069381-6", "A", "causal")
    question = first("activitynetqa")
    assert (question.question, question.options, question.answer) == ("Is the person outdoors?", (), "yes")
    assert question.groups == {"type": "yes_no"}
    assert first("egoschema", labels="GENERATION/test-00000-of-00001.parquet").answer is None


# Only what is needed


def test_a_few_questions_fetch_a_few_videos_out_of_the_archives(hub, tmp_path):
    files = REPOSITORIES["videomme"]()
    chosen = dataset("videomme", tmp_path, hub.add(REPO, files), limit=2)
    download_dataset(chosen)
    assert names(chosen.video_dir) == ["short1.mp4"]
    assert 40_000 < hub.sent("videos_chunked") < 50_000 < len(files["videos_chunked_01.zip"])
    assert not any(request.range is None and request.sent for request in hub.requests if ".zip" in request.path)


def test_a_group_of_questions(hub, tmp_path):
    chosen = dataset("videomme", tmp_path, hub.add(REPO, REPOSITORIES["videomme"]()), groups={"duration": ["long"]})
    assert download_dataset(chosen)["videos"] == 1
    assert names(chosen.video_dir) == ["long4.mp4"]


def test_one_member_of_an_archive_in_parts(hub, tmp_path):
    files = REPOSITORIES["longvideobench"]()
    chosen = dataset("longvideobench", tmp_path, hub.add(REPO, files), limit=1, subtitles="subtitles")
    download_dataset(chosen)
    assert names(tmp_path) == ["lvb_val.json", "subtitles/one_en.json", "videos/one.mp4"]
    assert hub.sent("videos.tar") < 50_000 + 6 * 512 * 3
    hub.requests.clear()
    download_dataset(dataset("longvideobench", tmp_path, chosen.revision, limit=2))  # the index is known now
    assert 40_000 <= hub.sent("videos.tar") < 41_000


def test_subtitles_are_fetched_where_they_are_wanted(hub, tmp_path):
    chosen = dataset("videomme", tmp_path, hub.add(REPO, REPOSITORIES["videomme"]()), subtitles="subtitle", limit=4)
    download_dataset(chosen)
    assert names(chosen.subtitle_dir) == ["short1.srt", "short2.srt"]


def test_a_whole_archive_is_verified_and_removed_or_kept(hub, tmp_path):
    files = REPOSITORIES["mlvu"]()
    revision = hub.add(REPO, files)
    download_dataset(dataset("mlvu", tmp_path / "a", revision))
    assert not list((tmp_path / "a").rglob("*.zip"))
    assert hub.sent("video_part_2.zip") < len(files["video_part_2.zip"]) + 1000  # once, and its index
    download_dataset(dataset("mlvu", tmp_path / "b", revision, keep_archives=True))
    assert (tmp_path / "b" / "video_part_1.zip").read_bytes() == files["video_part_1.zip"]


def test_an_archive_that_is_there_already_is_not_fetched(hub, tmp_path):
    files = REPOSITORIES["videomme"]()
    for name in ("videos_chunked_01.zip", "videos_chunked_02.zip"):
        (tmp_path / name).write_bytes(files[name])
    chosen = dataset("videomme", tmp_path, hub.add(REPO, files))
    assert download_dataset(chosen)["missing"] == []
    assert hub.sent(".zip") == 0
    assert len(list(tmp_path.glob("*.zip"))) == 2  # they are the user's


def test_files_that_are_there_are_used_as_they_are(hub, tmp_path):
    files = REPOSITORIES["mlvu"]()
    chosen = dataset("mlvu", tmp_path, hub.add(REPO, files))
    chosen.labels_file.parent.mkdir()
    chosen.labels_file.write_bytes(files[chosen.labels.as_posix()])
    (chosen.video_dir / "deep").mkdir(parents=True)
    (chosen.video_dir / "deep" / "needle_1.webm").write_bytes(b"mine")
    manifest = download_dataset(chosen, tmp_path / "cache")
    assert manifest["files"]["videos/deep/needle_1.webm"] == {
        "size": 4,
        "sha256": hashlib.sha256(b"mine").hexdigest(),
        "from": "given",
    }
    assert sorted(path.name for path in chosen.video_dir.glob("*.mp4")) == ["ego_3.mp4", "order_7.mp4"]
    for name in ("order_7", "ego_3"):
        (chosen.video_dir / f"{name}.mp4").write_bytes(b"mine too")
    shutil.rmtree(tmp_path / ".framesift")
    hub.requests.clear()
    manifest = download_dataset(chosen, tmp_path / "cache")
    assert {file["from"] for file in manifest["files"].values()} == {"given"}
    assert hub.requests == []


def test_a_file_that_was_changed_is_kept_and_said_to_be(hub, tmp_path, heard):
    chosen = dataset("mlvu", tmp_path, hub.add(REPO, REPOSITORIES["mlvu"]()))
    download_dataset(chosen)
    (chosen.video_dir / "ego_3.mp4").write_bytes(b"mended by hand")
    manifest = download_dataset(chosen)
    assert manifest["files"]["videos/ego_3.mp4"]["from"] == "given"
    assert "ego_3.mp4 was changed after its download" in heard.text


def test_another_revision_fetches_only_what_changed(hub, tmp_path):
    files = REPOSITORIES["mlvu"]()
    download_dataset(dataset("mlvu", tmp_path, hub.add(REPO, files)))
    hub.requests.clear()
    download_dataset(dataset("mlvu", tmp_path, hub.add(REPO, files | {"README.md": b"new"})))
    assert hub.sent(".zip") == hub.sent(".parquet") == 0
    changed = files | {"video_part_2.zip": zipped({"ego_3.mp4": video("a better one")})}
    download_dataset(dataset("mlvu", tmp_path, hub.add(REPO, changed)))
    assert (tmp_path / "videos" / "ego_3.mp4").read_bytes() == video("a better one")
    assert hub.sent("video_part_1.zip") < 1000  # its index


def test_without_a_pinned_revision_the_first_download_pins_it(hub, tmp_path, heard):
    first = hub.add(REPO, REPOSITORIES["nextqa"]())
    assert download_dataset(dataset("nextqa", tmp_path, None))["revision"] == first
    assert f"is not pinned; using commit {first}" in heard.text
    hub.add(REPO, {"README.md": b"all gone"})
    assert download_dataset(dataset("nextqa", tmp_path, None))["revision"] == first


# Faults


def test_a_busy_hub_is_waited_for(hub, tmp_path, heard):
    hub.fail("/api/", Fault(status=503), Fault(status=429))
    hub.fail("video_part_1.zip", Fault(status=429))
    hub.fail("video_part_2.zip", Fault(status=503), Fault(status=500))
    assert download_dataset(dataset("mlvu", tmp_path, hub.add(REPO, REPOSITORIES["mlvu"]())))["missing"] == []


def test_a_cut_connection_is_taken_up_where_it_broke(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    files = REPOSITORIES["mlvu"]()
    chosen = dataset("mlvu", tmp_path, hub.add(REPO, files), keep_archives=True)
    hub.fail("video_part_1.zip", Fault(cut_after=30_000), Fault(cut_after=10_000), whole=True)
    assert download_dataset(chosen)["missing"] == []
    ranges = [request.range for request in hub.requests if "/cdn/" in request.path and "video_part_1" in request.path]
    assert "bytes=30000-" in ranges
    assert "bytes=40000-" in ranges
    assert (tmp_path / "video_part_1.zip").read_bytes() == files["video_part_1.zip"]


def test_a_download_that_was_given_up_is_continued_by_the_next_run(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    files = REPOSITORIES["egoschema"]() | {
        "Subset/test-00000-of-00001.parquet": REPOSITORIES["egoschema"]()["GENERATION/test-00000-of-00001.parquet"]
    }
    chosen = dataset("egoschema", tmp_path, hub.add(REPO, files))
    hub.fail("videos_chunked_01.zip", Fault(cut_after=70_000), Fault(status=403), whole=True)
    with pytest.raises(InputError, match=r"the hub cannot serve it now \(status 403\)(.|\n)*run again to continue"):
        download_dataset(chosen)
    (part,) = tmp_path.glob(".videos_chunked_01.zip.*.part")
    assert part.stat().st_size == 70_000
    assert names(tmp_path / "videos") == []
    hub.requests.clear()
    download_dataset(chosen)
    assert hub.sent("videos_chunked_01.zip") < len(files["videos_chunked_01.zip"]) - 69_000
    assert names(tmp_path) == [chosen.labels.as_posix(), "videos/0a-1.mp4", "videos/0b-2.mp4", "videos/0c-3.mp4"]


def test_a_file_that_arrives_damaged_is_fetched_again(hub, tmp_path, heard):
    labels = "mlvu/test-00000-of-00001.parquet"
    chosen = dataset("mlvu", tmp_path, hub.add(REPO, REPOSITORIES["mlvu"]()))
    hub.fail(labels, Fault(damage=True))
    assert download_dataset(chosen)["missing"] == []
    assert f"{labels} arrived damaged; downloading it again" in heard.text


def test_labels_that_stay_damaged_are_an_error_and_leave_nothing(hub, tmp_path):
    chosen = dataset("mlvu", tmp_path, hub.add(REPO, REPOSITORIES["mlvu"]()))
    hub.fail("test-00000-of-00001.parquet", Fault(damage=True), Fault(damage=True))
    with pytest.raises(InputError, match=r"its content twice was not what the hub announces(.|\n)*expected: sha256:"):
        download_dataset(chosen)
    assert names(tmp_path) == []


def test_a_damaged_member_costs_itself_alone(hub, tmp_path, heard):
    files = REPOSITORIES["mlvu"]()
    packed = bytearray(files["video_part_1.zip"])
    packed[20_000] ^= 0xFF  # within the first member
    chosen = dataset("mlvu", tmp_path, hub.add(REPO, files | {"video_part_1.zip": bytes(packed)}))
    manifest = download_dataset(chosen)
    assert manifest["missing"] == ["needle_1"]
    assert names(chosen.video_dir) == ["ego_3.mp4", "order_7.mp4"]
    assert "video_part_1.zip: needle_1.mp4 cannot be extracted" in heard.text
    assert "1 of 3 videos are missing: needle_1" in heard.text


def test_a_video_that_the_repository_lacks_is_reported(hub, tmp_path, heard):
    files = REPOSITORIES["mlvu"]()
    del files["video_part_2.zip"]
    assert download_dataset(dataset("mlvu", tmp_path, hub.add(REPO, files)))["missing"] == ["ego_3"]
    assert "does not have ego_3" in heard.text


@pytest.mark.parametrize(
    ("token", "refusal"),
    [("", "and you are not logged in"), ("hf_stranger", "and your account does not have access"), (GRANTED, None)],
)
def test_a_gated_repository(hub, tmp_path, monkeypatch, token, refusal):
    monkeypatch.setenv("HF_TOKEN", token)
    chosen = dataset("longvideobench", tmp_path, hub.add(REPO, REPOSITORIES["longvideobench"](), gated=True))
    if refusal is None:
        assert download_dataset(chosen)["missing"] == []
        return
    with pytest.raises(InputError) as error:
        download_dataset(chosen)
    assert f"is gated, {refusal}" in str(error.value)
    assert f"accept the terms at {hub.endpoint}/datasets/{REPO}" in str(error.value)
    assert "`hf auth login` or set HF_TOKEN" in str(error.value)


def test_what_the_hub_does_not_have(hub, tmp_path):
    revision = hub.add(REPO, REPOSITORIES["mlvu"]())
    with pytest.raises(InputError, match=r"there is no such revision\n  found: '0000"):
        download_dataset(dataset("mlvu", tmp_path, "0" * 40))
    with pytest.raises(InputError, match=r"nobody/nothing: repo: does not exist, or you don't have access"):
        download_dataset(
            build("datasets", {"kind": "mlvu", "data_dir": tmp_path, "repo": "nobody/nothing", "revision": revision})
        )
    with pytest.raises(InputError, match=r"does not contain labels\.parquet\n  expected: for example mlvu/test-00000"):
        download_dataset(dataset("mlvu", tmp_path, revision, labels="labels.parquet"))


def test_no_hub_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with LocalHub() as server:
        pass
    with as_the_hub(server, monkeypatch), pytest.raises(InputError, match=r"the hub cannot be reached"):
        download_dataset(dataset("mlvu", tmp_path, "0" * 40))


def test_offline(hub, tmp_path, monkeypatch, heard):
    files = REPOSITORIES["mlvu"]()
    chosen = dataset("mlvu", tmp_path, hub.add(REPO, files))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"are turned off \(HF_HUB_OFFLINE is set\)(.|\n)*hint: put the file there"):
        download_dataset(chosen)
    chosen.labels_file.parent.mkdir()
    chosen.labels_file.write_bytes(files[chosen.labels.as_posix()])
    assert download_dataset(chosen)["missing"] == ["ego_3", "needle_1", "order_7"]
    assert "nothing was downloaded: HF_HUB_OFFLINE is set" in heard.text
    assert hub.requests == []


def test_a_small_disk_is_noticed_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    chosen = dataset("mlvu", tmp_path, hub.add(REPO, REPOSITORIES["mlvu"]()))
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"too small: 0\.24 MB are needed, 0\.10 MB are free(.|\n)*hint: choose"):
        download_dataset(chosen)
    assert names(tmp_path) == [chosen.labels.as_posix()]


def test_a_folder_that_cannot_be_written_to(hub, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"cannot be used \(Not a directory\)(.|\n)*set data_dir to"):
        download_dataset(dataset("mlvu", tmp_path / "data", hub.add(REPO, REPOSITORIES["mlvu"]())))


# Hostile archives


def test_names_in_archives_decide_nothing(hub, tmp_path):
    files = REPOSITORIES["mlvu"]()
    files["video_part_2.zip"] = zipped({"../../../ego_3.mp4": b"climbing", "/etc/needle_9.mp4": b"x"})
    chosen = dataset("mlvu", tmp_path / "in" / "data", hub.add(REPO, files))
    assert download_dataset(chosen)["missing"] == []
    assert (chosen.video_dir / "ego_3.mp4").read_bytes() == b"climbing"
    assert not list(tmp_path.glob("*.mp4"))


def test_links_in_archives_are_no_videos(hub, tmp_path):
    import io
    import tarfile

    link = zipfile.ZipInfo("ego_3.mp4")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    files = REPOSITORIES["mlvu"]()
    chosen = dataset("mlvu", tmp_path / "zip", hub.add(REPO, files | {"video_part_2.zip": buffer.getvalue()}))
    assert download_dataset(chosen)["missing"] == ["ego_3"]

    buffer = io.BytesIO(tarred({"videos/two.mp4": b"2", "videos/three.mp4": b"3"}))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        item = tarfile.TarInfo("videos/one.mp4")
        item.type, item.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(item)
    files = {name: content for name, content in REPOSITORIES["longvideobench"]().items() if "videos.tar" not in name}
    files["videos.tar.part.aa"] = buffer.getvalue()
    chosen = dataset("longvideobench", tmp_path / "tar", hub.add(REPO, files))
    assert download_dataset(chosen)["missing"] == ["one"]
    assert (chosen.video_dir / "two.mp4").read_bytes() == b"2"


def test_something_that_is_no_archive(hub, tmp_path):
    files = REPOSITORIES["mlvu"]() | {"video_part_2.zip": b"no archive at all" * 100}
    assert download_dataset(dataset("mlvu", tmp_path, hub.add(REPO, files)))["missing"] == ["ego_3"]


def test_two_videos_of_one_name_in_a_repository(hub, tmp_path):
    """NExT-QA's archive and labels: names that are numbers, and a spare file of a type that is no video."""
    files = REPOSITORIES["nextqa"]()
    files["map.zip"] = zipped({"4010069381.json": b"{}"})
    files["MC/extra.parquet"] = parquet([{"a": 1}])
    assert download_dataset(dataset("nextqa", tmp_path, hub.add(REPO, files)))["missing"] == []
