"""A copy of the project in a folder of its own, to run Snakemake in and to edit."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

import warm

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "rules", "envs", "config", "profiles", "report", "workflow", "resources", "pyproject.toml")


class Project:
    """A copy with its own configuration.

    Parameters
    ----------
    folder : path
        Where to make the copy.
    config : dict
        What is laid over config/config.yaml.
    copied : bool
        The folder holds a copy already.
    """

    def __init__(self, folder: Path, config: dict, *, copied: bool = False) -> None:
        self.folder = folder
        self.config = config
        if copied:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / part)

    def snakemake(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake; on failure (with `check`) the assertion shows what it printed."""
        (self.folder / "test.yaml").write_text(yaml.safe_dump(self.config))
        path = os.pathsep.join([str(warm.folder()), str(Path(sys.executable).parent), os.environ["PATH"]])
        # One BLAS thread: the machine that runs the tests may have more cores than it lends.
        env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment}
        command = [str(warm.folder() / "python"), "-m", "snakemake", "--configfile", "test.yaml", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def run(self, *targets: str, cores: int = 2, check: bool = True, **environment: str):
        return self.snakemake("--cores", str(cores), *targets, check=check, **environment)

    def would_run(self, *targets: str, **environment: str) -> Counter[str]:
        """How many jobs of each rule a run would do now."""
        done = self.snakemake("--dry-run", "--cores", "2", *targets, **environment)
        text = done.stdout + done.stderr
        if "Nothing to be done" in text:
            return Counter()
        table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", text, flags=re.DOTALL | re.MULTILINE)
        assert table, text
        return Counter({name: int(count) for name, count in (line.split() for line in table[1].strip().splitlines())})

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace one piece of text in a file of the copy."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new))

    @contextmanager
    def restored(self) -> Iterator[Project]:
        """The project to edit; afterwards its configuration, code and data are as they were, dates included.

        What was made (``results``, ``.snakemake``) stays, and so do the weights in ``resources``.
        """
        config, kept = copy.deepcopy(self.config), self.folder.with_name("kept")
        parts = [part for part in ("workflow", "data", "rules", "config") if (self.folder / part).is_dir()]
        for part in parts:
            shutil.copytree(self.folder / part, kept / part)
        try:
            yield self
        finally:
            self.config = config
            for part in parts:
                shutil.rmtree(self.folder / part)
                shutil.copytree(kept / part, self.folder / part)
            shutil.rmtree(kept)
