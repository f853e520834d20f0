"""A tiny project that is kept alive through faults, and what must hold after each of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from framesift.storage.checksums import is_intact
from framesift.storage.journal import parse_line
from framesift.storage.tensors import read_tensors
from project import Project
from tiny import TABLE, config, make_dataset

SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Finished:
    """What is done: scored videos by their dates, and how often each question was asked and kept."""

    scored: dict[Path, int] = field(default_factory=dict)
    answered: Counter[str] = field(default_factory=Counter)

    def redone(self, later: Finished) -> list[str]:
        """What of it was done again, or is gone, at a later time."""
        scored = [str(path) for path, date in self.scored.items() if later.scored.get(path) != date]
        return scored + [key for key, count in self.answered.items() if later.answered[key] != count]


class World:
    """A project with the tiny dataset.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder, config(scorers=["demo_clip"], selectors=["aks"], baseline="aks"))
        self.folder = folder
        make_dataset(folder / "data")
        self.counts: Counter[str] = Counter()
        self.damaged: dict[Path, bytes] = {}  # by a fault, and not yet found by a run
        self._leaked_before = leaked_memory()
        self.run()
        self.undisturbed = self.table()

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def cache(self) -> Path:
        return self.results / "cache"

    def table(self) -> bytes:
        return (self.folder / TABLE).read_bytes()

    # Running

    def start(self, *arguments: str, folder: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        """Snakemake in a session of its own, to be killed."""
        self.counts["runs"] += 1
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment}
        command = [sys.executable, "-m", "snakemake", "--configfile", "test.yaml", "--cores", "2", TABLE, *arguments]
        folder = folder or self.folder
        with (folder / "run.log").open("ab") as log:
            return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)

    def run(self, **environment: str) -> None:
        """A run that must succeed."""
        self.counts["runs"] += 1
        self.project.run(TABLE, **environment)

    def run_that_fails(self, *sayings: str, **environment: str) -> None:
        """A run that must fail, and say why."""
        self.counts["runs"] += 1
        done = self.project.run(TABLE, check=False, **environment)
        said = done.stdout + done.stderr
        assert done.returncode != 0, "the run succeeded"
        for saying in sayings:
            assert saying in said, f"{saying!r} was not said:\n{said}"
        assert "Traceback" not in said, said

    def unlock(self) -> None:
        self.project.snakemake("--unlock")

    def forget(self, *names: str) -> None:
        """Remove results, the caches excepted: what is run next has to find everything there."""
        for path in filter(Path.is_dir, self.results.iterdir()):
            if path.name != "cache" and (not names or path.name in names):
                shutil.rmtree(path)

    # Looking

    def finished(self) -> Finished:
        scored = {
            path: path.stat().st_mtime_ns
            for path in self.cache.glob("scores/*/*.safetensors")
            if not path.name.startswith(".") and read_tensors(path) is not None
        }
        records = [
            parse_line(line)
            for path in self.cache.glob("answers/*/*.jsonl")
            for line in path.read_bytes().split(b"\n")[:-1]
        ]
        return Finished(scored, Counter(record["key"] for record in records if record))

    def check(self, before: Finished) -> None:
        """What must hold after every fault, once the workflow ran again."""
        assert self.table() == self.undisturbed, "the table differs"
        redone = before.redone(self.finished())
        self.counts["redone"] += len(redone)
        assert not redone, f"was done again: {redone}"
        self.damaged.clear()  # a run that ended well has found and replaced all of it
        self.check_files()
        assert self.project.would_run(TABLE) == {}, "something is left to do"
        self.check_nothing_is_left()

    def check_files(self) -> None:
        """No file that looks whole is partial: not in the caches, not among the results."""
        for path in self.results.rglob("*"):
            if not path.is_file() or path.name.startswith(".") or not path.exists():
                continue
            if path in self.damaged and path.read_bytes() == self.damaged[path]:
                continue  # no run has come to it so far
            assert ".tmp" not in path.name, f"{path} is half written, and looks whole"
            assert is_intact(path), f"{path} is not what was written"
            if path.suffix == ".safetensors":
                assert read_tensors(path) is not None, f"{path} is damaged"
            elif path.suffix == ".json":
                json.loads(path.read_text())

    def check_nothing_is_left(self) -> None:
        """No process of a killed run goes on, and none keeps memory."""
        wait_until(lambda: not self.processes(), 60, "processes of a killed run go on")
        wait_until(lambda: not leaked_memory() - self._leaked_before, 10, "shared memory is left")

    def processes(self) -> list[psutil.Process]:
        """Every process at work in the folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.cwd() == str(self.folder):
                    found.append(process)
            except psutil.Error:
                continue
        return found


def wait_until(condition, seconds: float, complaint: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.1)


def leaked_memory() -> set[str]:
    """Shared memory of this user that has a name and no process."""
    if not SHARED_MEMORY.is_dir():
        return set()
    named = {str(path) for path in SHARED_MEMORY.glob("psm_*") if path.stat().st_uid == os.getuid()}
    for process in psutil.process_iter() if named else ():
        with suppress(psutil.Error):
            named -= {item.path for item in process.memory_maps()}
    return named


def kill(process: psutil.Process) -> bool:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.Error:
        return False
    return True
