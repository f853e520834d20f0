"""Make a table: accuracies, and gains over the baseline.

It has a row for each answerer, method, scorer and budget. The same input gives the same bytes. docs/tables.md explains
every column.

Example:
  framesift make-table --spec @spec.json --labels labels.json --judged judged.json --out table.csv
"""

from collections import Counter

from framesift.core.code_digest import code_digest
from framesift.data.evidence import evidence_in_seconds
from framesift.data.exclusions import add_limit, check_exclusions
from framesift.data.questions import read_questions
from framesift.judging.verdict_file import read_judged
from framesift.measures.measure import MeasureInputs, annotated_scenes
from framesift.program.cli import add_inputs, log, parser, run
from framesift.storage.files import write_json, write_text
from framesift.tables import columns
from framesift.tables.accuracy import groups_of, make_rows, timing_rows
from framesift.tables.cells import CellSources, read_cells, read_table_spec
from framesift.tables.markdown_latex import latex, markdown
from framesift.video.table import read_videos


def main() -> None:
    options = parser(
        __doc__,
        spec="table, dataset, protocol, baseline, group_by, evidence_tolerance, seed, and the files of each cell",
    )
    add_inputs(options, "labels")
    options.add_argument(
        "--videos", metavar="FILE.parquet", help="from index-videos, for evidence that names frames, and protocols"
    )
    options.add_argument("--judged", required=True, metavar="FILE.json", help="from judge-answers")
    options.add_argument("--evidence", metavar="FILE.json", help="kind and spans of evidence by question id")
    add_limit(options)
    options.add_argument("--out", required=True, metavar="FILE.csv", help="one row a cell")
    options.add_argument("--groups-out", metavar="FILE.csv", help="one row a cell and group of questions")
    options.add_argument("--markdown-out", metavar="FILE.md", help="the main columns, as GitHub shows them")
    options.add_argument("--latex-out", metavar="FILE.tex", help="the main columns, for a paper, with booktabs")
    options.add_argument("--timings-out", metavar="FILE.csv", help="seconds a question; they differ between runs")
    options.add_argument(
        "--benchmarks", metavar="FOLDER", help="benchmarks of Snakemake, for the seconds of scoring and selecting"
    )
    options.add_argument("--spec-out", metavar="FILE.json", help="the spec, and a digest of the code")
    args = options.parse_args()

    spec = read_table_spec(args.spec)
    questions = read_questions(args.labels)
    videos = read_videos(args.videos) if args.videos else {}
    evidence = evidence_in_seconds(questions, videos, args.evidence)
    groups = groups_of(questions, evidence)
    by_id = {question.question_id: question for question in questions}
    sources = CellSources(by_id, videos, evidence, read_judged(args.judged), spec.evidence_tolerance)
    cells = read_cells(spec.in_order(), sources)
    of_one_video = max(Counter(question.video_id for question in questions).values(), default=1)
    for cell in cells:
        check_exclusions(
            {question_id: (reason, reason) for question_id, reason in cell.reasons.items()},
            len(questions),
            args.max_excluded,
            place=f"row {cell.spec.name}",
            hint="mend or replace their videos; the logs of scores, selections and answers name them",
            what="questions",
            always=of_one_video,
        )
    known = MeasureInputs(videos, evidence, annotated_scenes(args.evidence), embeddings=None)
    rows, group_rows = make_rows(spec, cells, groups, len(questions), known)

    by_group = [f"accuracy[{group}]" for group in groups[spec.group_by]] if spec.group_by else []
    columns.write_csv(args.out, [*columns.TABLE, *by_group], rows)
    texts = columns.as_texts(columns.TABLE, rows)
    if args.markdown_out:
        write_text(args.markdown_out, markdown(spec, texts), checked=True)
    if args.latex_out:
        write_text(args.latex_out, latex(spec, texts), checked=True)
    if args.groups_out:
        columns.write_csv(args.groups_out, columns.GROUPS, group_rows)
    if args.timings_out:
        columns.write_csv(args.timings_out, columns.TIMINGS, timing_rows(cells, len(questions), args.benchmarks))
    if args.spec_out:
        write_json(args.spec_out, {"spec": args.spec, "code": code_digest("make_table.py")})
    log.info("%s: %d rows, %d questions", args.out, len(rows), len(questions))


if __name__ == "__main__":
    run(main)
