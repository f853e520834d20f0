"""The Makefile: what it says about a Python that is too old, before it makes anything."""

import shutil
import subprocess

import pytest

from project import ROOT


@pytest.mark.parametrize(
    ("script", "found"),
    [('[ "$1" = -V ] && echo Python 3.10.9 && exit 0\nexit 1', "found: Python 3.10.9"), (None, "found: none")],
)
def test_an_old_python_is_refused_and_leaves_no_environment(tmp_path, script, found):
    for name in ("Makefile", "envs/demo.lock", "envs/llava.yaml", "pyproject.toml", "setup.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    if script:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={python if script else ''}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Framesift needs Python 3.11 or newer" in done.stderr
    assert found in done.stderr
    assert "make demo PYTHON=/path/to/python3.11" in done.stderr
    assert len(done.stderr.splitlines()) == 3  # the last is make's own
    assert not (tmp_path / ".venv").exists()
