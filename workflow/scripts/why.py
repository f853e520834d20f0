"""Explain a result: what it was made from, and why it would rerun.

Examples:
  framesift why results/tables/demo.csv
  framesift why results/tables/mine.csv --configfile mine.yaml
"""

import json
import os
from pathlib import Path

from framesift.core.errors import InputError
from framesift.program.cli import add_configfile, parser, run
from framesift.provenance.explain import explain, words


def main() -> None:
    options = parser(__doc__)
    options.add_argument("file", metavar="results/...", help="any file that the workflow made")
    add_configfile(options, "the configuration files that the run was started with")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()

    root, path = _in_project(args.file)
    found = explain(path, root, args.configfile)
    print(json.dumps(found.plain(), indent=1) if args.json else "\n".join(words(found)))


def _in_project(file: str) -> tuple[Path, str]:
    """The folder of the project that a file belongs to, and the file's path in it."""
    path = Path(os.path.abspath(file))
    for folder in path.parents:
        if (folder / "Snakefile").is_file():
            return folder, path.relative_to(folder).as_posix()
    raise InputError("lies in no project", file=file, expected="a file under a folder with a Snakefile")


if __name__ == "__main__":
    run(main)
