"""List and check the caches, or remove what is no longer used.

`list` shows scored videos and pseudo-labels. `check` also reads the journals of answers, the progress of trainings and
the results, and names every damaged file. `prune` removes scored videos that the configuration no longer uses, and
nothing else: models' replies are small, and take longest to make.

Examples:
  framesift cache list
  framesift cache check
  framesift cache prune --configfile config/config.yaml my.yaml --yes
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from framesift.config.load import read_config
from framesift.config.plan import Plan
from framesift.core.errors import InputError
from framesift.program.cli import add_configfile, log, parser, run
from framesift.program.progress import size_text
from framesift.scoring.cache import VideoCache
from framesift.scoring.encoders import Encoder
from framesift.storage.cached_values import read_cached
from framesift.storage.checksums import file_of, is_intact
from framesift.storage.journal import parse_line
from framesift.storage.tensors import read_tensors


def main() -> None:
    options = parser(__doc__)
    options.add_argument("what", choices=["list", "check", "prune"])
    options.add_argument("--cache", type=Path, default=Path("results/cache/scores"), metavar="DIR")
    options.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="the folder of results")
    add_configfile(options, "the configuration in use, for prune (default: config/config.yaml)")
    options.add_argument("--yes", action="store_true", help="remove files; without it, prune only lists them")
    args = options.parse_args()
    {"list": show, "check": check, "prune": prune}[args.what](args)


def folders(cache: Path) -> Iterator[tuple[Path, list[Path], int]]:
    """Each scorer's folder, its files and their bytes."""
    for folder in sorted(path for path in cache.glob("*-*") if path.is_dir()):
        files = sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("."))
        yield folder, files, sum(file.stat().st_size for file in files)


def show(args) -> None:
    from safetensors import safe_open

    for folder, files, size in folders(args.cache):
        scorer = {}
        if files:
            with safe_open(files[0], framework="numpy") as file:
                scorer = json.loads(file.metadata()["made_by"])["scorer"]
        settings = " ".join(f"{key}={value}" for key, value in scorer.items() if key != "kind" and value is not None)
        print(f"{folder.name}\t{len(files)} videos\t{size_text(size)}\t{settings}")
    for folder in sorted(path for path in args.results.glob("cache/pseudo_labels/*-*") if path.is_dir()):
        journals = sorted(folder.glob("*/*.jsonl"))
        videos, size = len({file.parent for file in journals}), sum(file.stat().st_size for file in journals)
        print(f"{folder.name}\t{videos} videos\t{size_text(size)}\tpseudo-labels")


def check(args) -> None:
    tensors = [file for _, files, _ in folders(args.cache) for file in files]
    tensors += sorted(args.results.glob("cache/training/*/progress.safetensors"))
    tensors += sorted(args.results.glob("embeddings/**/*.safetensors"))
    bad = [file for file in tensors if read_tensors(file) is None and file.exists()]  # a training may end meanwhile
    bad += [file for file in sorted(args.results.glob("cache/videos/*/*.json")) if read_cached(file) is None]
    for journal in sorted(args.results.glob("cache/*/**/*.jsonl")):
        if not all(map(parse_line, journal.read_bytes().split(b"\n")[:-1])):
            bad.append(journal)
    for file in bad:
        print(f"damaged: {file}")
    checked = map(file_of, sorted(args.results.rglob(".*.sha256")))
    results = [file for file in checked if file.is_file() and not is_intact(file)]
    for file in results:
        print(f"damaged, or changed: {file}")
    log.info("%d damaged files in the cache; a run computes again what it needs of them", len(bad))
    log.info("%d damaged results; remove them, and a run makes them again", len(results))
    sys.exit(1 if bad or results else 0)


def prune(args) -> None:
    plan = Plan(read_config(*(args.configfile or ["config/config.yaml"])))
    used, unknown = set(), set()
    for scorer in (*plan.scorers.values(), *plan.encoders.values()):
        if not isinstance(scorer, Encoder):
            continue
        try:
            encoders = {scorer, scorer.feature_encoder()}
        except InputError:  # not trained yet, or not here: the features that it needs are unknown
            unknown.add("patches")
            continue
        used |= {VideoCache(one, plan.candidates, plan.config.decoder, args.cache).folder for one in encoders}
    freed = 0
    for folder, files, size in folders(args.cache):
        if folder in used or folder.name.split("-")[0] in unknown:
            continue
        freed += size
        print(f"{'removed' if args.yes else 'would remove'} {folder} ({len(files)} videos, {size_text(size)})")
        if args.yes:
            shutil.rmtree(folder)
    log.info("%s %s", size_text(freed), "freed" if args.yes else "could be freed; add --yes to remove")


if __name__ == "__main__":
    run(main)
