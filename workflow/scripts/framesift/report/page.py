"""The report of a table: one HTML file that opens from disk, with a folder of pieces beside it if it gets too large.

A page opened by ``file://`` cannot fetch files, but it can load scripts and pictures. Therefore everything that is not
needed at once (details of 100 questions per piece, thumbnails of one video per piece) is either embedded as JSON, or
stored beside the page as scripts that load on demand.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from framesift.report import thumbnails
from framesift.report.gallery import details, index
from framesift.report.inputs import Inputs
from framesift.report.interactive import pictures
from framesift.report.summary import summary, title
from framesift.storage.files import write_text
from framesift.tables import formatting
from framesift.tables.rows import IDENTITY, Row, verdict

TEMPLATES = Path(__file__).parent / "templates"
QUESTIONS_A_PIECE = 100
#: Most bytes of pieces to embed; more are stored in a folder beside the page.
EMBEDDED = 16_000_000
#: Most thumbnails per selection of a question.
MOST_THUMBNAILS = 32


def write_page(
    inputs: Inputs,
    out: Path,
    cache: Path | None,
    workers: int = 1,
    embedded: int = EMBEDDED,
    most_thumbnails: int = MOST_THUMBNAILS,
) -> Path:
    """Write the report.

    Parameters
    ----------
    inputs : Inputs
    out : Path
        The HTML file. The folder beside it, ``{stem}_files``, is replaced; it is empty if everything is embedded.
    cache : Path or None
        Folder of thumbnails; None for a report without them.
    workers : int
        Processes that make thumbnails.
    embedded : int
        Most bytes to embed besides the page itself.
    most_thumbnails : int
        Most thumbnails per selection of a question, evenly spread over its frames.

    Returns
    -------
    Path
        The folder.
    """
    folder = out.with_name(f"{out.stem}_files")
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.stem}."))
    try:
        made.chmod(0o755)
        found, faults = index(inputs), {}
        videos: dict[str, str] = {}
        if cache is not None:
            faults = _write_thumbnails(inputs, made, cache, workers, most_thumbnails, videos)
        questions = list(inputs.questions.values())
        for number, start in enumerate(range(0, len(questions), QUESTIONS_A_PIECE)):
            batch = questions[start : start + QUESTIONS_A_PIECE]
            _write_piece(made, f"q{number}", [details(inputs, question) for question in batch])
        size = sum(file.stat().st_size for file in made.iterdir())
        pieces: dict[str, str] = {}
        if size <= embedded:
            for file in sorted(made.iterdir()):
                pieces[file.stem] = _piece_of(file.read_text())
                file.unlink()
        found |= {
            "table": inputs.spec.table,
            "baseline": inputs.spec.baseline,
            "videos": videos,
            "faults": faults,
            "folder": folder.name,
            "piece": QUESTIONS_A_PIECE,
            "thumbnails": cache is not None,
        }
        write_text(out, render(inputs, found, pieces))
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _write_thumbnails(
    inputs: Inputs, folder: Path, cache: Path, workers: int, most_thumbnails: int, videos: dict[str, str]
) -> dict[str, str]:
    """Write one piece per video, and record in `videos` which piece belongs to which video."""
    chosen: dict[str, set[int]] = {}
    for selection in inputs.selections.values():
        for choice in selection.values():
            chosen.setdefault(choice.video_id, set()).update(evenly(choice.frames, most_thumbnails))
    faults = thumbnails.make_all(inputs.videos.values(), chosen, cache, workers)
    for number, (name, video) in enumerate(sorted(inputs.videos.items())):
        if found := thumbnails.pictures(video, chosen.get(name, ()), cache):
            encoded = {str(frame): base64.b64encode(picture).decode() for frame, picture in found.items()}
            videos[name] = f"v{number}"
            _write_piece(folder, f"v{number}", encoded)
    return faults


def evenly(frames: list[int], n: int) -> list[int]:
    """At most `n` of the frames, evenly spread, including the first and the last.

    Examples
    --------
    >>> evenly([1, 2, 3, 4, 5], 3)
    [1, 3, 5]
    """
    if len(frames) <= n:
        return frames
    if n == 1:
        return frames[:1]
    return [frames[round(place * (len(frames) - 1) / (n - 1))] for place in range(n)]


_CALL = "framesiftPiece("


def _write_piece(folder: Path, name: str, value: Any) -> None:
    (folder / f"{name}.js").write_text(f"{_CALL}{inert(name)},{inert(value)});\n")


def _piece_of(script: str) -> str:
    """The value in the script of a piece."""
    return script[len(_CALL) :].split(",", 1)[1].removesuffix(");\n")


def inert(value: Any) -> str:
    """JSON that is safe inside HTML, and that is a JavaScript value as well.

    Examples
    --------
    >>> inert("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def render(inputs: Inputs, found: dict[str, Any], pieces: dict[str, str]) -> str:
    """The text of the page."""
    import jinja2
    import plotly.offline  # type: ignore[import-untyped]
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    drawn = pictures(inputs)
    scripts = [_template(name) for name in ("early.js", "page.js", "gallery.js")]
    if drawn:
        scripts.insert(1, plotly.offline.get_plotlyjs())
    return environment.get_template("report.html.j2").render(
        title=title(inputs),
        sections=summary(inputs),
        rows=table_view(inputs.rows, inputs.spec.baseline),
        groups=table_view(inputs.groups, inputs.spec.baseline),
        timings=table_view(inputs.timings, inputs.spec.baseline) if inputs.timings else None,
        published=published_view(inputs.published) if inputs.published else None,
        pictures=drawn,
        figures=Markup(inert({picture.name: picture.data for picture in drawn})),
        index=Markup(inert(found)),
        pieces=[(name, Markup(text)) for name, text in pieces.items()],
        embedded=not found["questions"] or bool(pieces),
        style=Markup(_template("report.css")),
        scripts=[Markup(script) for script in scripts],
        policy=" ".join(f"'sha256-{_hash(script)}'" for script in scripts),
        n=len(inputs.questions),
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


#: Columns that are visible at first, in this order, with their headings; `All columns` adds the others.
_FIRST = {
    "answerer": "answerer",
    "method": "method",
    "scorer": "scorer",
    "control": "control",
    "budget": "budget, frames",
    "grouping": "grouping",
    "group": "group",
    "n": "n",
    "n_total": "of",
    "excluded": "excluded",
    "unparsed": "unparsed",
    "accuracy": "accuracy %",
    "difference": "gain, points",
    "verdict": "verdict",
    "p_holm": "p, Holm",
    "p_value": "p",
    "evidence_recall": "evidence seen %",
    "frames_mean": "frames",
    "scoring_seconds": "scoring, s",
    "selecting_seconds": "selecting, s",
    "seconds_per_question": "answering, s",
    "flag": "flag",
}
_WITH_INTERVAL = {"accuracy", "difference"}
_PERCENT = {"evidence_recall"}
_COUNTS = {"excluded", "unparsed"}
_TEXT_COLUMNS = {*IDENTITY, "grouping", "group", "verdict", "protocol", "flag", "usage", "reason"} - {"budget"}


def table_view(rows: list[Row], baseline: str | None) -> dict[str, Any]:
    """A table for the page: columns, and for every field its text and its sort key (the text of the file).

    Columns that are empty in every row, or count only zeros, are hidden at first.
    """
    columns = list(rows[0]) if rows else []
    judged = any(verdict(row) for row in rows) and "difference" in columns
    if judged and "verdict" not in columns:
        columns.append("verdict")
    first = [name for name in _FIRST if name in columns and (name == "verdict" or _is_informative(rows, name))]
    rest = [name for name in columns if name not in first or name in _WITH_INTERVAL or name in _PERCENT]
    heads = [_head(name, _FIRST[name], False, name not in _TEXT_COLUMNS) for name in first]
    heads += [_head(name, name, True, name not in _TEXT_COLUMNS) for name in rest if name != "verdict"]

    def text(row: Row, head: dict[str, Any]) -> str:
        raw = row.get(head["key"], "")
        return raw if head["extra"] else _cell_text(row, head["key"], raw, baseline)

    return _view(heads, [row | {"verdict": verdict(row)} for row in rows], text)


def _head(name: str, label: str, extra: bool, number: bool) -> dict[str, Any]:
    return {"key": name, "label": label, "extra": extra, "number": number}


def _view(
    heads: list[dict[str, Any]], rows: Sequence[Row], text: Callable[[Row, dict[str, Any]], str]
) -> dict[str, Any]:
    return {
        "heads": heads,
        "rows": [
            {
                "fields": [{"text": text(row, head), "sort": row.get(head["key"], "")} | head for head in heads],
                "verdict": row.get("verdict", "").replace(" ", "-"),
            }
            for row in rows
        ],
    }


_PUBLISHED = {
    "method": "method",
    "scorer": "scorer",
    "budget": "budget, frames",
    "group": "group",
    "ours": "ours %",
    "theirs": "theirs %",
    "difference": "ours - theirs, points",
    "within": "theirs in our interval",
    "comparable": "comparable",
    "reasons": "why not",
    "paper": "paper",
    "place": "place",
}
_NUMBERS = {"budget", "ours", "ours_low", "ours_high", "theirs", "difference"}


def published_view(rows: Sequence[Row]) -> dict[str, Any]:
    """The comparison with published numbers for the page, in the order of its file."""
    names = [*_PUBLISHED, *(name for name in rows[0] if name not in _PUBLISHED)]
    heads = [_head(name, _PUBLISHED.get(name, name), name not in _PUBLISHED, name in _NUMBERS) for name in names]
    labels = {"True": "yes", "False": "no"}
    return _view(heads, rows, lambda row, head: labels.get(row[head["key"]], row[head["key"]]))


def _is_informative(rows: list[Row], name: str) -> bool:
    """Whether any row has a value; for the counts of `_COUNTS`, one that is not zero."""
    return any(row[name] and (row[name] != "0" or name not in _COUNTS) for row in rows)


def _cell_text(row: Row, name: str, raw: str, baseline: str | None) -> str:
    if name == "accuracy":
        return _dash(formatting.with_interval(row, name))
    if name == "difference":
        return _dash(formatting.gain(row, baseline))
    if name in _PERCENT:
        return _dash(formatting.percent(raw))
    if name in ("p_value", "p_holm"):
        return _dash(formatting.p_value(raw))
    if name == "frames_mean" and raw:
        low, high = row.get("frames_min"), row.get("frames_max")
        return raw if low == high else f"{raw} ({low} to {high})"
    return raw


def _dash(text: str) -> str:
    """Nothing is a dash of the page's font."""
    return "–" if text == formatting.NOTHING else text
