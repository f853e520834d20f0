"""Ask a video LLM the questions of one chunk, each with its selected frames, through lmms-eval.

By hand:
  python workflow/scripts/evaluate_selection.py --spec @spec.json --labels labels.json --videos videos.parquet
    --selection selection.json --cache cache/ --chunk 1 --chunks 4 --out answers-1-of-4.json
"""

import os
from pathlib import Path

from framesift.answering import Asker
from framesift.answers import write_answers
from framesift.cli import add_compute_options, log, parser, run
from framesift.code import code_digest
from framesift.components import build
from framesift.datasets import reader_of
from framesift.evaluation import evaluate, read_chunk, wanted_frames
from framesift.files import file_digest
from framesift.models import pick_device
from framesift.selection import read_selection
from framesift.videos import read_videos


def main() -> None:
    options = parser(__doc__, spec="answerer, kind of dataset, and what the selection comes from")
    options.add_argument("--labels", required=True, metavar="FILE.json", help="from convert_labels.py")
    options.add_argument("--videos", required=True, metavar="FILE.parquet", help="from index_videos.py")
    options.add_argument("--selection", required=True, metavar="FILE.json", help="from select_frames.py")
    options.add_argument("--chunk", type=int, default=1, help="number of the chunk, from 1")
    options.add_argument("--chunks", type=int, default=1, help="how many chunks there are")
    options.add_argument("--cache", required=True, metavar="DIR", help="keeps each answer as soon as it is there")
    options.add_argument("--out", required=True, metavar="FILE.json")
    add_compute_options(options)
    args = options.parse_args()
    os.environ.setdefault("TQDM_DISABLE", "1")  # a bar a question would fill the log; read when torch imports tqdm

    answerer = build("answerers", args.spec["answerer"])
    dataset = reader_of(args.spec["dataset"])
    records, questions = read_chunk(args.labels, args.chunk, args.chunks)
    selection = read_selection(args.selection)
    wanted, excluded = wanted_frames(questions, selection, read_videos(args.videos))
    for question_id, error in excluded.items():
        log.warning("question %s is excluded: %s", question_id, error)

    import torch

    torch.set_num_threads(args.threads)
    writer = f"{Path(args.selection).stem}-{file_digest(args.selection)[:8]}-{args.chunk}of{args.chunks}"
    asker = Asker(answerer, wanted, Path(args.cache), writer, pick_device(args.device))
    answers = evaluate(dataset, records, questions, asker, excluded)
    made_by = {
        "spec": args.spec,
        "code": code_digest("evaluate_selection.py", answerer.module, dataset.module),
        "weights": asker.identity["weights"],
        "lmms_eval": asker.identity["versions"]["lmms-eval"],
        "versions": asker.identity["versions"],
    }
    write_answers(args.out, answers, made_by)
    log.info(
        "%s: %d questions, %d correct, %d without a letter, %d excluded; %d answers made, the others known",
        args.out,
        len(answers),
        sum(answer.correct for answer in answers.values()),
        sum(answer.parsed is None and answer.error is None for answer in answers.values()),
        sum(answer.error is not None for answer in answers.values()),
        asker.made,
    )


if __name__ == "__main__":
    run(main)
