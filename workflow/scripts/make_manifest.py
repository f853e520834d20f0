"""Write the manifest of a table: what each row was made from.

It goes back to labels, videos, models and code.

Example:
  framesift make-manifest --spec @spec.json --out manifest.json
"""

from pathlib import Path

from framesift.program.cli import log, parser, run
from framesift.provenance.manifest import make_manifest, write_manifest


def main() -> None:
    options = parser(__doc__, spec="the spec of the table")
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    manifest = make_manifest(args.spec["table"], Path(), args.spec)
    write_manifest(args.out, manifest)
    log.info("%s: %d rows from %d files", args.out, len(manifest["rows"]), len(manifest["files"]))


if __name__ == "__main__":
    run(main)
