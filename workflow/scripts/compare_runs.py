"""Compare two runs: rows that changed, and what changed them.

Examples:
  framesift compare-runs ../before/results results
  framesift compare-runs before.json results/manifests/demo.json
"""

import json
from pathlib import Path

from framesift.program.cli import parser, run
from framesift.provenance.compare import compare, print_comparison


def main() -> None:
    options = parser(__doc__)
    options.add_argument("first", type=Path, metavar="FIRST", help="a results folder, or a manifest")
    options.add_argument("second", type=Path, metavar="SECOND", help="the same of the other run")
    options.add_argument("--table", metavar="NAME", help="this table only (default: all that both have)")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()

    found = compare(args.first, args.second, args.table)
    if args.json:
        print(json.dumps([one.plain() for one in found], indent=1))
    else:
        for one in found:
            print_comparison(one)


if __name__ == "__main__":
    run(main)
