"""Forecast a run: its jobs, and GPU-hours, CPU-hours and disk.

It shows the jobs of each rule, why they would run, and what is cached already; nothing runs. Costs are those of earlier
jobs; without a measurement there is no number.

Examples:
  framesift plan-run results/tables/videomme.csv
  framesift plan-run results/tables/mine.csv --configfile mine.yaml
"""

import json
import os
from pathlib import Path

from framesift.core.errors import InputError
from framesift.forecast.forecast import forecast
from framesift.program.cli import add_configfile, parser, run
from framesift.provenance.snakemake_dag import NoRule, NotAsked
from framesift.storage.resources import project_of


def main() -> None:
    options = parser(__doc__)
    options.add_argument("targets", nargs="+", metavar="results/...", help="files that the workflow makes")
    add_configfile(options, "the configuration files that the run will be started with")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()

    configfiles = [config.absolute() for config in args.configfile]
    root = project_of(Path.cwd())
    targets = [os.path.relpath(os.path.abspath(target), root) for target in args.targets]
    os.chdir(root)
    try:
        found = forecast(targets, root, configfiles)
    except NoRule:
        raise InputError("no rule makes such a file", file=", ".join(targets)) from None
    except NotAsked:
        hint = "if it belongs to a configuration of your own, give that with --configfile"
        raise InputError("nothing that is configured asks for it", file=", ".join(targets), hint=hint) from None
    if args.json:
        print(json.dumps(found.plain(), indent=1))
        return
    from framesift.forecast.terminal import render
    from framesift.tables.terminal import make_console

    make_console().print(render(found))


if __name__ == "__main__":
    run(main)
