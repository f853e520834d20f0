"""Make the report of a table: one HTML page that opens offline.

The page has a gallery of every question. If details and thumbnails take more than --embed bytes, they are stored in the
folder FILE_files beside the page; keep the two together. docs/report.md explains the page.

Example:
  framesift make-report --spec @spec.json --labels labels.json --videos videos.parquet \\
    --judged judged.json --table table.csv --groups groups.csv --out report.html
"""

import os
from dataclasses import replace
from pathlib import Path

from framesift.program.cli import log, parser, run
from framesift.report.inputs import SPEC, add_options, read_inputs
from framesift.report.page import EMBEDDED, MOST_THUMBNAILS, write_page
from framesift.storage.files import read_csv


def main() -> None:
    options = parser(__doc__, spec=SPEC)
    add_options(options)
    options.add_argument("--published", metavar="FILE.csv", help="from compare-published")
    options.add_argument("--cache", metavar="FOLDER", help="folder of thumbnails; without it the page has none")
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that make thumbnails")
    options.add_argument("--embed", type=int, default=EMBEDDED, metavar="BYTES", help="most to embed (%(default)s)")
    options.add_argument(
        "--shown",
        type=int,
        default=MOST_THUMBNAILS,
        metavar="N",
        help="most thumbnails per selection of a question (%(default)s)",
    )
    options.add_argument("--out", required=True, metavar="FILE.html")
    args = options.parse_args()

    inputs = read_inputs(args)
    if args.published:
        inputs = replace(inputs, published=read_csv(args.published))
    cache = Path(args.cache) if args.cache else None
    folder = write_page(inputs, Path(args.out), cache, args.workers, args.embed, max(1, args.shown))
    log.info("%s: %d questions, %d files in %s", args.out, len(inputs.questions), len(list(folder.iterdir())), folder)


if __name__ == "__main__":
    run(main)
