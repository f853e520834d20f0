"""Write a paper's text on how a table was made, and its BibTeX.

Example:
  framesift write-methods --spec @setup.json --labels labels.json --text-out methods.tex --bib-out methods.bib
"""

import json
from importlib.metadata import version
from pathlib import Path

from framesift.data.questions import read_questions
from framesift.papers.methods_text import methods_text, own_entries
from framesift.papers.references import bibtex, keys_in
from framesift.program.cli import add_inputs, log, parser, run
from framesift.storage.files import write_text


def main() -> None:
    options = parser(__doc__, spec="what decides the numbers of the table (framesift.papers.methods_text.setup_of)")
    add_inputs(options, "labels")
    options.add_argument("--answers", nargs="*", default=[], metavar="FILE.json", help="their versions are named")
    options.add_argument(
        "--references", nargs="+", default=[], metavar="FILE.bib", help="more works than those of Framesift"
    )
    options.add_argument("--text-out", required=True, metavar="FILE.tex")
    options.add_argument("--bib-out", required=True, metavar="FILE.bib")
    args = options.parse_args()

    questions = read_questions(args.labels)
    counts = {"n_questions": len(questions), "n_videos": len({question.video_id for question in questions})}
    versions = {"snakemake": version("snakemake")} if _installed("snakemake") else {}
    for file in args.answers:
        made_by = json.loads(Path(file).read_text())["made_by"]
        known = made_by.get("versions", {})
        versions |= {name: known[name] for name in ("lmms-eval", "transformers") if name in known}
    text = methods_text(args.spec | counts | {"versions": versions})
    write_text(args.text_out, text + "\n", checked=True)
    write_text(args.bib_out, bibtex(keys_in(text), args.references, own_entries(args.spec)), checked=True)
    log.info("%s: %d words, %d works to cite", args.text_out, len(text.split()), len(keys_in(text)))


def _installed(library: str) -> bool:
    from importlib.util import find_spec

    return find_spec(library) is not None


if __name__ == "__main__":
    run(main)
