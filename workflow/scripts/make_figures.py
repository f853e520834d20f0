"""Draw the figures of a table as SVG and PNG.

docs/report.md lists them. A figure that the table has no numbers for (one budget, no timings) is not made. The same
table gives the same files.

Example:
  framesift make-figures --spec @spec.json --labels labels.json --judged judged.json \\
    --table table.csv --groups groups.csv --out figures/
"""

from pathlib import Path

from framesift.program.cli import log, parser, run
from framesift.report.figures import write_figures
from framesift.report.inputs import SPEC, add_options, read_inputs


def main() -> None:
    options = parser(__doc__, spec=SPEC)
    add_options(options)
    options.add_argument(
        "--question", action="append", default=[], metavar="ID", help="draw the score curve of this question as well"
    )
    options.add_argument("--out", required=True, metavar="FOLDER")
    args = options.parse_args()

    files = write_figures(read_inputs(args), Path(args.out), args.question)
    log.info("%s: %d files", args.out, len(files))


if __name__ == "__main__":
    run(main)
