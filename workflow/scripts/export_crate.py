"""Export a finished table as an RO-Crate.

The crate holds tables, manifest and settings, and refers to data, models and code.

Example:
  framesift export-crate --table demo --out demo.zip
"""

from pathlib import Path

from framesift.program.cli import add_configfile, log, parser, run
from framesift.provenance.crate import LICENSE, export_crate


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--table", required=True, metavar="NAME", help="a finished table")
    options.add_argument("--out", required=True, type=Path, metavar="PATH", help="a new folder, or a file.zip")
    options.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="folder of the project (default: .)")
    add_configfile(options, "configuration files to put into the crate")
    options.add_argument("--license", default=LICENSE, metavar="SPDX", help="of the tables (default: %(default)s)")
    options.add_argument("--author", metavar="NAME", help="who made the run")
    args = options.parse_args()

    export_crate(args.table, args.root, args.out, args.configfile, args.license, args.author)
    log.info("%s: the table %s", args.out, args.table)


if __name__ == "__main__":
    run(main)
