"""Faults of disks, files, clocks, the hub and users. Each is one class: what it is called, what it does, and how a user
mends it; what must hold after it is the same for all (`World.check`)."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from world import Finished, World

from benchmarks import zipped
from disk_faults import Machine
from framesift.storage.checksums import sidecar_of
from local_hub import Fault as HubFault
from local_hub import LocalHub
from tiny import TABLE, VIDEOS

DAY = 24 * 3600


class Unable(Exception):
    """This fault cannot be made on this machine."""


class Fault(ABC):
    """A fault.

    Attributes
    ----------
    kind : str
        What it is called in the count.
    """

    kind: str

    @abstractmethod
    def strike(self, world: World, random: Random) -> Finished:
        """Make the fault, let the workflow meet it where it should fail of it, and mend what a user has to mend.

        Returns
        -------
        Finished
            What the next run may not do again.
        """

    def meet(self, world: World, random: Random) -> None:
        """The fault, another run, and what must hold."""
        before = self.strike(world, random)
        world.run()
        world.check(before)
        world.counts[self.kind] += 1


# Damage


def cut(path: Path, random: Random) -> None:
    """Keep a part of a file, as a full disk or a broken copy would."""
    content = path.read_bytes()
    path.write_bytes(content[: random.randrange(len(content))])


def flip(path: Path, random: Random) -> None:
    """Turn one bit over."""
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path, Random], None]] = {"truncated": cut, "bit flipped": flip}


class Damaged(Fault):
    """Files of a kind are damaged."""

    what: str

    def __init__(self, damage: str) -> None:
        self.damage = DAMAGES[damage]
        self.kind = f"{self.what}, {damage}"


class DamagedCache(Damaged):
    """One scored video, every journal of answers, and every entry of the index of videos."""

    what = "cache"

    def strike(self, world: World, random: Random) -> Finished:
        kept = world.finished()
        damaged = [
            random.choice(sorted(kept.scored)),
            *world.cache.glob("answers/*/*.jsonl"),
            *world.cache.glob("videos/*/*.json"),
        ]
        for path in damaged:
            self.damage(path, random)
            world.damaged[path] = path.read_bytes()
        left = world.finished()
        assert left.scored.keys() == kept.scored.keys() - set(damaged), "a damaged video is taken for a scored one"
        assert left.answered < kept.answered, "a damaged answer is taken for one"
        world.forget()
        return left


class DamagedResult(Damaged):
    """The run that reads it refuses it by name; removing it, as the message says, is enough."""

    what = "result"
    read_again = ("labels", "videos", "shards", "scores", "selections", "answers", "judged")

    def strike(self, world: World, random: Random) -> Finished:
        folder = random.choice(self.read_again)
        path = random.choice(sorted(path for path in (world.results / folder).rglob("*") if sidecar_of(path).is_file()))
        self.damage(path, random)
        before = world.finished()
        (world.folder / TABLE).unlink()
        world.run_that_fails(str(path.relative_to(world.folder)), "is damaged, or was edited")
        assert not (world.folder / TABLE).exists()
        path.unlink()
        return before


class DamagedVideo(Damaged):
    """The table may then lack its questions; once the video is there again, all is as before."""

    what = "video"

    def strike(self, world: World, random: Random) -> Finished:
        path = world.folder / "data" / "videos" / f"{random.choice(VIDEOS)}.mp4"
        whole = path.read_bytes()
        before = world.finished()
        self.damage(path, random)
        world.project.run(TABLE, check=False)
        path.write_bytes(whole)
        return before


# Disks


@contextmanager
def mounted(*command: str, at: Path) -> Iterator[None]:
    """Something mounted for a while."""
    done = subprocess.run(["mount", *command, str(at)], capture_output=True, text=True)
    if done.returncode:
        raise Unable(f"mounting is not allowed here ({done.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


class FullDisk(Fault):
    """results/ is a disk of its own that is too small; later a larger one."""

    kind = "full disk"

    def strike(self, world: World, random: Random) -> Finished:
        needed = sum(-(-path.stat().st_size // 4096) * 4 for path in world.results.rglob("*") if path.is_file())
        size = random.randrange(8, needed * 3 // 4, 4)
        aside = world.folder / "results_aside"
        world.results.rename(aside)
        world.results.mkdir()
        try:
            with mounted("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", at=world.results):
                world.run_that_fails("the disk is full")
                world.check_files()
                before = world.finished()
                subprocess.run(["mount", "-o", "remount,size=100m", str(world.results)], check=True)
                world.run()
                world.check(before)
        finally:
            shutil.rmtree(world.results)
            aside.rename(world.results)
        world.project.snakemake("--cores", "1", "--touch", TABLE)  # the records are those of the other disk
        return world.finished()


class ReadOnly(Fault):
    kind = "read-only results"

    def strike(self, world: World, random: Random) -> Finished:
        before = world.finished()
        world.forget("tables")
        with mounted("--bind", str(world.results), at=world.results):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(world.results)], check=True)
            world.run_that_fails("it is read-only")
        return before


class CacheGoesReadOnly(Fault):
    """While jobs run; what they finished before is kept."""

    kind = "a cache that goes read-only"

    def strike(self, world: World, random: Random) -> Finished:
        world.forget()
        shutil.rmtree(world.cache / "answers")
        running = world.start()
        while not any(world.cache.glob("answers/*/*.jsonl")):
            assert running.poll() is None, "the run ended before it answered"
            time.sleep(0.02)
        with mounted("--bind", str(world.cache), at=world.cache):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(world.cache)], check=True)
            running.wait()  # what it has open can still be written
            if not (world.folder / TABLE).exists():
                world.unlock()
            before = world.finished()
        return before


#: What a disk and a process may say of a file that is there.
UNREADABLE = {
    "videos that are away": errno.ENOENT,
    "an I/O error in a video": errno.EIO,
    "stale file handles": errno.ESTALE,
    "too many open files": errno.EMFILE,
}


class VideosUnreadable(Fault):
    """Videos that were indexed cannot be read for a while: a fact about the disk, never about them."""

    def __init__(self, kind: str, error: int, stage: str, in_the_middle: bool = False) -> None:
        self.kind = f"{kind} while {stage}"
        self.error, self.stage, self.in_the_middle = error, stage, in_the_middle

    def strike(self, world: World, random: Random) -> Finished:
        machine = machine_of(world)
        video = world.folder / "data" / "videos" / f"{random.choice(VIDEOS)}.mp4"
        offset = random.randrange(2000, video.stat().st_size - 2000) if self.in_the_middle else 0
        cache = {"scoring": "scores", "answering": "answers"}[self.stage]
        world.forget("scores", "selections", "answers", "judged", "tables")
        shutil.rmtree(world.cache / cache)
        with machine.disk_fails(self.error, f"data/videos/{video.name}", offset):
            world.run_that_fails(video.name, "cannot be read now", **machine.environment)
        assert not (world.folder / TABLE).exists(), "a table was made without the video"
        return world.finished()


def machine_of(world: World) -> Machine:
    """A machine that can be made to fail."""
    try:
        return Machine(world.folder.parent)
    except RuntimeError as missing:
        raise Unable(f"needs {missing}") from None


# Clocks


class ClockJumps(Fault):
    """By years, in the middle of a run."""

    def __init__(self, when: str) -> None:
        self.kind, self.when = f"a clock that jumps, {when}", when

    def strike(self, world: World, random: Random) -> Finished:
        machine = machine_of(world)
        before = world.finished()
        world.forget()
        running = world.start(**machine.environment)
        while not (world.results / "scores").exists():
            assert running.poll() is None, "the run ended before it scored"
            time.sleep(0.02)
        with machine.clock_jumps(SHIFTS[self.when]):
            running.wait()
        world.unlock()
        return before


SHIFTS = {"in the future": 3650 * DAY, "in the past": -3650 * DAY}


class WrongDates(Fault):
    """A clock was wrong, or files were copied without their dates."""

    def __init__(self, when: str, what: str) -> None:
        self.kind, self.what, self.when = f"{what} dated {when}", what, when

    def meet(self, world: World, random: Random) -> None:
        self.dates = {path: path.stat().st_mtime_ns for path in self._paths(world)}
        super().meet(world, random)
        for path in filter(Path.exists, self.dates):
            os.utime(path, ns=(self.dates[path], self.dates[path]))

    def strike(self, world: World, random: Random) -> Finished:
        date = time.time() + SHIFTS[self.when]
        for path in self.dates:
            os.utime(path, (date, date + random.random()))
        if (self.when, self.what) == ("in the future", "videos and labels"):
            world.forget("labels", "videos", "tables")
            world.run_that_fails("clock skew")  # Snakemake's own words
            for path in self.dates:
                os.utime(path)
        return world.finished()

    def _paths(self, world: World) -> list[Path]:
        folder = {"results and caches": world.results, "videos and labels": world.folder / "data"}[self.what]
        return sorted(path for path in folder.rglob("*") if path.is_file())


# Snakemake's own records


class DamagedRecords(Fault):
    kind = "Snakemake's records, truncated"

    def strike(self, world: World, random: Random) -> Finished:
        for path in sorted((world.folder / ".snakemake" / "metadata").rglob("*")):
            if path.is_file() and random.random() < 0.5:
                cut(path, random)
        return world.finished()


# Two at once


class Locked(Fault):
    """The second run in a folder is refused, and does no harm to the first."""

    kind = "two runs in one folder"

    def strike(self, world: World, random: Random) -> Finished:
        before = world.finished()
        world.forget()
        first = world.start()
        lock = world.folder / ".snakemake" / "locks"
        while not any(lock.glob("*")):
            assert first.poll() is None, "the first run ended before it locked the folder"
            time.sleep(0.05)
        world.run_that_fails("Directory cannot be locked")
        assert first.wait() == 0
        return before


class NotLocked(Fault):
    """Two runs that know nothing of each other share the cache (--nolock, or two folders with one cache)."""

    def __init__(self, how: str) -> None:
        self.kind, self.how = f"two runs, {how}", how

    def strike(self, world: World, random: Random) -> Finished:
        shutil.rmtree(world.results)
        if self.how == "one folder, --nolock":
            running = [world.start("--nolock"), world.start("--nolock")]
            for process in running:
                process.wait()
            assert 0 in [process.returncode for process in running] or not (world.folder / TABLE).exists()
        else:
            other = world.folder.parent / f"{world.folder.name}_other"
            shutil.copytree(world.folder, other, ignore=shutil.ignore_patterns("results", ".snakemake", "logs"))
            world.cache.mkdir(parents=True)
            (other / "results").mkdir()
            (other / "results" / "cache").symlink_to(world.cache)
            running = [world.start(), world.start(folder=other)]
            assert [process.wait() for process in running] == [0, 0]
            assert (other / TABLE).read_bytes() == world.undisturbed
            shutil.rmtree(other)
        finished = world.finished()
        world.counts["questions in flight twice"] += sum(count - 1 for count in finished.answered.values())
        return finished


# The hub


class HubFails(Fault):
    """The dataset comes from a hub that refuses, is busy, breaks off and sends rubbish."""

    kind = "a hub that fails"

    def strike(self, world: World, random: Random) -> Finished:
        before = world.finished()
        data, aside = world.folder / "data", world.folder / "data_aside"
        dataset = world.project.config["datasets"]["tiny"]
        data.rename(aside)
        data.mkdir()
        shutil.copy2(aside / "evidence.json", data)
        try:
            with LocalHub() as hub:
                videos = {f"data/{name}.mp4": (aside / "videos" / f"{name}.mp4").read_bytes() for name in VIDEOS}
                archive = zipped(videos)
                files = {"labels.parquet": (aside / "labels.parquet").read_bytes(), "videos_chunked_01.zip": archive}
                commit = hub.add("someone/tiny", files, gated=True)
                world.project.config["datasets"]["tiny"] = {
                    **dataset, "download": True, "repo": "someone/tiny", "revision": commit, "keep_archives": False
                }  # fmt: skip
                online = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": ""}
                world.run_that_fails("is gated", **online)
                hub.repositories["datasets", "someone/tiny"].gated = False
                parts = [random.randrange(len(archive)) for _ in range(2)]
                hub.fail("labels.parquet", HubFault(status=503))
                hub.fail("videos_chunked_01.zip", *(HubFault(cut_after=part) for part in parts), HubFault(damage=True))
                world.run(**online)
                world.check(before)
                assert not hub.faults, "the hub did not fail"
        finally:
            shutil.rmtree(data)
            aside.rename(data)
            world.project.config["datasets"]["tiny"] = dataset
        return before


def all_faults() -> list[Fault]:
    """One of each, cheap ones first."""
    damages = (DamagedCache, DamagedResult, DamagedVideo)
    return [
        *(make(damage) for make in damages for damage in DAMAGES),
        *(WrongDates(when, what) for what in ("results and caches", "videos and labels") for when in SHIFTS),
        *(
            VideosUnreadable(kind, error, stage, kind.startswith("an I/O"))
            for stage in ("scoring", "answering")
            for kind, error in UNREADABLE.items()
        ),
        *(ClockJumps(when) for when in SHIFTS),
        ReadOnly(),
        CacheGoesReadOnly(),
        FullDisk(), FullDisk(),
        HubFails(),
        Locked(),
        NotLocked("one folder, --nolock"),
        NotLocked("two folders, one cache"),
        DamagedRecords(),  # last: without records Snakemake goes by dates alone
    ]  # fmt: skip
