"""Print a table of make_table.py in the terminal.

By hand:
  python workflow/scripts/show_table.py results/tables/demo.csv
"""

from framesift.program.cli import parser, run


def main() -> None:
    options = parser(__doc__)
    options.add_argument("table", metavar="FILE.csv", help="from make_table.py")
    args = options.parse_args()

    from framesift.tables.terminal import print_table

    print_table(args.table)


if __name__ == "__main__":
    run(main)
