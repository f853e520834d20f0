"""Import a released selection (AKS, WFS-SB, KFS-Bench).

AKS's lists have no ids: --original must be the very label file that they were made from, whole. With --videos, the
table from index-videos, frame rates are exact; without it they are inferred, and the notes say so.

Example:
  framesift import-selection --format aks --dataset longvideobench --original lvb_val.json \\
    --selection selected_frames.json --out selection.json
"""

from framesift.data.benchmarks import reader_of
from framesift.data.labels import convert
from framesift.data.questions import NORMALISED, Question, read_questions
from framesift.interop.selections import (
    FORMATS,
    count_notes,
    from_aks,
    from_kfs_bench,
    from_wfs_sb,
    selection_of_frames,
    selection_of_times,
)
from framesift.program.cli import log, parser, run
from framesift.selection.select_frames import write_selection
from framesift.storage.checksums import file_digest
from framesift.video.table import read_videos


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--format", required=True, choices=FORMATS)
    options.add_argument("--dataset", required=True, metavar="KIND", help="kind of dataset, e.g. longvideobench")
    options.add_argument("--original", required=True, metavar="FILE", help="the label file the selection was made from")
    options.add_argument("--selection", required=True, metavar="FILE.json", help="plain or .json.gz")
    options.add_argument("--videos", metavar="FILE.parquet", help="from index-videos: frame rates and lengths")
    options.add_argument("--labels", metavar="FILE.json", help="from convert-labels: keep only its questions")
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    dataset = reader_of({"kind": args.dataset})
    questions = [Question(**record[NORMALISED]) for record in convert(dataset, args.original)]
    videos = read_videos(args.videos) if args.videos else None
    kept = {question.question_id for question in read_questions(args.labels)} if args.labels else None
    if videos is not None and kept is not None:  # the table has the videos of the kept questions only
        wanted = [question for question in questions if question.question_id in kept]
    else:
        wanted = questions
    source = f"imported from the layout {args.format}"
    if args.format == "kfs_bench":
        selection = selection_of_times(from_kfs_bench(args.selection, questions), wanted, videos, source)
    else:
        frames = (
            from_aks(args.selection, questions)
            if args.format == "aks"
            else from_wfs_sb(args.selection, questions, dataset)
        )
        selection = selection_of_frames(frames, wanted, videos, source, args.format == "wfs_sb")
    if kept is not None:
        selection = {question_id: choice for question_id, choice in selection.items() if question_id in kept}
    sources = {name: file_digest(getattr(args, name)) for name in ("original", "selection")}
    write_selection(args.out, selection, {source: sources})
    counts = count_notes(selection)
    log.info(
        "%s: %d questions, %d excluded, %d with an inferred frame rate, %d with frames outside of the candidates",
        args.out,
        len(selection),
        counts["excluded"],
        counts["inferred"],
        counts["no candidates"],
    )


if __name__ == "__main__":
    run(main)
