"""Compare a table with the numbers that papers have published.

Each published number stands beside ours, with whether the two are comparable and, if not, why.

Example:
  framesift compare-published --spec @setup.json --table results/tables/videomme.csv --out published.csv
"""

from framesift.papers.published import COMPARISON_COLUMNS, comparison_rows, ours, read_published
from framesift.program.cli import log, parser, run
from framesift.storage.files import read_csv
from framesift.tables.columns import write_csv

NAMES = ("answerer", "method", "scorer", "budget")
COLUMNS = (*NAMES, "group", "metric", "ours", "ours_low", "ours_high", *COMPARISON_COLUMNS)


def main() -> None:
    options = parser(__doc__, spec="dataset, protocol, subtitles, metric, and the specs behind each row")
    options.add_argument("--table", required=True, metavar="FILE.csv", help="from make-table")
    options.add_argument("--groups", metavar="FILE.csv", help="its groups")
    options.add_argument(
        "--published", nargs="+", default=[], metavar="FILE.csv", help="more published numbers than those of Framesift"
    )
    options.add_argument("--references", nargs="+", default=[], metavar="FILE.bib", help="papers that they are from")
    options.add_argument("--out", required=True, metavar="FILE.csv")
    args = options.parse_args()

    made_from = {tuple(row["names"]): row["specs"] for row in args.spec["rows"]}
    common = {name: args.spec[name] for name in ("dataset", "protocol", "subtitles", "metric")}
    rows = []
    for file in filter(None, (args.table, args.groups)):
        for row in read_csv(file):
            specs = made_from.get(tuple(row[name] for name in NAMES))
            if specs and not (row.get("grouping") and common["metric"] == "m_avg"):
                rows.append((row, ours(row, **specs, **common)))
    comparisons = comparison_rows(rows, read_published(more=args.published, references=args.references))
    write_csv(args.out, COLUMNS, comparisons)
    comparable = sum(bool(row["comparable"]) for row in comparisons)
    log.info("%s: %d published numbers beside ours, %d of them comparable", args.out, len(comparisons), comparable)


if __name__ == "__main__":
    run(main)
