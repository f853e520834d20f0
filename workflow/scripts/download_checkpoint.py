"""Fetch a pinned checkpoint from the Hugging Face hub, verified.

A checkpoint in the cache of Hugging Face (HF_HOME) is used from there. An interrupted download resumes.

Example:
  framesift download-checkpoint --model openai/clip-vit-base-patch32 \\
    --revision 3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268
"""

from pathlib import Path

from framesift.checkpoints.component import check_source, is_folder
from framesift.checkpoints.fetch import Pinned, checkpoints_root, download_checkpoint
from framesift.core.errors import InputError
from framesift.program.cli import log, parser, run
from framesift.program.progress import silence_hub, size_text
from framesift.program.read_spec import read_spec
from framesift.storage.files import write_json


def pinned_of(model: str | None, revision: str | None) -> Pinned:
    try:
        check_source(model, revision)
    except ValueError as error:
        raise InputError(str(error), field="--revision", value=revision) from None
    if model is None or revision is None or is_folder(model):
        raise InputError("is not a repository of the hub", field="--model", value=model, expected="OWNER/NAME")
    return Pinned(model, revision)


def main() -> None:
    options = parser(__doc__)
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="OWNER/NAME", help="repository on the hub")
    what.add_argument("--spec", type=read_spec, metavar="JSON", help="model and revision; or @FILE")
    options.add_argument("--revision", metavar="COMMIT", help="the commit, 40 hexadecimal digits")
    options.add_argument("--folder", type=Path, default=checkpoints_root(), metavar="DIR",
                         help="where checkpoints go (default: FRAMESIFT_CHECKPOINTS, or data/checkpoints)")  # fmt: skip
    options.add_argument("--threads", type=int, default=4, help="downloads at a time (default: 4)")
    options.add_argument("--out", metavar="FILE.json", help="the manifest: every file with size and digest")
    args = options.parse_args()
    silence_hub()

    spec = args.spec or {"model": args.model, "revision": args.revision}
    pinned = pinned_of(spec.get("model"), spec.get("revision"))
    manifest = download_checkpoint(pinned, args.folder, args.threads)
    if args.out:
        write_json(args.out, manifest)
    size = sum(file["size"] for file in manifest["files"].values())
    log.info("%s: %d files, %s, in %s", pinned, len(manifest["files"]), size_text(size), manifest["folder"])


if __name__ == "__main__":
    run(main)
