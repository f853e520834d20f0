"""Explain a file of results: what it was made from, and what would make it again.

By hand:
  python workflow/scripts/why.py results/tables/demo.csv
  python workflow/scripts/why.py results/tables/mine.csv --configfile mine.yaml
"""

import json
import os
from pathlib import Path

from framesift.core.errors import InputError
from framesift.program.cli import parser, run
from framesift.provenance.explain import explain, words


def main() -> None:
    options = parser(__doc__)
    options.add_argument("file", metavar="results/...", help="any file that the workflow made")
    options.add_argument(
        "--configfile", nargs="+", default=[], type=Path, metavar="FILE", help="those that the run was started with"
    )
    options.add_argument("--json", action="store_true", help="the same for programs")
    args = options.parse_args()

    for config in args.configfile:
        if not config.is_file():
            raise InputError("there is no such file", file=config, field="--configfile")
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
