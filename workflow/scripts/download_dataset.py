"""Fetch the missing labels and videos of a dataset, verified.

Only the videos of the chosen questions are fetched. An interrupted download resumes.

Examples:
  framesift download-dataset --dataset videomme --data-dir data/videomme --limit 30
  framesift download-dataset --dataset videomme --data-dir data/videomme --groups duration=short
"""

import argparse
from pathlib import Path

from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data.download import download_dataset
from framesift.program.cli import log, parser, run
from framesift.program.progress import silence_hub, size_text
from framesift.program.read_spec import read_spec
from framesift.storage.files import write_json


def grouping(text: str) -> tuple[str, list[str]]:
    name, equals, groups = text.partition("=")
    if not equals or not groups:
        raise InputError("is not a choice of groups", field="--groups", value=text, expected="GROUPING=GROUP[,GROUP]")
    return name, groups.split(",")


def main() -> None:
    options = parser(__doc__)
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset", metavar="KIND", help="kind of dataset, e.g. videomme, with its defaults")
    what.add_argument("--spec", type=read_spec, metavar="JSON", help="a dataset as in the configuration; or @FILE")
    options.add_argument("--data-dir", metavar="DIR", help="folder of the dataset (default: data/KIND)")
    options.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    options.add_argument("--groups", metavar="GROUPING=GROUP", help="only questions of these groups (commas)")
    options.add_argument("--subtitles", metavar="DIR", help="fetch subtitles too, to this folder within the dataset's")
    options.add_argument("--keep-archives", type=int, metavar="0|1", help="1: keep archives after taking files out")
    options.add_argument("--threads", type=int, default=8, help="downloads at a time (default: 8)")
    options.add_argument("--cache", type=Path, metavar="DIR", help="stores checksums of files that were there already")
    options.add_argument("--attempt", type=int, default=0, metavar="N", help=argparse.SUPPRESS)
    options.add_argument("--out", metavar="FILE.json", help="the manifest: every file with size and SHA-256")
    args = options.parse_args()
    silence_hub()

    spec = args.spec or {"kind": args.dataset}
    given = {
        "data_dir": args.data_dir,
        "limit": args.limit,
        "groups": dict([grouping(args.groups)]) if args.groups else None,
        "subtitles": args.subtitles,
        "keep_archives": args.keep_archives,
    }
    dataset = build("datasets", spec | {key: value for key, value in given.items() if value is not None})
    manifest = download_dataset(dataset, args.cache, args.threads, args.attempt)
    if args.out:
        write_json(args.out, manifest)
    size = sum(file["size"] for file in manifest["files"].values())
    log.info(
        "%s: %d questions, %d of %d videos, %s",
        *(dataset.data_dir, manifest["questions"], manifest["videos"] - len(manifest["missing"])),
        *(manifest["videos"], size_text(size)),
    )


if __name__ == "__main__":
    run(main)
