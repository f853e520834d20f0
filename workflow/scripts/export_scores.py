"""Write scores as AKS's scores.json and frames.json.

ids.json beside them has the question of each entry.

Example:
  framesift export-scores --scores results/scores/videomme/clip-ID.parquet \\
    --labels results/labels/videomme.json --out-dir outscores/videomme/clip
"""

import json
from pathlib import Path

from framesift.data.questions import read_questions
from framesift.interop.aks_scores import to_lists
from framesift.program.cli import add_inputs, log, parser, run
from framesift.scoring.score_table import read_scores
from framesift.storage.files import write_text


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--scores", required=True, metavar="FILE.parquet", help="from merge-scores")
    add_inputs(options, "labels")
    options.add_argument("--out-dir", required=True, type=Path, metavar="DIR")
    args = options.parse_args()

    questions = read_questions(args.labels)
    scores, frames = to_lists(read_scores(args.scores), questions)
    ids = [question.question_id for question in questions]
    for name, content in (("scores", scores), ("frames", frames), ("ids", ids)):
        write_text(args.out_dir / f"{name}.json", json.dumps(content))
    empty = sum(not item for item in scores)
    log.info("%s: %d questions, %d of them without scores", args.out_dir, len(ids), empty)


if __name__ == "__main__":
    run(main)
