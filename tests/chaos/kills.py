"""kill -9 at random moments, again and again, of one project: Snakemake, the programs of its rules, their workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from random import Random

import psutil
from world import World, kill

#: What is killed, and how often in relation to each other.
KINDS = {"worker": 5, "rule": 5, "snakemake": 1, "everything": 1}
#: Seconds between two kills.
PAUSE = (0.5, 5.0)


def kind_of(process: psutil.Process) -> str:
    """What a process of the workflow is; empty for those that are spared."""
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return ""
    if "spawn_main" in command:
        return "worker"
    if "/workflow/scripts/" in command and not command.startswith(("/bin/", "bash", "sh ")):
        return "rule"
    return ""


class KillLoop:
    """Runs the workflow, kills something of it, and runs it again.

    Parameters
    ----------
    world : World
    random : Random
        Chooses what is killed, and when. What the processes have done by then is not in its hand.
    """

    def __init__(self, world: World, random: Random) -> None:
        self.world, self.random = world, random
        self.kills: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.tables = 0
        self.left, self.wanted = 0, set[str]()

    def until(self, kills: int, *kinds: str) -> None:
        """Kill so many times, at least once each of `kinds`; then run undisturbed.

        Whenever the table is made, all is forgotten, the caches too, and made again.
        """
        world = self.world
        self.left, self.wanted = kills, set(kinds)
        while self.left > 0 or self.wanted:
            before = world.finished()
            done = self._disturbed_run()
            redone = before.redone(world.finished())
            world.counts["redone"] += len(redone)
            assert not redone, f"was done again: {redone}"
            if done:
                world.damaged.clear()
            world.check_files()
            if done:
                assert world.table() == world.undisturbed, "the table differs"
                self.tables += 1
                self.forget_everything()
        before = world.finished()
        world.unlock()
        world.run()
        world.check(before)
        self.tables += 1

    def _disturbed_run(self) -> bool:
        """Whether it made the table all the same."""
        running = self.world.start()
        while running.poll() is None:
            try:
                running.wait(self.random.uniform(*PAUSE))
            except subprocess.TimeoutExpired:
                if self.left > 0 or self.wanted:
                    self._kill_something(running)
        if running.returncode < 0:
            self.world.unlock()  # what Snakemake says on the next start
        return running.returncode == 0

    def _kill_something(self, running: subprocess.Popen[bytes]) -> None:
        kinds = sorted(self.wanted) if self.left <= len(self.wanted) else list(KINDS)
        wanted = self.random.choices(kinds, [KINDS[kind] for kind in kinds])[0]
        if wanted == "everything":  # as when a machine goes down
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        elif wanted == "snakemake":  # its jobs go on, beside those of the next run
            running.kill()
            running.wait()
        else:
            while not (there := [process for process in self.world.processes() if kind_of(process) == wanted]):
                if running.poll() is not None:
                    return
                time.sleep(0.05)
            time.sleep(self.random.uniform(0, 1))
            if not kill(self.random.choice(there)):
                return
        self.kills[wanted] += 1
        self.left -= 1
        self.wanted.discard(wanted)

    def forget_everything(self) -> None:
        for process in self.world.processes():  # those that outlive a killed Snakemake
            kill(process)
        shutil.rmtree(self.world.results, ignore_errors=True)
