"""Work that ends badly, for tests of what becomes of the rest."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np


def work(what: str) -> str:
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        time.sleep(600)
    if what == "mistake":
        raise ZeroDivisionError
    return what.upper()


@dataclass(frozen=True)
class Form:
    """Takes the place of `Pictures`: the grey of a frame's middle row, and what the width of a frame makes it do."""

    folder: Path
    does: dict[int, str]
    shape = (1, 4, 1)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        what = self.does.get(image.shape[1], "")
        with (self.folder / f"{image.shape[1]}.pids").open("a") as file:
            file.write(f"{os.getpid()}\n")
        if what.startswith("once "):
            what = "" if (self.folder / "done").exists() else what.removeprefix("once ")
            (self.folder / "done").touch()
        if what == "slow":
            time.sleep(0.05)
        elif what == "measure":
            status = Path("/proc/self/status").read_text().splitlines()
            peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
            (self.folder / "memory").write_text(peak)
        elif what:
            work(what)
        return image[60, ::40, :1].reshape(-1)[:4].reshape(1, 4, 1)
