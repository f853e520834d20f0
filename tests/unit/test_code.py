"""Code digests: what counts as a change of a program, on a copy of the library."""

import os
import shutil
import subprocess
import sys

import pytest

from framesift.core import code_digest as code


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A copy of the programs and the library that may be edited; gives a function that edits a file."""
    copy = tmp_path / "scripts"
    shutil.copytree(code.SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "SCRIPTS", copy)
    stamp = [10**18]

    def edit(name, old, new):
        path = copy / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        stamp[0] += 10**9
        os.utime(path, ns=(stamp[0], stamp[0]))

    return edit


SELECT = ("select_frames.py", "framesift.selection.selectors.aks")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("framesift/selection/selectors/aks.py", "# start, end, quota, depth", "# other words"),
        ("framesift/selection/selectors/aks.py", '"""Judge and split', '"""Judge, then split'),
        ("framesift/selection/selectors/aks.py", 'description="Threshold', 'description="The threshold'),
        ("framesift/selection/selectors/aks.py", "level >= depth or", "level  >=  depth  or"),
        ("framesift/selection/selectors/topk.py", ", budget)", ", budget + 0)"),
        ("framesift/scoring/scorers/clip.py", "truncation=True", "truncation=False"),
        ("framesift/selection/selectors/__init__.py", 'raise ScoreError(f"', 'raise ScoreError(f"sorry, '),
        ("select_frames.py", 'log.info("', 'log.info("done: '),
        ("framesift/core/errors.py", 'f"found: ', 'f"was found: '),
        ("select_frames.py", 'help="', 'help="in other words: '),
    ],
)
def test_edits_that_cannot_change_a_selection_by_aks(library, file, old, new):
    before = code.code_digest(*SELECT)
    library(file, old, new)
    assert code.code_digest(*SELECT) == before


def test_where_the_code_is_and_what_its_modules_are_called_does_not_count(library, tmp_path, monkeypatch):
    before = code.code_digest(*SELECT)
    moved = tmp_path / "moved"
    code.SCRIPTS.rename(moved)
    (moved / "framesift/storage/checksums.py").rename(moved / "framesift/storage/digests.py")
    for file in moved.rglob("*.py"):
        file.write_text(file.read_text().replace("framesift.storage.checksums", "framesift.storage.digests"))
    monkeypatch.setattr(code, "SCRIPTS", moved)
    assert moved / "framesift/storage/digests.py" in code.import_closure(SELECT)
    assert code.code_digest(*SELECT) == before


def test_code_outside_of_the_library_is_followed_in_its_own_folder(tmp_path, monkeypatch):
    package = tmp_path / "outsider"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "frames.py").write_text("import numpy as np\nfrom . import weights\nfrom framesift.core import spec\n")
    (package / "weights.py").write_text("WEIGHT = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [path.name for path in code.import_closure(["outsider.frames"])] == ["frames.py", "weights.py"]
    before = code.code_digest("outsider.frames")
    (package / "weights.py").write_text("WEIGHT = 2\n")
    os.utime(package / "weights.py", ns=(1, 1))
    assert code.code_digest("outsider.frames") != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("framesift/selection/selectors/aks.py", "level >= depth or", "level > depth or"),
        ("framesift/selection/selectors/aks.py", "default=0.8", "default=0.9"),
        ("framesift/selection/selectors/__init__.py", "n <= budget", "n < budget"),
        ("framesift/video/grid.py", "max(1, int(index.fps))", "int(index.fps)"),
        ("select_frames.py", 'spec.get("seed", 0)', 'spec.get("seed", 1)'),
    ],
)
def test_edits_that_may(library, file, old, new):
    before = code.code_digest(*SELECT)
    library(file, old, new)
    assert code.code_digest(*SELECT) != before


def test_the_closure_holds_what_is_really_imported():
    """Every module of the library that importing a program loads is in its closure."""
    for program in ("convert_labels", "index_videos", "assign_shards", "score_frames", "merge_scores", "select_frames"):
        script = f"import sys, {program}; print(*(m for m in sys.modules if m.startswith('framesift')))"
        loaded = subprocess.run(
            [sys.executable, "-c", script], cwd=code.SCRIPTS, capture_output=True, text=True, check=True
        ).stdout.split()
        closure = {
            path.relative_to(code.SCRIPTS).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
            for path in code.import_closure([f"{program}.py"])
        }
        assert set(loaded) <= closure


def test_programs_import_nothing_heavy():
    """No program loads a model library or a decoder before it knows that it needs it (--help is quick)."""
    for program in sorted(path.stem for path in code.SCRIPTS.glob("*.py")):
        heavy = ["torch", "transformers", "av", "decord", "lmms_eval", "cv2"]
        script = f"import sys, {program}; print(*(m for m in {heavy} if m in sys.modules))"
        found = subprocess.run(
            [sys.executable, "-c", script], cwd=code.SCRIPTS, capture_output=True, text=True, check=True
        ).stdout.split()
        assert not found, f"{program}.py imports {found} when it starts"


def test_every_program_explains_itself():
    for program in sorted(code.SCRIPTS.glob("*.py")):
        done = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"usage: {program.name}")
