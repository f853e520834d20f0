"""Write a benchmark's own label file again from converted labels.

Example:
  framesift export-labels --labels results/labels/videomme.json --out videomme.json
"""

import json

from framesift.data.labels import originals
from framesift.program.cli import add_inputs, log, parser, run
from framesift.storage.files import read_json, write_text


def main() -> None:
    options = parser(__doc__)
    add_inputs(options, "labels")
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    records = originals(read_json(args.labels))
    write_text(args.out, json.dumps(records))
    log.info("%s: %d records", args.out, len(records))


if __name__ == "__main__":
    run(main)
