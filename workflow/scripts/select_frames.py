"""Select the frames of every question with one method and budget.

The workflow describes the selector by --spec. By hand, name a method; scores are a table of merge-scores, or lists in
the layout of AKS.

Examples:
  framesift select-frames --list-methods
  framesift select-frames --scores scores.json --frames frames.json --method aks --set s_thr=0.6 \\
    --budget 64 --out selected_frames.json
  framesift select-frames --labels LABELS.json --videos VIDEOS.parquet --scores SCORES.parquet \\
    --method topk --budget 32 --out selection.json
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from framesift.core.code_digest import code_digest
from framesift.core.components import build, implementation
from framesift.core.errors import InputError
from framesift.data.evidence import evidence_in_seconds
from framesift.data.questions import read_questions
from framesift.interop.aks_lists import select_lists
from framesift.program.cli import log, parser, run
from framesift.program.read_spec import read_settings, read_spec
from framesift.scoring.embedding_table import Embeddings
from framesift.scoring.score_table import read_scores
from framesift.selection.select_frames import select_frames, write_selection
from framesift.selection.selectors import Selector, methods
from framesift.storage.checksums import file_digest
from framesift.storage.files import write_text
from framesift.video.table import read_videos


def main() -> None:
    args = _options().parse_args()
    if args.list_methods:
        print("\n\n".join(_described(kind) for kind in methods()))
        return
    spec = args.spec or _spec_by_hand(args)
    selector = build("selectors", spec["selector"])
    if args.frames:
        chosen = select_lists(args.scores, args.frames, selector, spec["budget"], spec["seed"])
        write_text(args.out, json.dumps(chosen))
        log.info("%s: %d questions, %d to %d frames", args.out, len(chosen), *_extent(map(len, chosen)))
        return
    if not (args.labels and args.videos):
        raise InputError("are needed", field="--labels and --videos", hint="or --frames, for lists as AKS has them")
    questions, videos = read_questions(args.labels), read_videos(args.videos)
    selection = select_frames(
        questions,
        videos,
        read_scores(args.scores) if args.scores else None,
        Embeddings(args.embeddings) if args.embeddings else None,
        selector,
        spec["budget"],
        spec.get("seed", 0),
        evidence_in_seconds(questions, videos, args.evidence) if selector.needs_evidence else None,
    )
    excluded = {question_id: choice.error for question_id, choice in selection.items() if choice.error}
    for question_id, error in excluded.items():
        log.warning("question %s is excluded: %s", question_id, error)
    made_by = {"spec": spec, "code": code_digest("select_frames.py", selector.module)}
    if selector.needs_evidence and args.evidence:
        made_by["evidence"] = file_digest(args.evidence)
    write_selection(args.out, selection, made_by)
    log.info("%s: %d questions, %d excluded", args.out, len(selection), len(excluded))


def _options() -> ArgumentParser:
    options = parser(__doc__)
    options.add_argument("--spec", type=read_spec, metavar="JSON", help="selector, budget, seed, ...; or @FILE")
    options.add_argument("--method", metavar="KIND", help="without --spec: the kind of selector")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the method")
    options.add_argument("--budget", type=int, help="number of frames (with --method)")
    options.add_argument("--seed", type=int, default=0, help="for methods that draw random numbers (with --method)")
    options.add_argument("--labels", metavar="FILE.json", help="from convert-labels")
    options.add_argument("--videos", metavar="FILE.parquet", help="from index-videos")
    options.add_argument("--scores", metavar="FILE", help="from merge-scores; with --frames, scores.json of AKS")
    options.add_argument("--frames", metavar="FILE.json", help="frames.json of AKS: lists in, lists out")
    options.add_argument(
        "--embeddings", nargs="+", metavar="FILE.safetensors", help="from embed-frames, for selectors that need them"
    )
    options.add_argument("--evidence", metavar="FILE", help="annotated evidence, for selectors that need it")
    options.add_argument("--list-methods", action="store_true", help="every method with its parameters and source")
    options.add_argument("--out", metavar="FILE.json", required="--list-methods" not in sys.argv)
    return options


def _spec_by_hand(args: Namespace) -> dict[str, Any]:
    if not args.method or not args.budget or args.budget < 1:
        raise InputError("are needed", field="--method and --budget", hint="see --list-methods")
    selector = {"kind": args.method, **read_settings(args.set)}
    return {"selector": selector, "budget": args.budget, "seed": args.seed}


def _described(kind: str) -> str:
    cls = implementation("selectors", kind)
    assert issubclass(cls, Selector)
    needs = [what for what in ("scores", "embeddings", "query", "evidence") if getattr(cls, f"needs_{what}")]
    lines = [
        f"{kind}    needs {', '.join(needs) or 'nothing but times'}{'; draws random numbers' if cls.random else ''}",
        f"    {(cls.__doc__ or '').strip().splitlines()[0]}",
    ]
    if cls.source:
        lines.append(f"    source: {cls.source}")
    for name, field in cls.model_fields.items():
        if name not in ("kind", "label"):
            lines.append(f"    {name} = {json.dumps(field.default)}: {field.description}")
    return "\n".join(lines)


def _extent(numbers) -> tuple[int, int]:
    known = list(numbers)
    return min(known, default=0), max(known, default=0)


if __name__ == "__main__":
    run(main)
