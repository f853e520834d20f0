"""GPUs of a machine are lent out by file locks, so that two jobs never take the same one.

A lock is an ``flock`` on a file named after the GPU's UUID; the kernel takes it back when its process ends, however
that happens. Numbers of GPUs are those of ``nvidia-smi``. Schedulers that give a job one GPU are believed.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from framesift.core.errors import InputError
from framesift.program.cli import log

VISIBLE = "CUDA_VISIBLE_DEVICES"
#: Names another folder for the locks, for containers whose /tmp is their own.
LOCKS = "FRAMESIFT_GPU_LOCKS"
#: Seconds between two looks at GPUs that are all taken.
EVERY = 1.0

_held: tuple[str, list[int], str | None] | None = None  # the GPUs, descriptors of their locks, VISIBLE as it was


def lease(count: int = 1) -> str | None:
    """Take free GPUs for the rest of this process, and show CUDA no other; wait while too few are free.

    To be called before anything initialises CUDA, which looks at ``CUDA_VISIBLE_DEVICES`` but once. Where that names
    more GPUs than are wanted, some of those are taken; where it names one or none, a scheduler or a user has decided.

    Parameters
    ----------
    count : int
        How many. They are taken all at once, so two processes never hold what the other waits for.

    Returns
    -------
    str or None
        The UUIDs with commas between, as in ``CUDA_VISIBLE_DEVICES``; None where there is nothing to choose from: the
        choice was made, or ``nvidia-smi`` lists none.

    Raises
    ------
    InputError
        Where locks cannot be written, or there are GPUs, but fewer than `count`.
    """
    global _held
    if _held:
        return _held[0]
    gpus = [] if count == 1 and chosen() else visible_gpus()
    if not gpus:
        return None
    if len(gpus) < count:
        raise InputError(
            "there are too few GPUs",
            value=", ".join(gpus),
            expected=f"{count} GPUs",
            hint=f"ask for fewer (gpus), or let {VISIBLE} name more",
        )
    folder = _folder()
    told = False
    while len(taken := _lock(gpus, folder, count)) < count:
        _close(taken.values())
        if not told:
            holders = "; ".join(f"{gpu}: {_holder(folder, gpu)}" for gpu in gpus if gpu not in taken)
            wanted = "a GPU" if count == 1 else f"{count} GPUs"
            state = "the only one is" if len(gpus) == 1 else "too many are" if taken else "all are"
            log.info("waiting for %s: %s taken (%s)", wanted, state, holders)
            told = True
        time.sleep(EVERY * random.uniform(0.5, 1.0))
    holder = f"process {os.getpid()}, {Path(sys.argv[0]).name}, since {time.strftime('%F %T')}".encode()
    for descriptor in taken.values():
        os.truncate(descriptor, 0)
        os.write(descriptor, holder)
    names = ",".join(taken)
    _held = names, list(taken.values()), os.environ.get(VISIBLE)
    os.environ[VISIBLE] = names
    log.info("GPU %s", names)
    return names


def become(command: Sequence[str]) -> NoReturn:
    """Go on as another program, which has the GPUs that were taken until it ends."""
    for descriptor in _held[1] if _held else ():
        os.set_inheritable(descriptor, True)
    os.execvp(command[0], [*command])


def give_back() -> None:
    """Let other processes have what was taken; only for a process that has not initialised CUDA."""
    global _held
    if _held:
        _, descriptors, before = _held
        _held = None
        _close(descriptors)
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before


def chosen() -> bool:
    """Whether ``CUDA_VISIBLE_DEVICES`` leaves no choice: it names one GPU, or none."""
    named = os.environ.get(VISIBLE)
    return named is not None and len(_names(named)) < 2


def visible_gpus() -> list[str]:
    """UUIDs of the GPUs that this process may use, in the order of ``nvidia-smi`` or ``CUDA_VISIBLE_DEVICES``.

    A GPU that is divided (MIG) is replaced by its parts, of which a process can use one. CUDA is not initialised.
    """
    gpus = _listed()
    named = os.environ.get(VISIBLE)
    if named is None:
        return [uuid for units in gpus for uuid in units]
    found: list[str] = []
    for name in _names(named):
        if name.isdecimal():
            found += gpus[int(name)] if int(name) < len(gpus) else []
        else:  # CUDA knows a GPU by the beginning of its UUID too
            found += [uuid for units in gpus for uuid in units if uuid.startswith(name)]
    return list(dict.fromkeys(found))


def _names(value: str) -> list[str]:
    return [name for part in value.split(",") if (name := part.strip())]


def _listed() -> list[list[str]]:
    """By number of the GPU: its UUID, or those of its parts."""
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    gpus: list[tuple[str, list[str]]] = []
    for line in listing.splitlines():
        if uuid := re.search(r"\(UUID: ((?:GPU|MIG)-[^)\s]+)\)", line):
            if line.startswith("GPU"):
                gpus.append((uuid[1], []))
            elif gpus:
                gpus[-1][1].append(uuid[1])
    return [parts or [whole] for whole, parts in gpus]


def _folder() -> Path:
    """Where the locks of this user lie: one place on this machine, whatever TMPDIR says."""
    folder = Path(os.environ.get(LOCKS) or f"/tmp/framesift-gpus-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():
            raise PermissionError("it is somebody else's")
    except OSError as error:
        raise InputError(
            f"locks of GPUs cannot be kept there ({error.strerror or error})",
            file=folder,
            hint=f"name another folder of this machine: {LOCKS}=/path",
        ) from None
    return folder


def _lock_file(folder: Path, gpu: str) -> Path:
    return folder / re.sub(r"[^A-Za-z0-9-]", "_", gpu)


def _lock(gpus: Sequence[str], folder: Path, count: int) -> dict[str, int]:
    """The first GPUs that nobody has, at most `count`, with the descriptors of their locks."""
    import fcntl

    taken: dict[str, int] = {}
    for gpu in gpus:
        if len(taken) == count:
            break
        file = _lock_file(folder, gpu)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:  # a link is not followed: it could name any file of this user
            raise InputError(
                f"cannot be used as the lock of a GPU ({error.strerror})",
                file=file,
                expected="a file of yours, not a link or a folder",
                hint="remove it",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken[gpu] = descriptor
        except BlockingIOError:
            os.close(descriptor)
    return taken


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _holder(folder: Path, gpu: str) -> str:
    try:
        return _lock_file(folder, gpu).read_text() or "not known"
    except OSError:
        return "not known"


def _forget() -> None:
    """A forked child that outlived this process would keep the locks, though it cannot use the GPUs."""
    global _held
    if _held:
        _close(_held[1])
        _held = None


os.register_at_fork(after_in_child=_forget)
