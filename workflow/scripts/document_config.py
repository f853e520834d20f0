"""Write the configuration's JSON schema and key tables.

With --check nothing is written; the exit status is 1 if one of them is out of date. With --schema only a schema is
written, for an editor: it includes the plug-ins that are installed here or are in a folder of --plugins.

Example:
  framesift document-config --config-dir config --check
"""

import sys
from pathlib import Path

from framesift.config.document import schema, with_key_tables
from framesift.program.cli import log, parser, run
from framesift.storage.files import write_text


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--config-dir", default="config", type=Path)
    options.add_argument("--check", action="store_true")
    options.add_argument("--schema", metavar="FILE.json", help="write the schema with all plug-ins to this file")
    args = options.parse_args()

    if args.schema:
        write_text(args.schema, schema(plugins=True))
        log.info("%s: written", args.schema)
        return
    manual = args.config_dir / "README.md"
    wanted = {args.config_dir / "schema.json": schema(), manual: with_key_tables(manual.read_text())}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if args.check and stale:
        sys.exit(f"not up to date: {', '.join(map(str, stale))}; run `make docs`")
    for path in stale:
        write_text(path, wanted[path])
        log.info("%s: written", path)


if __name__ == "__main__":
    run(main)
