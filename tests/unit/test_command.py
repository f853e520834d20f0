"""The command `framesift`: sub-commands are the programs, and errors are one message."""

import re
import sys
import tomllib

import pytest

from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError
from framesift.program import main as command
from framesift.program.cli import EXTRAS, run
from framesift.storage import resources
from project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def framesift(monkeypatch, capsys, *arguments):
    """Exit status and output of the command."""
    monkeypatch.setattr(sys, "argv", ["framesift", *arguments])
    status = 0
    try:
        command.main()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        status = 1 if isinstance(stop.code, str) else stop.code or 0
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """One program of our own in place of all others."""

    def write(body):
        file = tmp_path / "try_it.py"
        file.write_text(f'"""Try it."""\nimport sys\n\n\ndef main():\n    {body}\n')
        monkeypatch.setattr(command, "find_programs", lambda: {"try-it": file})

    return write


def test_every_program_is_a_command_of_one_group_with_one_short_line():
    programs = command.find_programs()
    assert {file.name for file in programs.values()} == {file.name for file in SCRIPTS.glob("*.py")}
    grouped = [name for names in command.GROUPS.values() for name in names.split()]
    assert sorted(grouped) == sorted(programs)
    for line in command.overview(programs).splitlines():
        assert len(line) <= 88, line


@pytest.mark.parametrize("name", sorted(command.find_programs()))
def test_the_help_of_a_command_has_an_example(monkeypatch, capsys, name):
    status, out, _ = framesift(monkeypatch, capsys, name, "--help")
    assert status == 0
    assert out.startswith(f"usage: framesift {name} ")
    assert f"\n  framesift {name} " in out
    assert "workflow/scripts/" not in out.replace("workflow/scripts/train_selector.py", "")


def test_the_documentation_names_commands_that_exist():
    known, files = set(command.find_programs()), [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {name for file in files for name in re.findall(r"(?:^|[/` ])framesift ([a-z]+-[a-z-]+)", file.read_text())}
    assert named
    assert named <= known


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(monkeypatch, capsys, arguments):
    status, out, _ = framesift(monkeypatch, capsys, *arguments)
    assert status == 0
    assert "  select-frames  " in out
    assert out.index("Data\n") < out.index("Selection\n")


def test_a_program_in_no_group_is_listed_too(programs, monkeypatch, capsys):
    programs("pass")
    assert "Other\n  try-it  Try it.\n" in framesift(monkeypatch, capsys, "--help")[1]


def test_a_mistyped_command_gets_a_hint(monkeypatch, capsys):
    status, out, err = framesift(monkeypatch, capsys, "select_frame")
    assert status == 2
    assert not out
    assert "did you mean 'select-frames'?" in err
    assert "`framesift --help`" in framesift(monkeypatch, capsys, "zzzzzz")[2]


@pytest.mark.parametrize(
    ("body", "status"), [("pass", 0), ("sys.exit(3)", 3), ("sys.exit('error: no')", 1), ("sys.exit()", 0)]
)
def test_the_exit_status_is_that_of_the_program(programs, monkeypatch, capsys, body, status):
    programs(body)
    assert framesift(monkeypatch, capsys, "try-it")[0] == status


def test_the_program_sees_its_own_arguments(programs, monkeypatch, capsys):
    programs("print(sys.argv)")
    assert framesift(monkeypatch, capsys, "try-it", "--a", "b c")[1] == "['framesift try-it', '--a', 'b c']\n"


@pytest.mark.parametrize("place", ["import plotly.graph_objects", "pass\nimport plotly.graph_objects"])
def test_a_missing_extra_is_named(programs, monkeypatch, capsys, place):
    monkeypatch.setitem(sys.modules, "plotly", None)
    programs(place)
    status, _, err = framesift(monkeypatch, capsys, "try-it")
    assert status == 1
    assert err.startswith("error: ")
    assert "pip install 'framesift[report]'" in err


def test_any_other_missing_module_is_a_defect():
    def main():
        raise ModuleNotFoundError("No module named 'framesift.nothing'", name="framesift.nothing")

    with pytest.raises(ModuleNotFoundError):
        run(main)


def distributions(extra, known=frozenset()):
    """Names of the packages that an extra brings."""
    found = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        name = requirement.split(";")[0].split("<")[0].split(">")[0].split("=")[0].strip()
        if name.startswith("framesift["):
            for other in name.removeprefix("framesift[").removesuffix("]").split(","):
                found |= distributions(other)
        else:
            found.add(name)
    return found


NAMES = {"cv2": "opencv-python-headless", "lavis": "salesforce-lavis", "PIL": "pillow", "yaml": "pyyaml"}


@pytest.mark.parametrize("package", EXTRAS)
def test_every_extra_that_is_named_brings_the_package(package):
    canonical = NAMES.get(package, package).replace("_", "-")
    extra = distributions(EXTRAS[package])
    assert canonical in extra or (package, "transformers") == ("tokenizers", *extra & {"transformers"})


def test_every_optional_package_that_the_library_imports_is_in_an_extra():
    from conda_envs import imports

    core = {"numpy", "pydantic", "pydantic_core", "framesift"}
    outside = {"torchcodec", "flash_attn", "llava"}  # not on PyPI, or for those who installed them to match
    found = {module.split(".")[0] for file in SCRIPTS.rglob("*.py") for module, _ in imports(file)}
    assert found - sys.stdlib_module_names - core - outside <= set(EXTRAS)


def test_files_are_looked_for_here_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resources.find("resources/demo/clip") == ROOT / "resources" / "demo" / "clip"
    mine = tmp_path / "resources" / "demo" / "clip"
    mine.mkdir(parents=True)
    assert resources.find("resources/demo/clip") == mine
    with pytest.raises(InputError, match="resources/demo/clop: is neither in the working folder"):
        resources.find("resources/demo/clop")
