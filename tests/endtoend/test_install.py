"""Framesift as a package: every way to install it gives the library and the command, and nothing else to import."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import framesift
from framesift.core.code_digest import SCRIPTS, code_digest
from framesift.papers.published import read_published
from project import ROOT

BIN = Path(sys.executable).parent
UV = BIN / "uv"
WAYS = ("wheel", "sdist", "folder", "editable", "editable by pip")


def call(*command: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A clean copy of the project."""
    folder = tmp_path_factory.mktemp("checkout")
    kept_out = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("config", "resources", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=kept_out)
    for name in ("LICENSE", "README.md", "Snakefile", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def built(checkout) -> dict[str, Path]:
    """An sdist, and the wheel that is made from it."""
    call(UV, "build", "--python", sys.executable, "--no-build-isolation", "--out-dir", "dist", cwd=checkout)
    dist = checkout / "dist"
    return {"sdist": next(dist.glob("*.tar.gz")), "wheel": next(dist.glob("*.whl"))}


@pytest.fixture(scope="module", params=WAYS)
def installed(request, tmp_path_factory, checkout, built) -> tuple[Path, str]:
    """The programs of a new environment that holds Framesift and its core dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    call(UV, "venv", "--python", sys.executable, *(["--seed"] if "pip" in request.param else []), "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    what = {"folder": [checkout], "editable": ["-e", checkout], "editable by pip": ["-e", checkout]} | {
        name: [file] for name, file in built.items()
    }
    pip = [programs / "pip"] if "pip" in request.param else [UV, "pip"]
    python = [] if "pip" in request.param else ["--python", programs / "python"]
    call(*pip, "install", *python, *what[request.param], "-c", ROOT / "envs" / "demo.lock", cwd=folder)
    return programs, request.param


def evaluated(programs: Path, code: str, cwd: Path):
    return json.loads(call(programs / "python", "-c", f"import json; {code}", cwd=cwd).stdout)


def test_the_distributions_are_well_formed(built, checkout):
    done = call(BIN / "twine", "check", "--strict", *built.values(), cwd=checkout)
    assert done.stdout.count("PASSED") == 2


def test_a_distribution_holds_the_library_its_programs_and_their_files_once(built):
    names = zipfile.ZipFile(built["wheel"]).namelist()
    assert {name.split("/")[0] for name in names} == {"framesift", f"framesift-{framesift.__version__}.dist-info"}
    assert len(names) == len(set(names))
    library = {
        path.relative_to(SCRIPTS).as_posix()
        for path in (SCRIPTS / "framesift").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    programs = {f"framesift/commands/{path.name}" for path in SCRIPTS.glob("*.py")}
    resources = ROOT / "resources"
    shared = {
        f"framesift/shared/resources/{path.relative_to(resources).as_posix()}"
        for path in resources.rglob("*")
        if path.is_file()
    } | {"framesift/shared/config/config.yaml", "framesift/shared/config/schema.json"}
    assert {name for name in names if name.startswith("framesift/")} == library | programs | shared
    with tarfile.open(built["sdist"]) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"workflow/scripts/{path.name}" for path in SCRIPTS.glob("*.py")} <= sources
    assert {"pyproject.toml", "README.md", "LICENSE", "config/schema.json"} <= sources


def test_the_library_and_the_command_are_there_and_nothing_else(installed, tmp_path):
    programs, _ = installed
    assert call(programs / "framesift", "--version", cwd=tmp_path).stdout == f"framesift {framesift.__version__}\n"
    listed = call(programs / "framesift", "--help", cwd=tmp_path).stdout
    assert all(f"  {path.stem.replace('_', '-')} " in listed for path in SCRIPTS.glob("*.py"))
    modules = [path.stem for path in SCRIPTS.glob("*.py")]
    code = f"from importlib.util import find_spec as f; print(json.dumps([m for m in {modules} if f(m)]))"
    assert evaluated(programs, code, tmp_path) == []


def test_the_core_imports_numpy_and_pydantic_alone_in_a_second(installed, tmp_path):
    programs, _ = installed
    code = (
        "import time, sys; start = time.process_time(); import framesift, framesift.core.components;"
        " print(json.dumps([time.process_time() - start, framesift.__file__]))"
    )
    seconds, file = evaluated(programs, code, tmp_path)
    assert seconds < 1
    assert not Path(file).is_relative_to(ROOT)
    packages = call(UV, "pip", "list", "--format", "json", "--python", programs / "python", cwd=tmp_path).stdout
    names = {package["name"] for package in json.loads(packages)} - {
        "pip",
        "setuptools",
        "wheel",
        "packaging",
    }
    core = {"numpy", "pydantic"}
    needed_by_pydantic = {"annotated-types", "pydantic-core", "typing-extensions", "typing-inspection"}
    assert names == {"framesift"} | core | needed_by_pydantic


def test_frames_are_selected_with_the_core_alone(installed, tmp_path):
    programs, _ = installed
    (tmp_path / "scores.json").write_text("[[0.1, 0.9, 0.2, 0.8]]")
    (tmp_path / "frames.json").write_text("[[0, 30, 60, 90]]")
    lists = ("--scores", "scores.json", "--frames", "frames.json", "--out", "out.json")
    call(programs / "framesift", "select-frames", *lists, "--method", "topk", "--budget", "2", cwd=tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == [[30, 90]]


def test_a_command_that_needs_an_extra_names_it(installed, tmp_path):
    programs, _ = installed
    (tmp_path / "demo.csv").write_text("answerer,method,scorer,budget\n")
    done = call(programs / "framesift", "show-table", "demo.csv", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "pip install 'framesift[" in done.stderr
    assert "Traceback" not in done.stderr


def test_its_files_are_found_from_any_folder(installed, tmp_path, checkout):
    programs, way = installed
    code = (
        "from framesift.storage.resources import find;"
        " print(json.dumps([str(find(f)) for f in ('resources/demo/clip', 'config/schema.json')]))"
    )
    for found in map(Path, evaluated(programs, code, tmp_path)):
        assert found.exists()
        assert found.is_relative_to(checkout if "editable" in way else programs.parent)
    mine = tmp_path / "resources" / "demo" / "clip"
    mine.mkdir(parents=True)
    assert evaluated(programs, code, tmp_path)[0] == str(mine)
    code = "from framesift.papers.published import read_published; print(json.dumps(len(read_published())))"
    assert evaluated(programs, code, tmp_path) == len(read_published())


def test_the_code_of_a_program_is_the_same_wherever_it_is_installed(installed, tmp_path):
    programs, _ = installed
    code = "from framesift.core.code_digest import code_digest; print(json.dumps(code_digest('select_frames.py')))"
    assert evaluated(programs, code, tmp_path) == code_digest("select_frames.py")


def test_an_editable_installation_follows_the_checkout(installed, tmp_path, checkout):
    programs, way = installed
    new = checkout / "workflow" / "scripts" / "say_hello.py"
    new.write_text('"""Say hello."""\n\n\ndef main() -> None:\n    raise SystemExit(7)\n')
    try:
        done = call(programs / "framesift", "say-hello", cwd=tmp_path, check=False)
        assert done.returncode == (7 if "editable" in way else 2)
        by_path = call(programs / "python", new.with_name("show_table.py"), "--help", cwd=tmp_path)
        assert by_path.stdout.startswith("usage: show_table.py")
    finally:
        new.unlink()
