"""Write a benchmark's own label file again from a converted one, e.g. for other tools that read it.

By hand:
  python workflow/scripts/export_labels.py --labels results/labels/videomme.json --out videomme.json
"""

import json

from framesift.data.labels import originals
from framesift.program.cli import log, parser, run
from framesift.storage.files import read_json, write_text


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--labels", required=True, metavar="FILE.json", help="from convert_labels.py")
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    records = originals(read_json(args.labels))
    write_text(args.out, json.dumps(records))
    log.info("%s: %d records", args.out, len(records))


if __name__ == "__main__":
    run(main)
