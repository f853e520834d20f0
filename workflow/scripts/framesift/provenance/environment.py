"""Where results are made: the commit of the code, the packages, the machine. No names of people or hosts."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def software(root: Path) -> dict[str, Any]:
    """Version and commit of the project in `root`, and the packages of the Python that runs this."""
    return {
        "framesift": _version(root),
        "git": commit(root),
        "python": platform.python_version(),
        "packages": _packages(),
    }


def commit(root: Path) -> dict[str, Any] | None:
    """The commit of the checkout, and which of its tracked files differ from it.

    Returns
    -------
    dict or None
        ``commit``, ``dirty`` and ``changed``; None where `root` is no checkout of git.
    """
    # a folder inside somebody's other repository is no checkout of this project
    if _git(root, "ls-files", "--error-unmatch", "Snakefile") is None:
        return None
    found, status = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")
    if found is None or status is None:
        return None
    changed = sorted(line[3:].split(" -> ")[-1].strip('"') for line in status.splitlines())
    return {"commit": found.strip(), "dirty": bool(changed), "changed": changed}


def machine() -> dict[str, Any]:
    """Kind of processor, memory in GiB, and GPUs."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": _memory(),
        "gpus": _gpus(),
    }


def _version(root: Path) -> str | None:
    try:
        return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])
    except (OSError, KeyError, ValueError):
        return None


def _packages() -> dict[str, str]:
    found = {item.metadata["Name"]: item.version for item in distributions() if item.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _git(root: Path, *arguments: str) -> str | None:
    return _output("git", "-C", str(root), *arguments)


def _output(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "not known"


def _memory() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError):
        return None


def _gpus() -> list[str]:
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return [name.strip() for name in (names or "").splitlines() if name.strip()]
