"""What a configuration says never reaches a shell as anything but an argument."""

import re

import pytest

import tiny
from project import ROOT, Project

RULES = sorted((ROOT / "rules").glob("*.smk"))
#: Numbers, whatever the configuration says: pydantic and Snakemake see to it.
NUMBERS = {"threads", "resources.batch", "resources.keep_archives", "resources.max_excluded"}
NASTY = """a b; touch pwned $(touch pwned2) 'x" `touch pwned3` & * | ~ #\\ -rf"""


def shell_commands(text):
    """The commands of a file of rules, as they are written."""
    return re.findall(r"^    shell:\n((?:        .*\n)+)", text, flags=re.MULTILINE)


def unquoted(command):
    """What a command takes without quoting it for the shell."""
    places = re.findall(r"(?<!\{)\{([^{}]+)\}", command)
    return [place for place in places if not place.endswith(":q") and place not in NUMBERS]


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_every_value_in_a_shell_command_is_quoted(file):
    text = file.read_text()
    commands = shell_commands(text)
    assert len(commands) == text.count("    shell:")
    assert [place for command in commands for place in unquoted(command)] == []


def test_an_unquoted_value_would_be_found():
    [command] = shell_commands('rule x:\n    shell:\n        "run {params.spec} {output:q} {threads}"\n')
    assert unquoted(command) == ["params.spec"]


def test_no_program_calls_a_shell():
    calls = re.compile(r"shell=True|os\.system|os\.popen|subprocess\.getoutput|\beval\(|\bexec\(")
    sources = sorted((ROOT / "workflow" / "scripts").rglob("*.py"))
    lines = [(file.name, line.replace(".eval()", "")) for file in sources for line in file.read_text().splitlines()]
    found = [(name, line.strip()) for name, line in lines if calls.search(line)]
    assert found == []


def test_a_folder_with_the_name_of_a_command_is_a_folder(tmp_path):
    project = Project(tmp_path / "project", tiny.config(NASTY, selectors=["uniform"], scorers=[]))
    tiny.make_dataset(project.folder / NASTY)
    project.run("results/measures/tiny.csv")
    assert (project.folder / "results" / "measures" / "tiny.csv").is_file()
    assert not list(tmp_path.rglob("pwned*"))
