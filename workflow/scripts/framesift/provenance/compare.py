"""Two runs side by side: which rows changed, by how much, and why.

The causes are those that nothing else explains: a setting, the content of a file that came from outside, a version, a
model's weights, or the code. That a selection changed because its selector did is not said twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from framesift.answering.answer_file import Answer, union_of_chunks
from framesift.core.errors import InputError
from framesift.judging.verdict_file import JudgedCell, read_judged
from framesift.provenance.differences import differences
from framesift.provenance.manifest import digest_without_seconds, make_manifest, modules, read_manifest

#: Numbers of a row that are compared.
COMPARED = ("n", "accuracy", "frames_mean")


@dataclass(frozen=True)
class RecordedRun:
    """One table of a run: its manifest, and the project folder where its files are (None where that is not known)."""

    table: str
    manifest: Mapping[str, Any]
    root: Path | None


@dataclass(frozen=True)
class Changes:
    """Questions of one row whose answers differ between two runs.

    Attributes
    ----------
    asked : int
        Questions that are in both.
    answers, frames : int
        Another response; other frames given.
    gained, lost : int
        Wrong before and right now; right before and wrong now.
    """

    asked: int = 0
    answers: int = 0
    frames: int = 0
    gained: int = 0
    lost: int = 0


@dataclass(frozen=True)
class RowChange:
    """One row in both runs.

    Attributes
    ----------
    name : str
    numbers : dict
        Name to the value in the first and in the second run; those of `COMPARED`.
    changed : bool
        A number, or an answer, differs.
    questions : Changes or None
        None where the files of answers are not at hand.
    causes : list of str
    """

    name: str
    numbers: dict[str, tuple[Any, Any]]
    changed: bool
    questions: Changes | None
    causes: list[str]


@dataclass(frozen=True)
class RunComparison:
    """Two runs of one table. `only_first` and `only_second` name rows that the other does not have."""

    table: str
    rows: list[RowChange] = field(default_factory=list)
    only_first: list[str] = field(default_factory=list)
    only_second: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        return not (self.only_first or self.only_second or any(row.changed or row.causes for row in self.rows))

    def plain(self) -> dict[str, Any]:
        return {"same": self.same, **asdict(self)}


def runs_in(path: Path) -> dict[str, RecordedRun]:
    """The tables of a results folder, or the one of a manifest, by name.

    A folder without manifests gets them made from the records of Snakemake beside it; nothing is written.

    Raises
    ------
    InputError
        Where there is neither.
    """
    if path.is_file():
        manifest = read_manifest(path)
        folder = path.absolute().parent.parent
        return {
            manifest["table"]: RecordedRun(
                manifest["table"], manifest, folder.parent if folder.name == "results" else None
            )
        }
    folder = path / "results" if (path / "results").is_dir() else path
    if not folder.is_dir():
        raise InputError("there is no such file or folder", file=path, expected="a results folder, or a manifest")
    root = folder.absolute().parent
    found = {}
    for file in sorted((folder / "manifests").glob("*.json")):
        manifest = read_manifest(file)
        found[manifest["table"]] = RecordedRun(manifest["table"], manifest, root)
    tables = sorted(file.stem for file in (folder / "tables").glob("*.csv"))
    beside = ("groups", "timings")
    for table in tables:
        is_part = any(table == f"{other}_{part}" for other in tables for part in beside)
        if table not in found and not is_part and folder.name == "results":
            found[table] = RecordedRun(table, make_manifest(table, root), root)
    if not found:
        raise InputError("holds neither tables nor manifests", file=path, expected="the folder `results` of a project")
    return found


def compare(first: Path, second: Path, table: str | None = None) -> list[RunComparison]:
    """Compare all tables that two runs share.

    Raises
    ------
    InputError
        Where they share none, or not the named one.
    """
    one, other = runs_in(first), runs_in(second)
    shared = [name for name in one if name in other and table in (None, name)]
    if not shared and len(one) == len(other) == 1 and table is None:  # two manifests of different tables
        return [compare_tables(*one.values(), *other.values())]
    if not shared:
        raise InputError(
            "the two have no table in common" if table is None else "is not in both",
            field="--table" if table else None,
            value=table,
            expected=f"one of {', '.join(one)} (first) and one of {', '.join(other)} (second)",
        )
    return [compare_tables(one[name], other[name]) for name in shared]


def compare_tables(first: RecordedRun, second: RecordedRun) -> RunComparison:
    """Compare two runs of one table, row by row: rows are the same by answerer, method, scorer, budget and control."""
    one, other = _rows(first), _rows(second)
    return RunComparison(
        first.table if first.table == second.table else f"{first.table} and {second.table}",
        [_change(one[name], other[name]) for name in one if name in other],
        [name for name in one if name not in other],
        [name for name in other if name not in one],
    )


@dataclass(frozen=True)
class _RecordedRow:
    """One row of a run: what the manifest says of it, and its verdicts where they are at hand."""

    run: RecordedRun
    content: Mapping[str, Any]
    judged: JudgedCell | None

    def __getitem__(self, name: str) -> Any:
        return self.content[name]

    @property
    def manifest(self) -> Mapping[str, Any]:
        return self.run.manifest


def _rows(run: RecordedRun) -> dict[str, _RecordedRow]:
    path = run.root / f"results/judged/{run.table}.json" if run.root else None
    judged = read_judged(path) if path and path.is_file() else {}
    return {row["name"]: _RecordedRow(run, row, judged.get(name)) for name, row in run.manifest["rows"].items()}


def _change(one: _RecordedRow, other: _RecordedRow) -> RowChange:
    numbers = {name: (one["numbers"].get(name), other["numbers"].get(name)) for name in COMPARED}
    questions = _questions(one, other)
    changed = any(was != now for was, now in numbers.values())
    changed |= questions is not None and questions != Changes(questions.asked)
    causes = list(dict.fromkeys(_causes(one, other)))
    if changed and not causes:
        causes = ["nothing that is recorded differs: the results themselves vary (order of sums on a GPU, a server)"]
    return RowChange(one["name"], numbers, changed, questions, causes)


# Why


def _causes(one: _RecordedRow, other: _RecordedRow) -> Iterable[str]:
    said: set[str] = set()
    was, now = one["configuration"], other["configuration"]
    for rule in [*was, *(rule for rule in now if rule not in was)]:
        for item in differences(was.get(rule), now.get(rule)):
            if item.key not in said:  # one setting often stands in the specs of several steps
                said.add(item.key)
                yield item.words()
    for item in differences(_of_table(one.manifest), _of_table(other.manifest)):
        if item.key not in said:
            yield item.words()
    yield from _files_from_outside(one, other)
    yield from _models(one, other)
    yield from _code(one, other)
    yield from _versions(one, other)


def _of_table(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the table itself that change numbers of its rows; `group_by` and the like change only columns."""
    return {name: manifest["configuration"].get(name) for name in ("protocol", "baseline", "evidence_tolerance")}


def _files_from_outside(one: _RecordedRow, other: _RecordedRow) -> Iterable[str]:
    """Content of files that no rule made: labels, evidence, published selections; and of the videos."""
    was, now = _given(one), _given(other)
    for path in sorted(was.keys() | now.keys()):
        if path not in now:
            yield f"the input file {path} is only in the first"
        elif path not in was:
            yield f"the input file {path} is only in the second"
        elif was[path] != now[path]:
            yield f"the content of {path} differs"
    videos = one.manifest["videos"], other.manifest["videos"]
    for what, names in (
        ("differs", [name for name in videos[0] if videos[1].get(name, videos[0][name]) != videos[0][name]]),
        ("is only in the first", [name for name in videos[0] if name not in videos[1]]),
        ("is only in the second", [name for name in videos[1] if name not in videos[0]]),
    ):
        if names:
            yield f"the video {names[0]}{f' (and {len(names) - 1} more)' if len(names) > 1 else ''} {what}"


def _given(row: _RecordedRow) -> dict[str, str | None]:
    """Digests of files from outside; a checkpoint is compared as a whole, and so are videos."""
    folders = tuple(f"{model['model']}/" for model in row["models"].values())
    videos = set(row.manifest["videos"].values())
    files = {path: row.manifest["files"].get(path, {}) for path in row["files"]}
    return {
        path: entry.get("sha256")
        for path, entry in files.items()
        if "rule" not in entry and entry.get("sha256") not in videos and not path.startswith(folders or "\0")
    }


def _models(one: _RecordedRow, other: _RecordedRow) -> Iterable[str]:
    for role in sorted(one["models"].keys() & other["models"].keys()):
        was, now = one["models"][role], other["models"][role]
        if was["model"] == now["model"] and was.get("weights") != now.get("weights"):
            yield f"the weights of the {role} {was['model']} differ"


def _code(one: _RecordedRow, other: _RecordedRow) -> Iterable[str]:
    was, now = _by_rule(one, "code"), _by_rule(other, "code")
    rules = [rule for rule in was if rule in now and was[rule] != now[rule]]
    # Another component has another file of code; that is said by the setting that chose it.
    rules = [rule for rule in rules if _kinds(one["configuration"], rule) == _kinds(other["configuration"], rule)]
    if rules:
        names = _modules(one.manifest, other.manifest, {digest for rule in rules for digest in (was[rule], now[rule])})
        yield f"the code of {', '.join(rules)} differs" + (f": {', '.join(names)}" if names else "")


def _modules(first: Mapping[str, Any], second: Mapping[str, Any], codes: set[str]) -> list[str]:
    """Modules that differ, of those that the programs with these digests consist of."""
    roots = {root for manifest in (first, second) for code in codes for root in manifest["programs"].get(code, ())}
    try:
        consists_of = modules(roots).keys()
    except FileNotFoundError:  # of another version of the library
        consists_of = first["modules"].keys() | second["modules"].keys()
    known = first["modules"], second["modules"]
    return sorted(name for name in consists_of if known[0].get(name) != known[1].get(name) and all(known))


def _kinds(configuration: Mapping[str, Any], rule: str) -> list[Any]:
    spec = configuration.get(rule) or {}
    return [(name, part.get("kind")) for name, part in sorted(spec.items()) if isinstance(part, dict)]


def _by_rule(row: _RecordedRow, name: str) -> dict[str, Any]:
    entries = (row.manifest["files"].get(path, {}) for path in row["files"])
    return {entry["rule"]: entry.get(name) for entry in entries if entry.get("rule") and entry.get(name)}


def _versions(one: _RecordedRow, other: _RecordedRow) -> Iterable[str]:
    for name, what in (
        ("made_with", "declared version of"),
        ("versions", "package"),
        ("environment", "environment's pin of"),
    ):
        was, now = _by_rule(one, name), _by_rule(other, name)
        for rule in was.keys() & now.keys():
            if name == "made_with" and was[rule].keys() != now[rule].keys():
                continue  # other components: the setting that chose them says so
            yield from (f"the {what} {item.words()}" for item in differences(was[rule], now[rule]))


# Questions


def _questions(one: _RecordedRow, other: _RecordedRow) -> Changes | None:
    was, now = _answers(one), _answers(other)
    if was is None or now is None:
        return None
    both = [name for name in was if name in now]
    verdicts = [(_is_right(one, name), _is_right(other, name)) for name in both]
    return Changes(
        asked=len(both),
        answers=sum(_said(was[name]) != _said(now[name]) for name in both),
        frames=sum(was[name].frames_given != now[name].frames_given for name in both),
        gained=verdicts.count((False, True)),
        lost=verdicts.count((True, False)),
    )


def _is_right(row: _RecordedRow, question_id: str) -> bool | None:
    verdict = row.judged.questions.get(question_id) if row.judged else None
    return verdict.correct if verdict else None


def _said(answer: Answer) -> tuple[str, str | None]:
    return answer.response, answer.error


def _answers(row: _RecordedRow) -> dict[str, Answer] | None:
    """The answers of a row, where the files are those that the manifest is about."""
    if row.run.root is None:
        return None
    for path in row["answers"]:
        file = row.run.root / path
        noted = row.manifest["files"].get(path, {}).get("sha256_without_seconds")
        if not file.is_file() or digest_without_seconds(file) != noted:
            return None
    return union_of_chunks([str(row.run.root / path) for path in row["answers"]])


def print_comparison(found: RunComparison) -> None:
    """The comparison in the terminal."""
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    if found.same:
        console.print(f"{found.table}: no difference", markup=False)
        return
    changed = [row for row in found.rows if row.changed]
    otherwise = [row for row in found.rows if row.causes and not row.changed]
    console.print(f"{found.table}: {len(changed)} of {len(found.rows)} rows changed", markup=False, style="bold")
    if changed:
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("row", "accuracy", "n", "frames", "answers", "right now", "wrong now"):
            table.add_column(name, justify="left" if name == "row" else "right", overflow="fold")
        for row in changed:
            table.add_row(
                row.name, *(_cell(*row.numbers[name]) for name in ("accuracy", "n", "frames_mean")), *_counts(row)
            )
        console.print(table)
    for names, where in ((found.only_first, "first"), (found.only_second, "second")):
        for name in names:
            console.print(f"only in the {where}: {name}", markup=False)
    for text, rows in _by_cause(changed).items():
        console.print(f"why: {text}", markup=False)
        console.print(f"     in {_some(rows, len(found.rows))}", markup=False, style="dim")
    for text, rows in _by_cause(otherwise).items():
        console.print(f"made otherwise, with the same numbers: {text}", markup=False)
        console.print(f"     in {_some(rows, len(found.rows))}", markup=False, style="dim")


def _by_cause(rows: Iterable[RowChange]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        for text in row.causes:
            found.setdefault(text, []).append(row.name)
    return found


def _some(names: list[str], of: int) -> str:
    return "every row" if len(names) == of else "; ".join(names)


def _cell(was: Any, now: Any) -> str:
    if was == now:
        return "" if was is None else str(was)
    return f"{'-' if was is None else was} -> {'-' if now is None else now}"


def _counts(row: RowChange) -> tuple[str, str, str]:
    questions = row.questions
    if questions is None:
        return "not at hand", "", ""
    return f"{questions.answers} of {questions.asked}", str(questions.gained), str(questions.lost)
