"""Published numbers beside ours: what others report for the same data set and method, and why it may not compare.

The numbers are rows of the files in published_numbers/, whose README.md explains columns and sources. A project can add
files of its own.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from framesift.core.components import kinds
from framesift.core.errors import InputError, did_you_mean, first_problem
from framesift.core.spec import Frozen
from framesift.papers.references import REFERENCES, read_bibliography
from framesift.scoring.released_scores import CHECKPOINTS, SCORERS

FOLDER = Path(__file__).parent / "published_numbers"

#: In per cent, but `gain_points` (points over the paper's own uniform frames), `score_0_5` (mean points of a judge),
#: and, as fractions, what a selection is worth without answers.
Metric = Literal["accuracy_percent", "m_avg", "gain_points", "score_0_5", "kfr", "shr", "ukss", "evidence_recall"]
#: Metrics that the rows of a table have.
COMPARED = ("accuracy_percent", "m_avg")
_LARGEST = {"score_0_5": 5, "kfr": 1, "shr": 1, "ukss": 1, "evidence_recall": 1}
#: Where a number comes from, the most certain source first.
SURE = ("table", "repository", "computed", "issue", "third-party", "memory")
#: Questions of a benchmark, and of the groups that papers report.
QUESTIONS = {
    ("videomme", ""): 2700,
    **{("videomme", f"duration={group}"): 900 for group in ("short", "medium", "long")},
    ("longvideobench", ""): 1337,
    **{
        ("longvideobench", f"duration={group}"): n
        for group, n in (("15", 189), ("60", 172), ("600", 412), ("3600", 564))
    },
    ("mlvu", ""): 2174,
    ("lvbench", ""): 1549,
    ("egoschema", "split=subset"): 500,
    ("egoschema", "split=full"): 5031,
    ("nextqa", ""): 8564,
    ("activitynetqa", ""): 8000,
}
#: Kinds that are other code for the same model.
SAME_MODEL = {"llava_onevision_hf": "llava_onevision", "blip_itm_lavis": "blip_itm"}
#: Parts of the name of a checkpoint that papers leave out.
_LEFT_OUT = {"instruct", "hf", "qwen2", "ov", "onevision"}


class Published(Frozen):
    """One published number. An empty text means that something is unknown or does not apply."""

    paper: str = Field(min_length=1, description="Key, in the references, of who reports the number.")
    place: str = Field(min_length=1, description="Table, figure, issue or file, and page where known.")
    dataset: str = Field(description="Kind of the data set.")
    group: str = Field(description="Group of questions, as in `duration=long`; empty: all.")
    metric: Metric
    model: str = Field(min_length=1, description="The answerer as papers name it; `none` for measures of selections.")
    answerer_kind: str = Field(description="Kind of answerer that runs it.")
    method: str = Field(description="Kind of selector; empty for methods that are not here.")
    variant: str = Field(description="What differs from the method's usual setting: `name=value; ...`, or words.")
    scorer: str = Field(description="Kind of scorer, or of what embeds frames for methods that need no scores.")
    scorer_model: str = Field(description="Its checkpoint, without the owner.")
    frames: int | str = Field(description="Frames that the answerer sees: a number, or words.")
    protocol: Literal["released", "own", "unknown", "none"] = Field(
        description="`released`: the scripts of AKS's release; `own`: a harness of the authors'; `none`: no answers."
    )
    subtitles: Literal["no", "yes", "unknown"]
    value: float = Field(ge=0, le=100)
    sure: Literal["table", "repository", "computed", "issue", "third-party", "memory"]
    note: str

    @field_validator("frames", mode="before")
    @classmethod
    def _a_number_or_words(cls, frames: Any) -> Any:
        if isinstance(frames, str) and re.fullmatch(r"[\d.,+-]+", frames):
            if not frames.isdecimal() or int(frames) == 0:
                raise ValueError("must be a whole number of frames above 0, or words")
            return int(frames)
        return frames

    @model_validator(mode="after")
    def _within_its_metric(self) -> Published:
        if self.value > _LARGEST.get(self.metric, 100):
            raise ValueError(f"value: {self.value:g} is more than {self.metric} can be, {_LARGEST[self.metric]}")
        return self

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that `variant` names."""
        parts = (part.partition("=") for part in self.variant.split("; ") if _is_parameter(part))
        return {name: value for name, _, value in parts}

    @property
    def wording(self) -> str:
        """The parts of `variant` that are not parameters."""
        return "; ".join(part for part in self.variant.split("; ") if part and not _is_parameter(part))


def _is_parameter(part: str) -> bool:
    return re.fullmatch(r"[a-z_0-9]+=\S+", part) is not None


COLUMNS = tuple(Published.model_fields)
#: Columns that identify a number; two rows that agree in all of these are one number, given twice.
_PLACE = tuple(name for name in COLUMNS if name not in ("value", "sure", "note"))


def read_published(
    source: str | Path = FOLDER, more: Iterable[str | Path] = (), references: Iterable[str | Path] = ()
) -> list[Published]:
    """Read and check published numbers.

    Parameters
    ----------
    source : path
        A file, or a folder whose .csv files are read in the order of their names; by default Framesift's own.
    more : iterable of path
        Further files.
    references : iterable of path
        BibTeX files with papers that Framesift's own references do not have.

    Raises
    ------
    InputError
        With file, line and column: for an unknown or missing column, a wrong type, an unknown data set, kind or paper,
        a value outside of its metric's range, and a number that is given twice.
    """
    files = sorted(Path(source).glob("*.csv")) if Path(source).is_dir() else [Path(source)]
    if not files:
        raise InputError("there are no .csv files", file=source)
    files += map(Path, more)
    papers = read_bibliography(REFERENCES, *references)
    seen: dict[tuple[Any, ...], str] = {}
    found = []
    for file in files:
        for line, record in _records(file):
            row = _checked(record, file, line, papers)
            key, here = tuple(getattr(row, name) for name in _PLACE), f"{file}, line {line}"
            if key in seen:
                hint = f"first in {seen[key]}"
                raise InputError("is given twice", file=file, field=f"line {line}", value=row.value, hint=hint)
            seen[key] = here
            found.append(row)
    return found


def _records(file: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """The records of a file, each with the line it begins in."""
    try:
        with open(file, encoding="utf-8", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            header = next(reader, [])
            if unknown := [name for name in header if name not in COLUMNS]:
                hint = did_you_mean(unknown[0], COLUMNS)
                problem = "published numbers have no such column"
                raise InputError(problem, file=file, field="line 1", value=unknown[0], hint=hint)
            if missing := [name for name in COLUMNS if header.count(name) != 1]:
                problem = f"column {missing[0]!r} must be there once"
                raise InputError(problem, file=file, field="line 1", expected=", ".join(COLUMNS))
            line = reader.line_num + 1
            for fields in reader:
                if fields and len(fields) != len(header):
                    problem, expected = "has another number of fields than the first line", str(len(header))
                    raise InputError(problem, file=file, field=f"line {line}", value=len(fields), expected=expected)
                if fields:
                    yield line, dict(zip(header, (field.strip() for field in fields), strict=True))
                line = reader.line_num + 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read as CSV ({error})", file=file) from None


def _checked(record: Mapping[str, str], file: Path, line: int, papers: Mapping[str, Any]) -> Published:
    try:
        row = Published.model_validate(record)
    except ValidationError as error:
        problem = first_problem(error)
        column = problem.place.split(".")[0] or "value"
        raise InputError(problem.message, file=file, field=_at(line, column), value=record[column]) from None
    if row.paper not in papers:
        raise InputError(
            "has no entry in the references",
            file=file,
            field=_at(line, "paper"),
            value=row.paper,
            hint=did_you_mean(row.paper, papers) or "add it to config/references.bib in your working folder",
        )
    known = {
        "dataset": [kind for kind in kinds("datasets") if kind != "custom"],
        "answerer_kind": ["", *kinds("answerers")],
        "method": ["", *kinds("selectors")],
        "scorer": ["", *kinds("scorers"), *kinds("encoders")],
    }
    for column, allowed in known.items():
        value = getattr(row, column)
        if value not in allowed:
            raise InputError(
                "there is no such kind",
                file=file,
                field=_at(line, column),
                value=value,
                expected=f"one of {', '.join(kind for kind in allowed if kind)}",
                hint=did_you_mean(value, allowed),
            )
    return row


def _at(line: int, column: str) -> str:
    return f"line {line}, column {column!r}"


class Ours(Frozen):
    """One row of a table of ours, with everything that a comparison needs; `ours` makes one.

    Attributes
    ----------
    dataset, answerer, method, scorer : str
        Kinds. `scorer` is what scores the frames or, for a method of embeddings, embeds them; empty for neither.
    group : str
        As in `duration=long`; empty for all questions.
    model, scorer_model : str
        Checkpoints, with or without an owner or a path.
    parameters : mapping
        Of the selector.
    protocol, subtitles : str
        Of the table.
    accuracy, low, high : float
        Fractions; the ends are None without an interval.
    n, n_total : int
        Questions answered, and all questions of the row.
    metric : str
        ``m_avg`` for a mean over the tasks of MLVU, else ``accuracy_percent``.
    """

    dataset: str
    group: str = ""
    answerer: str
    model: str
    method: str
    parameters: Mapping[str, Any] = {}
    scorer: str = ""
    scorer_model: str = ""
    budget: int = Field(ge=1)
    protocol: Literal["fair", "released"] = "fair"
    subtitles: Literal["none", "all", "frames"] = "none"
    metric: Literal["accuracy_percent", "m_avg"] = "accuracy_percent"
    accuracy: float = Field(ge=0, le=1)
    low: float | None = Field(default=None, ge=0, le=1)
    high: float | None = Field(default=None, ge=0, le=1)
    n: int = Field(ge=1)
    n_total: int = Field(ge=1)


def ours(
    row: Mapping[str, Any],
    *,
    dataset: str,
    answerer: Mapping[str, Any],
    selector: Mapping[str, Any],
    scorer: Mapping[str, Any] | None = None,
    protocol: Literal["fair", "released"] = "fair",
    subtitles: Literal["none", "all", "frames"] = "none",
    metric: Literal["accuracy_percent", "m_avg"] = "accuracy_percent",
) -> Ours | None:
    """Describe a row of a table or of its groups by the specs that it was made from.

    Parameters
    ----------
    row : mapping
        From `framesift.tables.accuracy.make_rows`, or read from its files: budget, control, n, n_total, accuracy and
        its interval, and in a row of groups grouping and group.
    dataset : str
        Kind of the data set.
    answerer, selector : mapping
        Specs.
    scorer : mapping, optional
        Spec of the scorer, or of the encoder for a method that needs no scores.
    protocol, subtitles : str
        Of the table.
    metric : str
        With ``m_avg``, for MLVU, the number is the one of lmms-eval's task, which has no interval.

    Returns
    -------
    Ours or None
        None for a row without an accuracy, and for a negative control.
    """
    number = row.get("lmms_eval") if metric == "m_avg" else row["accuracy"]
    if row.get("control") or number in (None, ""):
        return None
    group = f"{row['grouping']}={row['group']}" if row.get("grouping") else ""
    if dataset == "egoschema" and not group:
        group = {500: "split=subset", 5031: "split=full"}.get(int(row["n_total"]), "")
    kind, checkpoint = _scored_by(scorer)

    def bound(name: str) -> float | None:
        return None if metric == "m_avg" or row.get(name) in (None, "") else float(row[name])

    return Ours(
        dataset=dataset,
        group=group,
        answerer=str(answerer["kind"]),
        model=str(answerer.get("model", "")),
        method=str(selector["kind"]),
        parameters={name: value for name, value in selector.items() if name not in ("kind", "label")},
        scorer=kind,
        scorer_model=checkpoint,
        budget=int(row["budget"]),
        protocol=protocol,
        subtitles=subtitles,
        metric=metric,
        accuracy=float(number) / 100 if metric == "m_avg" else float(number),
        low=bound("accuracy_low"),
        high=bound("accuracy_high"),
        n=int(row["n"]),
        n_total=int(row["n_total"]),
    )


def _scored_by(scorer: Mapping[str, Any] | None) -> tuple[str, str]:
    if scorer is None:
        return "", ""
    if scorer["kind"] == "aks_outscores":
        return SCORERS[scorer["scores"]], CHECKPOINTS[scorer["scores"]]
    return str(scorer["kind"]), "" if scorer["kind"] == "blip_itm_lavis" else str(scorer.get("model", ""))


@dataclass(frozen=True)
class PublishedComparison:
    """A published number beside one of ours.

    Attributes
    ----------
    theirs : Published
    difference : float
        Ours minus theirs, in points.
    within : bool or None
        Whether their value lies in our interval; None if ours has none. `match` explains what that means.
    reasons : tuple of str
        Why the two do not compare; empty if they do.
    remarks : tuple of str
        Caveats of the comparison.
    """

    theirs: Published
    difference: float
    within: bool | None
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        return not self.reasons

    def row(self) -> dict[str, Any]:
        """Its values for `COMPARISON_COLUMNS`; numbers in points and per cent, as published."""
        return {
            **{name: getattr(self.theirs, name) for name in ("paper", "place", "model", "variant", "frames")},
            "theirs": self.theirs.value,
            "difference": self.difference,
            "within": self.within,
            "comparable": self.comparable,
            "reasons": "; ".join(self.reasons),
            "remarks": "; ".join(self.remarks),
            "sure": self.theirs.sure,
        }


COMPARISON_COLUMNS = (
    *("paper", "place", "model", "variant", "frames", "theirs", "difference", "within", "comparable"),
    *("reasons", "remarks", "sure"),
)

_PROTOCOLS = {
    "released": "released (the scripts of AKS's release)",
    "own": "the authors' own",
    "unknown": "not known",
    "none": "none",
}
#: A number with more reasons than this is not returned.
MOST_REASONS = 2
#: A row with a smaller share of the questions than this has no matches.
LEAST_SHARE = 0.1


def match(row_of_ours: Ours, published: Iterable[Published], limit: int = 5) -> list[PublishedComparison]:
    """The published numbers nearest to a row of ours: same data set and method, and at most `MOST_REASONS` differences.

    A row with less than a tenth of the questions has none.

    A number is comparable if model, frames, group and number of questions, scorer, setting, subtitles, metric and
    protocol are the same as far as they are known; remarks name what is unknown. Numbers from the scripts of AKS's
    release compare only with the protocol `released`.

    `within` says whether the published value lies in the interval of our accuracy (Wilson's, or the wider one over
    videos). That interval describes how the accuracy of one model varies over other questions of the same kind. Both
    values were measured on the same questions, however, so most of that variation is common to both. A value outside
    of the interval indicates another setting: the same model, frames and prompt would differ by far less. For the same
    reason a value inside does not prove a reproduction. Only a paired test on the answers of both runs could
    (McNemar), and papers do not publish their answers.

    Parameters
    ----------
    row_of_ours : Ours
    published : iterable of Published
    limit : int
        Most comparisons to return.

    Returns
    -------
    list of PublishedComparison
        Comparable numbers first, then by weight of the reasons, distance in frames, certainty of the source, and the
        order of `published`.
    """
    whole = QUESTIONS.get((row_of_ours.dataset, row_of_ours.group))
    if whole is not None and row_of_ours.n_total < LEAST_SHARE * whole:
        return []
    found = []
    for theirs in published:
        same = (theirs.dataset, theirs.method) == (row_of_ours.dataset, row_of_ours.method)
        if not same or theirs.metric not in COMPARED:
            continue
        reasons, weight = _reasons(row_of_ours, theirs)
        if len(reasons) > MOST_REASONS:
            continue
        percent = 100 * row_of_ours.accuracy
        within = None
        if row_of_ours.low is not None and row_of_ours.high is not None:
            within = 100 * row_of_ours.low <= theirs.value <= 100 * row_of_ours.high
        difference = round(percent - theirs.value, 6)
        comparison = PublishedComparison(theirs, difference, within, reasons, _remarks(row_of_ours, theirs))
        found.append(((weight, _frames_apart(row_of_ours, theirs), SURE.index(theirs.sure)), comparison))
    return [comparison for _, comparison in sorted(found, key=lambda item: item[0])][:limit]


def _reasons(mine: Ours, theirs: Published) -> tuple[tuple[str, ...], int]:
    """Why the two do not compare, the weightiest first, and the sum of the weights."""
    reasons = [*_other_questions(mine, theirs), *_other_method(mine, theirs), *_other_measurement(mine, theirs)]
    return tuple(text for _, text in reasons), sum(weight for weight, _ in reasons)


def _other_questions(mine: Ours, theirs: Published) -> Iterator[tuple[int, str]]:
    whole = QUESTIONS.get((mine.dataset, mine.group))
    if not _same_model(mine, theirs):
        yield 4, _differ("model", theirs.model, _name(mine.model))
    if mine.group != theirs.group:
        yield 3, _differ("subset", theirs.group or "all", mine.group or "all")
    if whole is not None and mine.n_total != whole:
        yield 3, f"another subset: ours are {mine.n_total} of {whole} questions"
    if mine.budget != theirs.frames:
        yield 3, _differ("number of frames", theirs.frames, mine.budget)
    if theirs.subtitles == "yes" and mine.subtitles == "none":
        yield 3, "subtitles: theirs has some, ours none"
    if theirs.subtitles == "no" and mine.subtitles != "none":
        yield 3, "subtitles: ours has some, theirs none"


def _other_method(mine: Ours, theirs: Published) -> Iterator[tuple[int, str]]:
    if _kind(mine.scorer) != theirs.scorer:
        yield 2, _differ("scorer", theirs.scorer, mine.scorer or "none")
    if _other_checkpoint(mine, theirs):
        yield 2, _differ("scorer", theirs.scorer_model, _name(mine.scorer_model))
    if settings := _other_settings(mine, theirs):
        yield 2, f"another setting: {'; '.join(settings)}"


def _other_measurement(mine: Ours, theirs: Published) -> Iterator[tuple[int, str]]:
    if mine.metric != theirs.metric:
        yield 1, _differ("metric", theirs.metric, mine.metric)
    if (theirs.protocol == "released") != (mine.protocol == "released"):
        yield 1, _differ("protocol", _PROTOCOLS[theirs.protocol], mine.protocol)


def _remarks(mine: Ours, theirs: Published) -> tuple[str, ...]:
    same_known = theirs.parameters or not mine.parameters.keys() - {"variant"} or mine.method in ("uniform", "random")
    checkpoints = mine.scorer_model and theirs.scorer_model
    found = [
        (theirs.sure not in ("table", "repository"), f"how theirs is known: {theirs.sure}"),
        (theirs.protocol in ("own", "unknown"), "prompt, pictures and treatment of short videos not compared"),
        (theirs.subtitles == "unknown", "whether theirs has subtitles is not known"),
        (bool(mine.scorer and theirs.scorer and not checkpoints), "the checkpoint of a scorer is not known"),
        (not same_known, "parameters of theirs not known"),
        (mine.parameters.get("variant") == "fair", "ours is the fair form of the selector"),
        (mine.answerer in SAME_MODEL, f"ours is run by {mine.answerer}, other code for the same weights"),
        (mine.n < mine.n_total, f"ours answered {mine.n} of {mine.n_total} questions"),
        (bool(theirs.note), theirs.note),
    ]
    return tuple(text for holds, text in found if holds)


def _frames_apart(mine: Ours, theirs: Published) -> float:
    return abs(math.log2(mine.budget / theirs.frames)) if isinstance(theirs.frames, int) else math.inf


def _differ(what: str, theirs: object, mine: object) -> str:
    return f"another {what}: theirs is {theirs or 'not known'}, ours {mine}"


def _kind(kind: str) -> str:
    return SAME_MODEL.get(kind, kind)


def _name(model: str) -> str:
    """The name of a checkpoint, without its owner or folder.

    Examples
    --------
    >>> _name("lmms-lab/LLaVA-Video-7B-Qwen2")
    'LLaVA-Video-7B-Qwen2'
    """
    return model.rstrip("/").split("/")[-1] or "not known"


def _parts(model: str) -> list[str]:
    return re.split(r"[-_\s]+", _name(model).lower())


def _same_model(mine: Ours, theirs: Published) -> bool:
    """Whether our checkpoint is the model that a paper names: Qwen/Qwen2-VL-7B-Instruct is Qwen2-VL-7B."""
    if _kind(mine.answerer) != theirs.answerer_kind:
        return False
    own, named = set(_parts(mine.model)), set(_parts(theirs.model))
    return named <= own and own - named <= _LEFT_OUT


def _other_checkpoint(mine: Ours, theirs: Published) -> bool:
    known = mine.scorer_model and theirs.scorer_model and _kind(mine.scorer) == theirs.scorer
    return bool(known) and _name(mine.scorer_model).lower() != theirs.scorer_model.lower()


def _other_settings(mine: Ours, theirs: Published) -> list[str]:
    different = [theirs.wording] if theirs.wording else []
    for name, value in theirs.parameters.items():
        own = mine.parameters.get(name)
        if own is None or not _equal(own, value):
            different.append(f"theirs has {name} {value}, ours {'none' if own is None else own}")
    return different


def _equal(own: Any, written: str) -> bool:
    try:
        return not isinstance(own, bool) and math.isclose(float(own), float(written), rel_tol=1e-9)
    except (TypeError, ValueError):
        return str(own) == written


def comparison_rows(
    rows: Sequence[tuple[Mapping[str, Any], Ours | None]], published: Sequence[Published], limit: int = 5
) -> list[dict[str, Any]]:
    """The comparisons of a table, one row each: the names of the row, our number in per cent, and theirs.

    Parameters
    ----------
    rows : sequence of (mapping, Ours or None)
        A row of the table, with what `ours` makes of it.
    published : sequence of Published
    limit : int
        The most per row.
    """
    return [
        {
            **{name: row.get(name) for name in ("answerer", "method", "scorer", "budget")},
            "group": mine.group,
            "metric": mine.metric,
            "ours": 100 * mine.accuracy,
            "ours_low": None if mine.low is None else 100 * mine.low,
            "ours_high": None if mine.high is None else 100 * mine.high,
            **comparison.row(),
        }
        for row, mine in rows
        if mine is not None
        for comparison in match(mine, published, limit)
    ]
