"""Print a finished table in the terminal.

Example:
  framesift show-table results/tables/demo.csv
"""

from framesift.program.cli import parser, run


def main() -> None:
    options = parser(__doc__)
    options.add_argument("table", metavar="FILE.csv", help="from make-table")
    args = options.parse_args()

    from framesift.tables.terminal import print_table

    print_table(args.table)


if __name__ == "__main__":
    run(main)
