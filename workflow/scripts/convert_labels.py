"""Convert a benchmark's labels to normalised questions (JSON).

Every original field is kept; export-labels writes the original form again.

Example:
  framesift convert-labels --dataset videomme --labels test.parquet --out labels.json
"""

from framesift.data.benchmarks import reader_of
from framesift.data.labels import convert
from framesift.program.cli import log, parser, run
from framesift.program.read_spec import read_spec
from framesift.storage.files import write_json


def main() -> None:
    options = parser(__doc__)
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset", metavar="KIND", help="kind of dataset, e.g. videomme, with its defaults")
    what.add_argument("--spec", type=read_spec, metavar="JSON", help="kind and choice of questions; or @FILE")
    options.add_argument("--labels", required=True, metavar="FILE", help="the original labels")
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    records = convert(reader_of(args.spec or {"kind": args.dataset}), args.labels)
    write_json(args.out, records, checked=True)
    log.info("%s: %d questions", args.out, len(records))


if __name__ == "__main__":
    run(main)
