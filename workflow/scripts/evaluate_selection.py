"""Ask a video LLM questions about their selected frames.

The model runs through lmms-eval. Each answer goes to the cache as soon as it is made. With --also, the loaded model
then answers what other selections still need; those answers go to the cache only, where the jobs of those selections
find them.

Example:
  framesift evaluate-selection --spec @spec.json --labels labels.json --videos videos.parquet \\
    --selection selection.json --cache cache/ --chunk 1 --chunks 4 --out answers-1-of-4.json
"""

import json
import os
from pathlib import Path
from typing import Any

from framesift.answering.answer_file import Answer, write_answers
from framesift.answering.answerers import LocalAnswerer
from framesift.answering.asker import Asker
from framesift.answering.evaluate import PromptSettings, evaluate, frame_requests, read_chunk
from framesift.answering.protocols import Presentation
from framesift.checkpoints.component import decoders_beside, pick_device
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.core.spec import spec_id
from framesift.core.versions import versions_of
from framesift.data.benchmarks import reader_of
from framesift.program.cli import add_compute_options, add_connection, add_inputs, log, parser, run
from framesift.selection.select_frames import read_selection
from framesift.storage.checksums import file_digest
from framesift.video.table import read_videos


def main() -> None:
    options = parser(__doc__, spec="answerer, dataset, protocol and prompt")
    add_inputs(options, "labels", "videos")
    options.add_argument("--selection", required=True, metavar="FILE.json", help="from select-frames")
    add_connection(options)
    options.add_argument("--subtitles", type=Path, metavar="DIR", help="folder of the subtitle files")
    options.add_argument("--chunk", type=int, default=1, help="number of the chunk, from 1")
    options.add_argument("--chunks", type=int, default=1, help="how many chunks there are")
    options.add_argument("--cache", required=True, metavar="DIR", help="stores each answer as soon as it is made")
    options.add_argument(
        "--also", type=json.loads, default=[], metavar="JSON", help="[[selection, spec], ...] of the same answerer"
    )
    options.add_argument("--out", required=True, metavar="FILE.json")
    add_compute_options(options)
    args = options.parse_args()
    os.environ.setdefault("TQDM_DISABLE", "1")  # a bar a question would fill the log; read when torch imports tqdm

    answerer = build("answerers", args.spec["answerer"] | args.connection)
    dataset = reader_of(args.spec["dataset"])
    records, questions = read_chunk(args.labels, args.chunk, args.chunks)
    videos = read_videos(args.videos)

    device = pick_device(args.device) if isinstance(answerer, LocalAnswerer) else "server"
    decoders = args.threads if device == "server" else decoders_beside(device, args.threads)
    job = spec_id([args.spec, file_digest(args.selection)])
    writer = f"{Path(args.selection).stem}-{job}-{args.chunk}of{args.chunks}"
    asker = Asker(answerer, Path(args.cache), writer, device, decoders)

    def ask(selection: str, spec: dict[str, Any]) -> dict[str, Answer]:
        requests, excluded = frame_requests(questions, read_selection(selection), videos, Presentation.of(spec))
        for question_id, error in excluded.items():
            log.warning("question %s is excluded: %s", question_id, error)
        settings = PromptSettings(spec.get("prompt"), spec.get("subtitles", "none"), args.subtitles)
        return evaluate(dataset, settings, records, questions, asker, requests, excluded)

    answers = ask(args.selection, args.spec)
    made_by = {
        "spec": args.spec,
        "made_with": versions_of("decoding", "answering", answerer, dataset),
        "weights": asker.identity["weights"],
        "lmms_eval": asker.identity["libraries"]["lmms-eval"],
        "versions": asker.identity["libraries"],
    }
    write_answers(args.out, answers, made_by)
    log.info(
        "%s: %d questions, %d excluded; %d answers made, the others known",
        args.out,
        len(answers),
        sum(answer.error is not None for answer in answers.values()),
        asker.timing.asked,
    )
    log.info("%s", asker.timing)
    if "loaded" in vars(asker):
        for selection, spec in args.also:
            if not _is_current(selection, args.labels, args.videos):
                continue
            log.info("also %s", selection)
            try:
                ask(selection, spec)
            except InputError as error:
                log.warning("%s is left to its own job: %s", selection, error)


def _is_current(selection: str, *sources: str) -> bool:
    """Whether a selection is there, and no older than what it was made from."""
    if not os.path.isfile(selection):
        return False
    return os.path.getmtime(selection) >= max(map(os.path.getmtime, sources))


if __name__ == "__main__":
    run(main)
