"""Explain a result: what it was made from, and why it would rerun.

Examples:
  framesift why results/tables/demo.csv
  framesift why results/tables/mine.csv --configfile mine.yaml
"""

import json
import os
from pathlib import Path

from framesift.program.cli import add_configfile, parser, run
from framesift.provenance.explain import explain, words
from framesift.storage.resources import project_of


def main() -> None:
    options = parser(__doc__)
    options.add_argument("file", metavar="results/...", help="any file that the workflow made")
    add_configfile(options, "the configuration files that the run was started with")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()

    path = Path(os.path.abspath(args.file))
    root = project_of(path)
    found = explain(path.relative_to(root).as_posix(), root, args.configfile)
    print(json.dumps(found.plain(), indent=1) if args.json else "\n".join(words(found)))


if __name__ == "__main__":
    run(main)
