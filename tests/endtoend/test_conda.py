"""Every rule in its own environment and in nothing else; conda is the tests' stand-in (tests/support/conda_standin.py).

`make envs-check` runs all of it. `make test-all` runs a tiny table and skips the rest.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import conda_standin
from conda_envs import NAMES, NEVER_CALLED, RECORDER, EnvFile, Imported, rules, third_party
from project import ROOT, Project
from tiny import make_project

sys.path.insert(0, str(ROOT / "envs"))

import container

UV = Path(sys.executable).with_name("uv")
ALL = "ENVS_CHECK" in os.environ
needs_all = pytest.mark.skipif(not ALL, reason="needs make envs-check")
#: Rules that no table of the demo asks for: they import what others made or fetch, measure, or train.
NOT_OF_THE_DEMO = {
    *("download_checkpoint", "download_dataset", "import_outscores", "import_run", "import_selection"),
    "embed_frames",
}
EVERYTHING = (
    *("results/tables/{}.csv", "results/measures/{}.csv", "results/report/{}.html", "results/figures/{}"),
    *("results/manifests/{}.json", "results/published/{}.csv", "results/methods/{}.tex"),
)
MEASURES = "results/measures/tiny.csv"


class Conda:
    """The stand-in, what it makes, and projects that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands = conda_standin.install(folder)
        # Where nothing may be sent, uv takes what it has; `make envs-check` may fetch what it lacks.
        self.uv = {} if ALL else {"UV_OFFLINE": "1"}

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [self.commands / "conda", *arguments]
        return subprocess.run(command, env=os.environ | self.uv, capture_output=True, text=True)

    def make(self, name: str, file: Path | None = None) -> Path:
        """The environment of an env file."""
        prefix = self.folder / "made" / name
        if not prefix.exists():
            done = self("env", "create", "--file", file or ROOT / "envs" / f"{name}.yaml", "--prefix", prefix)
            assert done.returncode == 0, done.stdout + done.stderr
        return prefix

    def snakemake(self, project: Project, *arguments: str, **environment: str):
        """Run Snakemake with `--use-conda`, with the packages of its own environment on every path that could leak."""
        path = os.pathsep.join([str(self.commands), str(Path(sys.executable).parent), os.environ["PATH"]])
        own = str(Path(yaml.__file__).parents[1])
        prefix = ("--use-conda", "--conda-prefix", str(self.folder / "envs"))
        return project.snakemake(
            *prefix, "--cores", "2", *arguments, PATH=path, PYTHONPATH=own, **self.uv, **environment
        )

    def run(self, project: Project, *targets: str) -> list[Imported]:
        """Make the environments, then run; gives what each program imported."""
        self.snakemake(project, "--conda-create-envs-only", *targets)
        for site in (self.folder / "envs").glob("*/lib/python*/site-packages"):
            (site / "sitecustomize.py").write_text(RECORDER)
        records = project.folder / "records"
        records.mkdir()
        self.snakemake(project, *targets, RECORD_IMPORTS=str(records))
        return Imported.all(records)


@pytest.fixture(scope="module")
def conda(tmp_path_factory):
    pytest.importorskip("rattler", reason="needs py-rattler, which make test installs")
    folder = tmp_path_factory.mktemp("conda")
    cache = Path(subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip())
    if not cache.is_dir() or cache.stat().st_dev != folder.stat().st_dev:
        pytest.skip("needs uv's cache on the file system of the temporary folder, where links cost no disk")
    return Conda(folder)


def check_records(records: list[Imported], project: Project) -> dict[str, set[str]]:
    """That each program imported from one environment; gives the names of those, by program."""
    scripts = project.folder / "workflow" / "scripts"
    env_of = {file.with_suffix("").name: file.read_text() for file in conda_files(records)}
    names = {EnvFile.of(name).text: name for name in NAMES}
    used: dict[str, set[str]] = {}
    for record in records:
        assert record.foreign(scripts) == {}, record.program
        if record.program == "-c":  # a helper process of Python's own
            continue
        assert record.packages >= {"pydantic"}, record.program
        used.setdefault(record.program, set()).add(names[env_of[record.prefix.name]])
    return used


def conda_files(records: list[Imported]) -> set[Path]:
    """The env files that Snakemake keeps beside the environments."""
    return {record.prefix.with_name(f"{record.prefix.name}.yaml") for record in records}


def results(project: Project, name: str) -> dict[str, bytes]:
    folder = project.folder / "results" / "tables"
    return {file: (folder / file).read_bytes() for file in (f"{name}.csv", f"{name}_groups.csv", f"{name}.md")}


def test_the_stand_in_answers_what_snakemake_asks_and_nothing_else(conda):
    assert conda("--version").stdout == f"conda {conda_standin.VERSION}\n"
    assert json.loads(conda("info", "--json").stdout)["conda_prefix"] == str(conda.folder)
    assert json.loads(conda("config", "--get", "channel_priority", "--json").stdout) == {
        "get": {"channel_priority": "strict"}
    }
    refused = conda("install", "numpy")
    assert refused.returncode != 0
    assert "does not know: conda install numpy" in refused.stderr


def test_what_the_channel_does_not_have_is_refused(conda, tmp_path):
    file = tmp_path / "env.yaml"
    file.write_text("channels: [conda-forge]\ndependencies: [python=2.7]\n")
    assert conda("env", "create", "--file", file, "--prefix", tmp_path / "env").returncode != 0
    assert not (tmp_path / "env" / "bin").exists()


def test_programs_that_need_no_model_have_their_environment_and_nothing_else(conda, tmp_path):
    project = make_project(tmp_path / "project", scorers=[], selectors=["uniform"])
    used = check_records(conda.run(project, MEASURES), project)
    assert used == {
        "convert_labels.py": {"data"},
        "index_videos.py": {"data"},
        "select_frames.py": {"select"},
        "measure_selections.py": {"tables"},
    }
    assert (project.folder / MEASURES).exists()
    assert "Nothing to be done" in conda.snakemake(project, "--dry-run", MEASURES).stdout


@needs_all
def test_the_demo_is_the_same_with_conda(conda, tmp_path):
    plain, project = Project(tmp_path / "plain", {}), Project(tmp_path / "project", {})
    targets = [target.format("demo") for target in EVERYTHING]
    plain.run(*targets)
    used = check_records(conda.run(project, *targets), project)
    assert results(project, "demo") == results(plain, "demo")
    for rule in rules():
        assert rule.name in NOT_OF_THE_DEMO or (used[rule.program] and used[rule.program] <= rule.envs), rule.name


@pytest.fixture(params=NAMES)
def made(request, conda, tmp_path):
    """Name and prefix of each environment, built anew. `llava` itself is left out: it comes from GitHub."""
    name = request.param
    text = re.sub(r".* @ git\+.*\n", "", EnvFile.of(name).text)
    file = tmp_path / f"{name}.yaml"
    file.write_text(text)
    return name, conda.make(name, file)


def inside(prefix: Path, *command: object, **more) -> subprocess.CompletedProcess[str]:
    """Run a program with the Python of an environment and no other path."""
    env = {"PATH": f"{prefix / 'bin'}:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "HF_HUB_OFFLINE": "1",
           "OMP_NUM_THREADS": "1"}  # fmt: skip
    return subprocess.run(
        [prefix / "bin" / "python", *command], env=env | more, cwd=prefix, capture_output=True, text=True
    )


@needs_all
def test_an_environment_holds_what_its_file_says_and_lacks_nothing(made):
    name, prefix = made
    python = ("--python", prefix / "bin" / "python")
    frozen = subprocess.run([UV, "pip", "freeze", *python], capture_output=True, text=True, check=True).stdout
    asked = [Requirement(pin) for pin in EnvFile.of(name).pip if " @ " not in pin]
    here = {f"{pin.name}{pin.specifier}".lower() for pin in asked if not pin.marker or pin.marker.evaluate()}
    assert {line.lower() for line in frozen.splitlines()} == here
    checked = subprocess.run([UV, "pip", "check", *python], capture_output=True, text=True).stderr
    lacking = [line for line in checked.splitlines() if line.startswith("The package") and "requires" in line]
    assert lacking == []


@needs_all
def test_every_program_tells_its_use_in_its_environment(made):
    name, prefix = made
    programs = {rule.program for rule in rules() if name in rule.envs}
    assert programs
    for program in sorted(programs):
        done = inside(prefix, ROOT / "workflow" / "scripts" / program, "--help")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("usage: "), program


#: Does every import that a program could do.
IMPORT_ALL = """
import importlib, json, sys

for module, name in json.loads(sys.argv[1]):
    loaded = importlib.import_module(module)
    if name and not hasattr(loaded, name):
        importlib.import_module(f"{module}.{name}")
"""


@needs_all
def test_every_import_of_every_program_works_and_is_of_the_environment(made, tmp_path):
    name, prefix = made
    wanted = {
        (module, of)
        for top, pairs in third_party(name).items()
        for module, of in pairs
        if name not in NEVER_CALLED.get(top, {}) and top != "llava"
    }
    if name == "llava":  # lmms-eval's own wrappers of it, and what its old transformers lacks: PivotKV does without
        wanted = {pair for pair in wanted if not pair[0].startswith("lmms_eval.models.simple.llava")}
        newer = {("transformers", "AttentionInterface"), ("transformers.cache_utils", "DynamicLayer")}
        assert newer <= wanted
        wanted -= newer
    (prefix / "sitecustomize.py").write_text(RECORDER)
    done = inside(
        prefix, "-c", IMPORT_ALL, json.dumps(sorted(wanted, key=str)),
        PYTHONPATH=str(prefix), RECORD_IMPORTS=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = Imported.all(tmp_path)
    assert record.prefix == prefix
    assert record.foreign(ROOT / "workflow" / "scripts") == {}
    assert record.packages >= {module.split(".")[0] for module, _ in wanted}


@needs_all
def test_the_llava_package_is_installed_from_its_repository(conda):
    done = conda("env", "create", "--file", ROOT / "envs" / "llava.yaml", "--prefix", conda.folder / "made" / "whole")
    if done.returncode and "Git operation failed" in done.stderr:
        pytest.skip("needs GitHub")
    assert done.returncode == 0, done.stderr
    prefix = conda.folder / "made" / "whole"
    shown = inside(prefix, "-c", "import llava.conversation; print(llava.__file__)")
    assert shown.stdout.startswith(str(prefix)), shown.stderr


@needs_all
def test_the_container_s_own_steps_make_an_environment_that_plans_the_demo(tmp_path):
    """Its last step in an empty folder with the files that it copies, then its variables and no others."""
    image, project = tmp_path / "image", Project(tmp_path / "project", {})
    for file in container.FILES:
        (image / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, image / file)
    subprocess.run(container.STEPS[-1].split(), cwd=image, check=True, capture_output=True)
    env = {"PATH": f"{image}/.venv/bin:/usr/bin:/bin"} | container.NAMELESS
    done = subprocess.run(
        ["snakemake", "--dry-run", "--cores", "2", "results/tables/demo.csv"],
        cwd=project.folder, env=env, capture_output=True, text=True, executable=image / ".venv" / "bin" / "snakemake",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^make_table +1$", done.stdout, re.MULTILINE)
