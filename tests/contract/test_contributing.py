"""The recipes of CONTRIBUTING.md, followed word for word: write the file, then check it.

`tests/workflow/test_plugins.py` takes them to a table.
"""

import subprocess
import sys

import pytest

from framesift.core.code_digest import SCRIPTS
from project import ROOT
from recipes import CHECKS, FILES, write_folder


@pytest.fixture(scope="module")
def contributor(tmp_path_factory):
    """A working folder with the files of all recipes."""
    folder = tmp_path_factory.mktemp("contributor")
    write_folder(folder)
    (folder / "resources").symlink_to(ROOT / "resources")
    return folder


def test_there_is_a_recipe_for_each_family_and_a_configuration():
    families = sorted(path.split("/")[1] for path in FILES if path.startswith("my_plugins/"))
    assert families == ["answerers", "datasets", "scorers", "selectors"]
    assert "my.yaml" in FILES
    assert [command.split()[0] for command in CHECKS] == ["selectors", "scorers", "datasets", "answerers"]


@pytest.mark.parametrize("command", CHECKS, ids=lambda command: command.split()[0])
def test_every_recipe_keeps_its_contract(command, contributor):
    program = [sys.executable, SCRIPTS / "check_component.py", *command.split()]
    done = subprocess.run(program, cwd=contributor, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    family, kind, *_ = command.split()
    assert done.stdout == f"{kind} keeps the contract of {family}\n"


def test_a_broken_promise_ends_with_the_file_and_the_promise(contributor):
    file = contributor / "broken/selectors/spaced.py"
    file.parent.mkdir(parents=True)
    file.write_text(FILES["my_plugins/selectors/spaced.py"].replace("completed(np.array(chosen), candidates, budget)",
                                                                    "np.array(chosen + chosen)[:budget]"))  # fmt: skip
    program = [sys.executable, SCRIPTS / "check_component.py", "selectors", "spaced", "--plugins", "broken"]
    done = subprocess.run(program, cwd=contributor, capture_output=True, text=True)
    assert done.returncode == 1
    assert "spaced" in done.stderr
    assert "contract" in done.stderr
