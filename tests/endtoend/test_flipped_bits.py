"""One bit of one file of every kind under results/ is turned over, its size and date as before: that is noticed, or
docs/survival.md says that it is not."""

import os
import re
import subprocess
import sys
from fnmatch import fnmatch

import pytest

from framesift.core.code_digest import SCRIPTS
from framesift.storage.checksums import sidecar_of
from project import ROOT
from tiny import TABLE, make_project

TARGETS = (
    TABLE,
    *(
        f"results/{name}"
        for name in ("manifests/tiny.json", "methods/tiny.tex", "measures/tiny.csv", "report/tiny.html")
    ),
)
#: The patterns that docs/survival.md lists.
UNNOTICED = re.findall(
    r"`(results/\S+)`", (ROOT / "docs" / "survival.md").read_text().partition("Not noticed")[2].partition("## ")[0]
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = make_project(
        tmp_path_factory.mktemp("flips") / "project",
        scorers=["demo_clip"],
        selectors=["uniform", "mmr"],
        encoder="demo_clip",
    )
    project.run(*TARGETS)
    return project


def flip(path):
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_bit_in_any_file_is_noticed_or_listed(project):
    files = [
        path
        for path in sorted((project.folder / "results").rglob("*"))
        if path.is_file() and path.stat().st_size and not path.name.endswith(".sha256")
    ]
    for path in files:
        flip(path)
    check = subprocess.run(
        [sys.executable, SCRIPTS / "cache.py", "check"], cwd=project.folder, capture_output=True, text=True
    )
    noticed = set(re.findall(r"^damaged.*: (\S+)$", check.stdout, flags=re.MULTILINE))
    names = {path.relative_to(project.folder).as_posix() for path in files}
    listed = {name for name in names if any(fnmatch(name, pattern) for pattern in UNNOTICED)}
    assert names - noticed == listed
    for path in files:
        flip(path)  # as it was


@pytest.mark.parametrize("target", ["results/report/tiny.html", TABLE])
def test_what_was_changed_is_not_read(project, target):
    """A result whose bit was flipped is refused by whoever reads it, by name."""
    source = {TABLE: "results/judged/tiny.json"}.get(target, TABLE)
    path, made = project.folder / source, project.folder / target
    flip(path)
    made.unlink()
    done = project.run(target, check=False)
    assert done.returncode != 0
    assert f"{source}: is damaged, or was edited" in done.stdout + done.stderr
    flip(path)
    assert sidecar_of(path).exists()
