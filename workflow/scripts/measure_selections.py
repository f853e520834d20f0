"""Measure selections without asking a language model.

docs/tables.md explains every column.

Example:
  framesift measure-selections --spec @spec.json --labels labels.json --videos videos.parquet --out measures.csv
"""

from framesift.data.evidence import evidence_in_seconds
from framesift.data.questions import read_questions
from framesift.measures.measure import COLUMNS, MeasureInputs, annotated_scenes, measure, overlaps
from framesift.program.cli import add_inputs, log, parser, run
from framesift.scoring.embedding_table import Embeddings
from framesift.selection.select_frames import read_selection
from framesift.tables import columns
from framesift.tables.accuracy import groups_of
from framesift.video.table import read_videos


def main() -> None:
    options = parser(__doc__, spec="baseline, and method, scorer, budget and file of each selection")
    add_inputs(options, "labels", "videos")
    options.add_argument("--evidence", metavar="FILE", help="evidence: ours as JSON, or the CSV of KFS-Bench")
    options.add_argument("--embeddings", nargs="+", metavar="FILE.safetensors", help="for redundancy")
    options.add_argument("--out", required=True, metavar="FILE.csv", help="one row a selection and group of questions")
    options.add_argument("--overlaps-out", metavar="FILE.csv", help="mean overlap of every two selections")
    args = options.parse_args()

    questions = read_questions(args.labels)
    videos = read_videos(args.videos)
    evidence = evidence_in_seconds(questions, videos, args.evidence)
    known = MeasureInputs(
        videos=videos,
        evidence=evidence,
        scenes=annotated_scenes(args.evidence),
        embeddings=Embeddings(args.embeddings) if args.embeddings else None,
    )
    groups = {"": {"": [question.question_id for question in questions]}} | groups_of(questions, evidence)
    selections = {index: read_selection(cell["selection"]) for index, cell in enumerate(args.spec["selections"])}
    rows = []
    for index, cell in enumerate(args.spec["selections"]):
        baseline = baseline_of(cell, args.spec, selections)
        identity = {name: cell[name] for name in ("method", "scorer", "budget")}
        for grouping, members in groups.items():
            for group, ids in members.items():
                numbers = measure(selections[index], baseline, ids, known)
                rows.append({**identity, "grouping": grouping, "group": group, **numbers})
    columns.write_csv(args.out, COLUMNS, rows)
    if args.overlaps_out:
        names = [f"{cell['method']}/{cell['scorer'] or ''}/{cell['budget']}" for cell in args.spec["selections"]]
        matrix = overlaps(dict(zip(names, selections.values(), strict=True)))
        table = [
            {"selection": name} | dict(zip(names, line, strict=True))
            for name, line in zip(names, matrix.tolist(), strict=True)
        ]
        columns.write_csv(args.overlaps_out, ["selection", *names], table)
    log.info("%s: %d selections, %d questions", args.out, len(selections), len(questions))


def baseline_of(cell, spec, selections):
    """The baseline's selection at the same budget; if it has several, the one of the same scorer."""
    if cell["method"] == spec["baseline"]:
        return None
    near = [
        (other["scorer"] != cell["scorer"], index)
        for index, other in enumerate(spec["selections"])
        if other["method"] == spec["baseline"] and other["budget"] == cell["budget"]
    ]
    return selections[min(near)[1]] if near else None


if __name__ == "__main__":
    run(main)
