"""Write a selection in the layout of AKS, WFS-SB or KFS-Bench.

Example:
  framesift export-selection --format aks --selection results/selections/ID.json \\
    --labels results/labels/videomme.json --out selected_frames.json
"""

from framesift.data.labels import originals
from framesift.data.questions import read_questions
from framesift.interop.selections import FORMATS, as_text, to_aks, to_kfs_bench, to_wfs_sb
from framesift.program.cli import add_inputs, log, parser, run
from framesift.selection.select_frames import read_selection
from framesift.storage.files import read_json, write_text


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--format", required=True, choices=FORMATS)
    options.add_argument("--selection", required=True, metavar="FILE.json", help="from select-frames")
    add_inputs(options, "labels")
    options.add_argument(
        "--floats", action="store_true", help="aks: write 30.0 for 30, as its files of VideoMME have it"
    )
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    questions, selection = read_questions(args.labels), read_selection(args.selection)
    content: list
    if args.format == "aks":
        content = to_aks(selection, questions, args.floats)
    elif args.format == "wfs_sb":
        content = to_wfs_sb(selection, questions, originals(read_json(args.labels)))
    else:
        content = to_kfs_bench(selection, questions)
    write_text(args.out, as_text(args.format, content))
    empty = sum(not (choice.frames or choice.times) for choice in selection.values())
    log.info("%s: %d questions, %d of the selection without frames", args.out, len(content), empty)


if __name__ == "__main__":
    run(main)
