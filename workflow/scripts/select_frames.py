"""Choose the frames of every question of a dataset with one selector at one budget."""

from framesift.cli import log, parser, run
from framesift.code import code_digest
from framesift.components import build
from framesift.embeddings import Embeddings
from framesift.questions import read_questions
from framesift.scores import read_scores
from framesift.selection import select_frames, write_selection
from framesift.videos import read_videos


def main() -> None:
    options = parser(__doc__, spec="selector, budget, seed, and what the scores come from")
    options.add_argument("--labels", required=True, metavar="FILE.json", help="from convert_labels.py")
    options.add_argument("--videos", required=True, metavar="FILE.parquet", help="from index_videos.py")
    options.add_argument("--scores", metavar="FILE.parquet", help="from merge_scores.py, for selectors that need them")
    options.add_argument(
        "--embeddings", nargs="+", metavar="FILE.safetensors", help="from embed_frames.py, for selectors that need them"
    )
    options.add_argument("--out", required=True, metavar="FILE.json")
    args = options.parse_args()

    selector = build("selectors", args.spec["selector"])
    selection = select_frames(
        read_questions(args.labels),
        read_videos(args.videos),
        read_scores(args.scores) if args.scores else None,
        Embeddings(args.embeddings) if args.embeddings else None,
        selector,
        args.spec["budget"],
        args.spec.get("seed", 0),
    )
    excluded = {question_id: choice.error for question_id, choice in selection.items() if choice.error}
    for question_id, error in excluded.items():
        log.warning("question %s is excluded: %s", question_id, error)
    write_selection(args.out, selection, {"spec": args.spec, "code": code_digest("select_frames.py", selector.module)})
    log.info("%s: %d questions, %d excluded", args.out, len(selection), len(excluded))


if __name__ == "__main__":
    run(main)
