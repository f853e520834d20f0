"""The command `framesift`: every program of workflow/scripts as a sub-command.

The programs stay single files that also run by their path. One is imported when its sub-command is called, and no
other.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import framesift
from framesift.core.errors import did_you_mean
from framesift.program.cli import run

#: The order in which `framesift --help` lists the sub-commands; one that is in no group comes last.
GROUPS = {
    "Data": "download-dataset download-checkpoint convert-labels export-labels index-videos assign-shards",
    "Scores and embeddings": "score-frames embed-frames merge-scores import-scores import-outscores export-scores",
    "Training": "label-frames train-selector",
    "Selection": "select-frames measure-selections import-selection export-selection",
    "Answers": "evaluate-selection import-run judge-answers export-submission",
    "Tables and papers": "make-table show-table make-figures make-report compare-published write-methods",
    "Runs": "plan-run why compare-runs make-manifest export-crate cache on-gpus",
    "Demo": "make-demo-labels make-demo-video",
    "Development": "check-component document-config",
}


def main() -> None:
    """Run the sub-command that the command line names."""
    name, *rest = sys.argv[1:] or ["--help"]
    programs = find_programs()
    if name in ("-h", "--help", "help"):
        print(overview(programs))
    elif name in ("-V", "--version"):
        print(f"framesift {framesift.__version__}")
    elif name in programs:
        sys.argv = [f"framesift {name}", *rest]
        run(lambda: load(programs[name])())
    else:
        hint = did_you_mean(name, programs) or "`framesift --help` lists them"
        print(f"error: {name!r} is not a command of framesift\n  hint: {hint}", file=sys.stderr)
        sys.exit(2)


def find_programs() -> dict[str, Path]:
    """The files of all programs by the names of their sub-commands.

    An installed Framesift has them in its folder ``commands``, a checkout beside the library.

    Examples
    --------
    >>> find_programs()["score-frames"].name
    'score_frames.py'
    """
    library = Path(framesift.__file__).resolve().parent
    installed = library / "commands"
    folder = installed if installed.is_dir() else library.parent
    return {file.stem.replace("_", "-"): file for file in sorted(folder.glob("*.py"))}


def overview(programs: dict[str, Path]) -> str:
    """The help of `framesift`: sub-commands by group, with the first line of each one's docstring."""
    lines = ["usage: framesift COMMAND [OPTIONS]", "", f"{framesift.__doc__}", ""]
    listed = {heading: names.split() for heading, names in GROUPS.items()}
    listed["Other"] = sorted(programs.keys() - {name for names in listed.values() for name in names})
    width = max(map(len, programs))
    for heading, names in listed.items():
        entries = [f"  {name:{width}}  {summary(programs[name])}" for name in names if name in programs]
        lines += [heading, *entries, ""] if entries else []
    return "\n".join([*lines, "`framesift COMMAND --help` has the options of a command and an example."])


def summary(program: Path) -> str:
    """The first line of a program's docstring."""
    return (ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def load(program: Path) -> Callable[[], Any]:
    """Import one program; its function `main`.

    Raises
    ------
    ModuleNotFoundError
        If it needs a package that is not installed.
    """
    name = f"framesift.commands.{program.stem}"
    spec = importlib.util.spec_from_file_location(name, program)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main
