"""Export a finished table as an RO-Crate: tables, manifest and settings, with references to data, models and code.

By hand:
  python workflow/scripts/export_crate.py --table demo --out demo.zip
"""

from pathlib import Path

from framesift.core.errors import InputError
from framesift.program.cli import log, parser, run
from framesift.provenance.crate import LICENSE, export_crate


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--table", required=True, metavar="NAME", help="a finished table")
    options.add_argument("--out", required=True, type=Path, metavar="PATH", help="a new folder, or a file.zip")
    options.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="folder of the project (default: .)")
    options.add_argument(
        "--configfile", nargs="+", default=[], type=Path, metavar="FILE", help="configuration files to put in, too"
    )
    options.add_argument("--license", default=LICENSE, metavar="SPDX", help="of the tables (default: %(default)s)")
    options.add_argument("--author", metavar="NAME", help="who made the run")
    args = options.parse_args()

    for config in args.configfile:
        if not config.is_file():
            raise InputError("there is no such file", file=config, field="--configfile")
    export_crate(args.table, args.root, args.out, args.configfile, args.license, args.author)
    log.info("%s: the table %s", args.out, args.table)


if __name__ == "__main__":
    run(main)
