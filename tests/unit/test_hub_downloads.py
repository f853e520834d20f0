"""Whole files and pieces of them from a hub on loopback: by Xet, without ranges, by two processes at once, missing."""

import errno
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

from benchmarks import REPOSITORIES
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data.download import download_dataset
from framesift.remote import hub as hub_module
from framesift.remote import partial_files
from framesift.remote.hub import MissingFileError, NoRangesError, Repo, partial_path
from framesift.remote.partial_files import arrived, claimed
from local_hub import Fault, LocalHub, as_the_hub

REPO = "someone/benchmark"
CONTENT = random.Random(0).randbytes(60_000)


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(hub_module.time, "sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    with LocalHub() as server, as_the_hub(server, monkeypatch):
        yield server


@pytest.fixture
def heard(caplog):
    caplog.set_level(logging.INFO, "framesift")
    return caplog


def file_of(hub, content=CONTENT):
    repo = Repo(REPO, hub.add(REPO, {"a.mp4": content}))
    return repo, repo.file("a.mp4")


def dataset(hub, folder, kind="mlvu", files=None, **fields):
    commit = hub.add(REPO, files or REPOSITORIES[kind]())
    return build("datasets", {"kind": kind, "data_dir": folder, "repo": REPO, "revision": commit} | fields)


def hidden(folder):
    return sorted(path.name for path in folder.rglob(".a.mp4*"))


def ranges(hub):
    return [request.range for request in hub.requests if "/cdn/" in request.path]


# Whole files over HTTP


def test_a_file_larger_than_one_reply_may_be_comes_in_parts(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "LARGEST_REQUEST", 25_000)
    monkeypatch.setattr("huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE", 25_000)
    repo, file = file_of(hub)
    repo.download(file, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == CONTENT
    assert ranges(hub) == ["bytes=0-24999", "bytes=25000-49999", "bytes=50000-"]


def test_a_server_without_ranges_starts_again_and_the_progress_says_so(hub, tmp_path):
    repo, file = file_of(hub)
    partial_path(file, tmp_path / "a.mp4").write_bytes(CONTENT[:30_000])
    hub.ranges = False
    steps = []
    repo.download(file, tmp_path / "a.mp4", steps.append)
    assert (tmp_path / "a.mp4").read_bytes() == CONTENT
    assert sum(steps) == len(CONTENT)
    assert steps[:2] == [30_000, -30_000]


def test_a_server_without_ranges_that_always_breaks_off_is_given_up(hub, tmp_path):
    repo, file = file_of(hub)
    hub.ranges = False
    hub.fail("a.mp4", *[Fault(cut_after=40_000 - 1000 * (k % 2)) for k in range(50)])
    with pytest.raises(InputError, match=r"the hub cannot be reached|cannot be downloaded"):
        repo.download(file, tmp_path / "a.mp4")
    assert len(hub.requests) < 30
    assert not (tmp_path / "a.mp4").exists()


def test_a_longer_file_than_announced_is_not_read_to_its_end(hub, tmp_path):
    repo, file = file_of(hub)
    digest = file.digest.split(":")[1]
    hub.blobs[digest] = CONTENT + b"x" * 5_000_000
    repo.download(file, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == CONTENT


def test_a_file_that_the_hub_lists_and_does_not_have_is_named(hub, tmp_path):
    repo, file = file_of(hub)
    hub.fail("a.mp4", Fault(status=404))
    with pytest.raises(MissingFileError) as error:
        repo.download(file, tmp_path / "a.mp4")
    assert str(error.value) == f"{REPO}: a.mp4: commit {repo.commit[:12]} lists this file, but the hub does not have it"


def test_a_mirror_that_only_says_404_is_an_error_about_the_revision(hub):
    repo, _ = file_of(hub)
    hub.fail("/api/", Fault(status=404))
    with pytest.raises(
        InputError, match=r"revision: the hub has no such repository or revision(.|\n)*hint: check repo"
    ):
        Repo(REPO, repo.commit).files()


@pytest.mark.parametrize("body", [b"\x80", b"0"])
def test_a_refusal_that_the_client_cannot_read_is_one_error(hub, monkeypatch, body):
    repo, file = file_of(hub)
    transport = httpx2.MockTransport(lambda request: httpx2.Response(401, stream=httpx2.ByteStream(body)))
    with monkeypatch.context() as answered:
        answered.setattr("huggingface_hub.utils._http.get_session", lambda: httpx2.Client(transport=transport))
        with pytest.raises(InputError, match=r"a\.mp4: the hub sent a reply that cannot be read"):
            repo.open(file).read(10)


def test_no_message_advises_what_framesift_does_not_have(hub, tmp_path):
    repo, file = file_of(hub)
    digest = file.digest.split(":")[1]
    hub.blobs[digest] = CONTENT[:50_000]
    with pytest.raises(InputError, match=r"a\.mp4") as error:
        repo.download(file, tmp_path / "a.mp4")
    assert "force_download" not in str(error.value)


# Several processes


def test_two_downloads_of_one_file_that_no_lock_separates(hub, tmp_path):
    repo, file = file_of(hub)
    target = tmp_path / "a.mp4"
    partial_path(file, target).write_bytes(CONTENT[:10_000])
    hub.fail("a.mp4", Fault(cut_after=20_000, stall=0.3), Fault(cut_after=20_000, stall=0.3))
    together = threading.Barrier(2)

    def fetch(_):
        together.wait()
        steps = []
        repo.download(file, target, steps.append)
        return sum(steps)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(fetch, range(2))) == [len(CONTENT)] * 2
    assert target.read_bytes() == CONTENT
    assert hidden(tmp_path) == []
    assert "bytes=10000-" in ranges(hub)


CLAIMER = """
import sys, time
from pathlib import Path
from framesift.remote.partial_files import claimed
with claimed(Path(sys.argv[1])) as own:
    own.write_bytes(b"x" * 5000)
    print(own, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_taken_over_and_nothing_else(tmp_path):
    part = tmp_path / ".a.mp4.0123456789ab.part"
    command = [sys.executable, "-c", CLAIMER, str(part)]
    scripts = str(Path(partial_files.__file__).parents[2])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": scripts}, text=True)
    theirs = Path(process.stdout.readline().strip())
    assert arrived(part) == 0
    with claimed(part) as own:  # the other still writes
        assert own.stat().st_size == 0
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert arrived(part) == 5000
    with claimed(part) as own:
        assert (own.stat().st_size, theirs.exists()) == (5000, False)
    assert part.stat().st_size == 5000


def test_what_another_machine_writes_is_left_to_it_until_it_stops_growing(tmp_path, monkeypatch):
    part = tmp_path / ".a.mp4.0123456789ab.part"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(partial_files.socket, "gethostname", lambda: "another")
        with claimed(part) as own:
            own.write_bytes(b"x" * 100)
            theirs = own.rename(tmp_path / "kept")
        theirs.rename(own)
    assert arrived(part) == 0
    long_ago = time.time() - partial_files.ABANDONED - 1
    os.utime(own, (long_ago, long_ago))
    assert arrived(part) == 100


# Xet


class Xet:
    """Takes the place of `hf_hub_download`."""

    def __init__(self, hub, fails=None, content=None):
        self.hub, self.fails, self.content = hub, fails, content
        self.calls = []

    def __call__(self, repo_id, filename, *, repo_type, revision, local_dir, tqdm_class):
        self.calls.append(filename)
        data = self.content or self.hub.repositories[f"{repo_type}s", repo_id].find(revision).files[filename]
        path = Path(local_dir, filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        bars = {"reconstruction_desc": "a", "total": len(data), "log_level": logging.INFO, "tqdm_class": tqdm_class}
        with XetDownloadProgressReporter(**bars) as progress:
            for done in (len(data) // 3, len(data)):
                counts = {"total_bytes_completed": done, "total_transfer_bytes_completed": done}
                rates = {"total_bytes_completion_rate": 1.0, "total_transfer_bytes_completion_rate": 1.0}
                progress.update_progress(SimpleNamespace(**counts, **rates, total_bytes=len(data)))
        if self.fails:
            raise self.fails
        return str(path)


@pytest.fixture
def xet(hub, monkeypatch):
    hub.xet = True
    monkeypatch.setattr(hub_module, "find_spec", lambda name: object())  # hf_xet is installed
    made = Xet(hub)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", made)
    return made


def test_a_file_in_xet_comes_by_xet(hub, xet, tmp_path):
    repo, file = file_of(hub)
    steps = []
    repo.download(file, tmp_path / "a.mp4", steps.append)
    assert (tmp_path / "a.mp4").read_bytes() == CONTENT
    assert (xet.calls, hub.sent(), sum(steps)) == (["a.mp4"], 0, len(CONTENT))
    assert all(step >= 0 for step in steps)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("broken", ["an error", "other content"])
def test_what_xet_cannot_do_http_does(hub, xet, tmp_path, heard, broken):
    if broken == "an error":
        xet.fails = RuntimeError("no route to the storage")
    else:
        xet.content = b"y" * len(CONTENT)
    repo, file = file_of(hub)
    steps = []
    repo.download(file, tmp_path / "a.mp4", steps.append)
    assert (tmp_path / "a.mp4").read_bytes() == CONTENT
    assert (len(xet.calls), sum(steps)) == (1, len(CONTENT))
    assert "a.mp4 did not arrive by Xet" in heard.text
    assert hidden(tmp_path) == []


def test_a_full_disk_is_not_tried_again(hub, xet, tmp_path):
    xet.fails = OSError(errno.ENOSPC, "No space left on device")
    repo, file = file_of(hub)
    with pytest.raises(OSError, match="No space left"):
        repo.download(file, tmp_path / "a.mp4")
    assert (hub.sent(), hidden(tmp_path)) == (0, [])


@pytest.mark.parametrize("why", ["begun", "disabled", "not installed", "not in Xet"])
def test_when_http_is_the_way(hub, xet, tmp_path, monkeypatch, why):
    hub.xet = why != "not in Xet"
    repo, file = file_of(hub)
    if why == "begun":
        partial_path(file, tmp_path / "a.mp4").write_bytes(CONTENT[:30_000])
    elif why == "disabled":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    elif why == "not installed":
        monkeypatch.setattr(hub_module, "find_spec", lambda name: None)
    repo.download(file, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == CONTENT
    assert xet.calls == []
    assert hub.sent() == len(CONTENT) - 30_000 * (why == "begun")


def test_whole_archives_come_by_xet_and_pieces_do_not(hub, xet, tmp_path):
    download_dataset(dataset(hub, tmp_path / "few", "videomme", limit=2))
    assert not any(name.endswith(".zip") for name in xet.calls)
    assert download_dataset(dataset(hub, tmp_path / "all"))["missing"] == []
    assert {"video_part_1.zip", "video_part_2.zip"} <= set(xet.calls)


# A hub that serves no pieces


def test_pieces_need_a_server_that_serves_them(hub):
    repo, file = file_of(hub)
    with repo.open(file) as stream:
        stream.seek(1000)
        assert stream.read(500) == CONTENT[1000:1500]
        hub.ranges = False
        with pytest.raises(NoRangesError, match="does not serve parts of files"):
            stream.read(500)


@pytest.mark.parametrize("kind", ["videomme", "longvideobench", "mlvu"])
def test_without_ranges_archives_are_fetched_whole(hub, tmp_path, heard, kind):
    hub.ranges = False
    chosen = dataset(hub, tmp_path, kind, limit=1)
    assert download_dataset(chosen)["missing"] == []
    assert len(list(chosen.video_dir.iterdir())) == 1
    assert "does not serve parts of files: all of" in heard.text
    assert not [path for path in tmp_path.rglob("*") if ".zip" in path.name or ".tar" in path.name]
    assert "does not have" not in heard.text


def test_videos_that_could_not_be_fetched_are_no_missing_ones(hub, tmp_path):
    hub.ranges = False
    chosen = dataset(hub, tmp_path, limit=1)
    hub.fail("video_part_1.zip", Fault(), *[Fault(status=500)] * 10)
    with pytest.raises(InputError, match=r"the hub cannot serve it now \(status 500\)"):
        download_dataset(chosen)
    hub.faults.clear()
    assert download_dataset(chosen)["missing"] == []


def test_a_small_disk_is_noticed_before_whole_archives_are_fetched(hub, tmp_path, monkeypatch):
    hub.ranges = False
    usage = SimpleNamespace(free=100_000)
    monkeypatch.setattr("framesift.data.download.shutil.disk_usage", lambda path: usage)
    archives = [len(data) for name, data in REPOSITORIES["mlvu"]().items() if name.endswith(".zip")]
    needed = f"{2 * sum(archives) / 1e6:.2f}"  # with what comes out of them
    with pytest.raises(InputError, match=f"the disk is too small: {needed} MB are needed, 0.10 MB are free"):
        download_dataset(dataset(hub, tmp_path, limit=1))


# What excludes a video, and what ends the download


def test_pieces_that_arrive_damaged_twice_are_looked_for_in_the_whole_archive(hub, tmp_path, heard):
    files = REPOSITORIES["videomme"]()
    chosen = dataset(hub, tmp_path, "videomme", files, limit=2)
    good, bad = files["videos_chunked_01.zip"], bytearray(files["videos_chunked_01.zip"])
    bad[20_000] ^= 0xFF  # within the video
    requests = hub.requests

    class Pieces(dict):
        def __getitem__(self, digest):
            content = super().__getitem__(digest)
            asked = requests[-1].range
            return bytes(bad) if content == good and asked and not asked.endswith("-") else content

    hub.blobs = Pieces(hub.blobs)
    assert download_dataset(chosen)["missing"] == []
    whole = [request for request in requests if "videos_chunked_01" in request.path and request.sent == len(good)]
    assert len(whole) == 1


def test_a_damaged_archive_is_the_repositorys_fault_only_if_it_is_the_repositorys(hub, tmp_path):
    files = REPOSITORIES["mlvu"]()
    packed = bytearray(files["video_part_1.zip"])
    packed[20_000] ^= 0xFF
    chosen = dataset(hub, tmp_path)
    (tmp_path / "video_part_1.zip").write_bytes(packed)  # a bad copy of the user's
    with pytest.raises(InputError, match=r"video_part_1\.zip: is damaged(.|\n)*hint: remove it and run again"):
        download_dataset(chosen)
    (tmp_path / "video_part_1.zip").unlink()
    assert download_dataset(chosen)["missing"] == []


def test_content_that_the_hub_does_not_announce_ends_the_download(hub, tmp_path):
    chosen = dataset(hub, tmp_path)
    hub.fail("video_part_1.zip", *[Fault(damage=True)] * 2, whole=True)
    with pytest.raises(InputError, match="its content twice was not what the hub announces"):
        download_dataset(chosen)


def test_a_missing_file_of_the_commit_costs_its_videos_and_says_why(hub, tmp_path):
    chosen = dataset(hub, tmp_path)
    hub.fail("video_part_2.zip", Fault(status=404), whole=True)
    manifest = download_dataset(chosen)
    assert manifest["missing"] == ["ego_3"]
    assert "video_part_2.zip: commit" in manifest["reasons"]["ego_3"]
    assert "the hub does not have it" in manifest["reasons"]["ego_3"]
    assert manifest["try_again"] is False


def test_sizes_are_known_before_the_first_byte(hub, tmp_path, heard):
    download_dataset(dataset(hub, tmp_path))
    [line] = [line for line in heard.messages if line.startswith("fetching 3 files, ")]
    assert "MB, from" in line
    assert "GB free)" in line
