"""Why a result is as it is: what it was made from, and what would make it again, in sentences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError, did_you_mean
from framesift.provenance.differences import differences, flat, row_differences, shown
from framesift.provenance.lineage import FileOrigin, ancestors, made, recorded, when
from framesift.provenance.manifest import modules, pins, read_manifest
from framesift.provenance.snakemake_dag import NoRule, NotAsked, PlannedJob, jobs_for, tables_of

_CACHES = {
    "results/cache/scores/": "scores or embeddings of one video by one model",
    "results/cache/answers/": "answers that were given, one a line",
    "results/cache/judged/": "verdicts of a judge, one a line",
    "results/cache/": "digests and facts of files",
}
_INPUTS_SHOWN = 8
_MODULES_SHOWN = 6


@dataclass(frozen=True)
class Cause:
    """One reason to make something again, and the files that it concerns first."""

    text: str
    files: list[str]


@dataclass(frozen=True)
class Explanation:
    """What is known of a file.

    Attributes
    ----------
    path : str
    made : FileOrigin
    state : str
        ``current``, ``outdated``, ``not asked`` (nothing configured today needs it), ``not there``, ``cache`` or
        ``not known`` (today's workflow cannot be planned).
    causes : list of Cause
        Why it is outdated; for one that is not asked for, how the nearest that is asked for differs.
    jobs : dict
        How many jobs of each rule would run to make it again.
    instead : str or None
        The nearest file that is asked for.
    note : str
    """

    path: str
    made: FileOrigin
    state: str
    causes: list[Cause] = field(default_factory=list)
    jobs: dict[str, int] = field(default_factory=dict)
    instead: str | None = None
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """The same for JSON."""
        content = asdict(self)
        content["made"] |= {"code": self.made.code, "started": when(self.made.started), "ended": when(self.made.ended)}
        return content


def explain(path: str, root: Path, configfiles: Sequence[Path] = ()) -> Explanation:
    """Explain one file of results.

    Parameters
    ----------
    path : str
        Relative to `root`.
    root : path
        Folder of the project.
    configfiles : sequence of path
        Those that the run was started with.

    Raises
    ------
    InputError
        For a file that the workflow does not know.
    """
    if (root / path).is_dir():
        inside = sorted(file.relative_to(root).as_posix() for file in (root / path).rglob("*") if file.is_file())
        raise InputError("is a folder", file=path, expected="one file", hint=f"such as {inside[0]}" if inside else None)
    for prefix, what in _CACHES.items():
        if path.startswith(prefix) and (root / path).is_file():
            return Explanation(path, made(path, root), "cache", note=what)
    item = made(path, root)
    if not item.known and (owner := _made_as_log(path, root)):
        item = made(owner, root)
    target = item.path
    try:
        jobs = jobs_for([target], root, configfiles)
    except NoRule:
        if item.known:
            return Explanation(path, item, "not asked", note="no rule of today's workflow makes such a file")
        raise _unknown(path, root) from None
    except NotAsked:
        if item.known:
            return _not_asked(path, item, root, configfiles)
        raise _unknown(path, root) from None
    except InputError as error:
        if item.known:
            return Explanation(path, item, "not known", note=str(error))
        raise
    of_target = next((job for job in jobs if target in job.output), None)
    if of_target is None:  # a file that is there and that no rule makes
        raise _unknown(path, root)
    running = [job for job in jobs if job.runs]
    counts = dict(Counter(job.rule for job in running))
    if not (root / target).is_file() and not item.known:
        return Explanation(path, _as_planned(of_target, target), "not there", jobs=counts)
    if not of_target.runs:
        return Explanation(path, item, "current")
    return Explanation(path, item, "outdated", causes([item.path], {None: running}, jobs, root)[None], counts)


def words(explanation: Explanation) -> list[str]:
    """The explanation as lines of text."""
    item, lines = explanation.made, [explanation.path]
    if explanation.state == "cache":
        return [
            *lines,
            f"  Kept for later runs: {explanation.note}. No result depends on this file; deleting it costs only time.",
        ]
    lines += _how_made(item, explanation)
    lines += ["", f"What would make it again: {_state(explanation)}"]
    lines += [f"  - {cause.text}{_where(cause, explanation)}" for cause in explanation.causes]
    if explanation.jobs:
        lines.append(f"It takes {_jobs(explanation.jobs)}.")
    return lines


def _how_made(item: FileOrigin, explanation: Explanation) -> list[str]:
    lines = []
    if explanation.state == "not there":
        lines.append(f"  It is not there yet. The rule {item.rule} would make it.")
    elif item.rule is None:
        lines.append("  Snakemake has no record of it; this is what the file says of itself.")
    else:
        took = f", in {item.ended - item.started:.1f} s" if item.started and item.ended else ""
        lines.append(f"  Made by the rule {item.rule} ({item.program or 'a command'}) at {when(item.ended)}{took}.")
        if explanation.path != item.path:
            lines.append(f"  It is a log that goes with {item.path}.")
    if item.inputs:
        lines.append("  From:")
        inputs = sorted(item.inputs, key=lambda path: (not path.startswith("results/"), path))
        lines += [f"    {path}" for path in inputs[:_INPUTS_SHOWN]]
        if len(item.inputs) > _INPUTS_SHOWN:
            lines.append(f"    and {len(item.inputs) - _INPUTS_SHOWN} more")
    settings = [f"{name} = {shown(value)}" for name, value in flat(item.spec or {})]
    if settings:
        lines += ["  With the settings:", *(f"    {line}" for line in settings)]
    if item.code:
        lines.append(f"  By the code {item.code}" + _versions(item) + ".")
    elif item.made_with:
        made_with = ", ".join(f"{name} {version}" for name, version in sorted(item.made_with.items()))
        lines.append(f"  By the declared versions {made_with}" + _versions(item) + ".")
    return lines


def _versions(item: FileOrigin) -> str:
    versions = item.facts.get("versions") or {}
    return f" with {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}" if versions else ""


def _state(explanation: Explanation) -> str:
    if explanation.state == "current":
        return "nothing. Settings, code and input files are those it was made from."
    if explanation.state == "not there":
        return "asking for it."
    if explanation.state == "not known":
        return f"that cannot be told, since {explanation.note}"
    if explanation.state == "not asked":
        hint = "If it was made with a configuration of your own, give that with --configfile."
        if explanation.instead is None:
            return f"nothing, {explanation.note or 'since nothing that is configured today asks for it'}. {hint}"
        return (
            f"going back to its settings. Nothing that is configured today asks for it.\n"
            f"{hint}\nThe nearest file that is asked for is {explanation.instead}. There"
        )
    return "running Snakemake now would, because"


def _where(cause: Cause, explanation: Explanation) -> str:
    files = [file for file in cause.files if file != explanation.path and file not in cause.text]
    if not files:
        return ""
    return f" (for {files[0]})" if len(files) == 1 else f" (for {files[0]} and {len(files) - 1} more)"


def _jobs(jobs: Mapping[str, int]) -> str:
    total = sum(jobs.values())
    return f"{total} job{'s' if total > 1 else ''}: " + ", ".join(f"{n} {rule}" for rule, n in sorted(jobs.items()))


# Why: today's jobs against what was recorded


def causes(
    targets: Sequence[str], groups: Mapping[Any, Sequence[PlannedJob]], jobs: Sequence[PlannedJob], root: Path
) -> dict[Any, list[Cause]]:
    """Why groups of jobs would run.

    Parameters
    ----------
    targets : sequence of str
        The files that are asked for.
    groups : mapping
        Jobs that would run, by anything.
    jobs : sequence of PlannedJob
        All jobs behind `targets`.
    root : path
        Folder of the project.
    """
    produced = {output for job in jobs for output in job.output}
    # what the files were made from then and would not be made from now
    replaced = [item for path, item in ancestors(targets, root).items() if path not in produced and item.rule]
    found: dict[Any, dict[str, list[str]]] = {name: {} for name in groups}
    for name, running in groups.items():
        for job in running:
            path = next((output for output in job.output if output in targets), job.output[0])
            there = (root / path).is_file()
            before = made(path, root)
            if not there and not before.known:
                before = _nearest(job, replaced) or before
            for text in _reasons(job, before, there, produced, root):
                found[name].setdefault(text, []).append(path)
    return {name: [Cause(text, sorted(set(files))) for text, files in of.items()] for name, of in found.items()}


def _reasons(job: PlannedJob, before: FileOrigin, there: bool, produced: set[str], root: Path) -> Iterable[str]:
    if not before.known:
        if not there:
            yield f"{job.output[0]} is needed and was never made"
        return
    if before.path in job.output and not there:
        yield f"{before.path} is no longer there"
    now = _spec(job)
    for difference in differences(before.spec, now):
        yield difference.words()
    yield from row_differences(before.spec, now)
    code = job.params.get("code")
    if code is not None and code not in before.params and code != before.code:
        yield _code(job, before, root)
    if "made_with" in job.params and before.made_with:
        for one in differences(before.made_with, json.loads(job.params["made_with"])):
            yield f"the declared version of {one.words()}"
    weights = job.params.get("weights")
    if weights and before.params and weights not in before.params:
        yield f"the weights of a checkpoint that {job.rule} loads have changed"
    state = job.params.get("state")
    if state is not None and before.params and state not in before.params:
        yield f"files that {job.rule} reads were exchanged, added or removed in the folder of the dataset"
    for path in job.updated:
        yield f"{path} has changed"
    outside = [path for path in set(job.inputs) ^ set(before.inputs) if path not in produced]
    for path in sorted(outside) if before.rule and before.path in job.output else ():
        if path in job.inputs:
            yield f"{path} is a new input file"
        elif not path.startswith("results/"):
            yield f"{path} is no longer an input file"
    if job.template:
        yield f"the command of the rule {job.rule} was edited"
    if job.environment_differs:
        changed = differences(pins(before.environment), pins(job.environment))
        yield "the environment differs: " + (
            ", ".join(item.words() for item in changed) or "conda was used, or was not"
        )


def _code(job: PlannedJob, before: FileOrigin, root: Path) -> str:
    """Which modules of the code changed: from the digests in a manifest, else from the dates of the files."""
    program = before.program or job.rule
    roots = before.roots(job.params["code"])
    now = modules(roots)
    then = _noted_modules(before, root)
    if then:
        changed = [name for name in sorted(now) if now[name] != then.get(name)]
    elif before.ended is not None:
        changed = [name for name in sorted(now) if (SCRIPTS / name).stat().st_mtime > before.ended]
        if len(changed) == len(now) > 1:  # a checkout gives every file the same new date
            changed = []
    else:
        changed = []
    more = [f"and {len(changed) - _MODULES_SHOWN} more"] if len(changed) > _MODULES_SHOWN else []
    shown_modules = ", ".join(changed[:_MODULES_SHOWN] + more)
    return f"the code of {program} changed" + (f": {shown_modules}" if changed else "")


def _noted_modules(before: FileOrigin, root: Path) -> dict[str, str]:
    """Digests of modules in a manifest that knows the same code of the same file."""
    for file in sorted((root / "results/manifests").glob("*.json")):
        try:
            manifest = read_manifest(file)
        except InputError:
            continue
        if before.code and manifest["files"].get(before.path, {}).get("code") == before.code:
            return dict(manifest["modules"])
    return {}


def _nearest(job: PlannedJob, replaced: Iterable[FileOrigin]) -> FileOrigin | None:
    """Among files that today's do without, the one of the same rule whose settings are nearest."""
    same = [item for item in replaced if item.rule == job.rule]
    return min(same, key=lambda item: (len(differences(item.spec, _spec(job))), item.path), default=None)


def _spec(job: PlannedJob) -> dict[str, Any] | None:
    text = job.params.get("spec")
    return json.loads(text) if text else None


# Files that nothing asks for today


def _not_asked(path: str, item: FileOrigin, root: Path, configfiles: Sequence[Path]) -> Explanation:
    parts = Path(path).parts
    dataset = parts[2] if len(parts) > 3 else None
    try:
        targets = tables_of(dataset, root, configfiles)
        jobs = jobs_for(targets, root, configfiles) if targets else []
    except (InputError, NotAsked, NoRule):
        jobs = []
    producer = {output: job for job in jobs for output in job.output}
    # the settings of everything behind a file, since its own are often those of another file, too
    then: dict[str, Any] = {
        one.rule or "": one.spec for one in ancestors([item.path], root).values() if one.spec and one.rule
    }
    then |= {item.rule or "": item.spec}
    found = []
    for job in jobs:
        if job.rule == item.rule:
            now = _behind(job, producer)
            settings = {
                one.key: one for rule in sorted(then | now) for one in differences(then.get(rule), now.get(rule))
            }
            found.append((len(settings), job.output[0], settings))
    if not found:
        return Explanation(path, item, "not asked")
    _, instead, settings = min(found, key=lambda entry: entry[:2])
    texts = dict.fromkeys(one.words() for one in settings.values())
    return Explanation(path, item, "not asked", [Cause(text, []) for text in texts], instead=instead)


def _behind(job: PlannedJob, producer: Mapping[str, PlannedJob]) -> dict[str, dict[str, Any] | None]:
    found: dict[str, dict[str, Any] | None] = {}
    todo, seen = [job], set()
    while todo:
        one = todo.pop()
        if one.output in seen:
            continue
        seen.add(one.output)
        found.setdefault(one.rule, _spec(one))
        todo += [producer[path] for path in one.inputs if path in producer]
    return {rule: spec for rule, spec in found.items() if spec}


# Files that nobody knows


def _made_as_log(path: str, root: Path) -> str | None:
    """The output of the job that wrote a file of results as one of its logs."""
    if not (root / path).is_file():
        return None
    return next((output for output in recorded(root) if path in made(output, root).log), None)


def _as_planned(job: PlannedJob, path: str) -> FileOrigin:
    return FileOrigin(path, rule=job.rule, inputs=job.inputs, spec=_spec(job), params=tuple(job.params.values()))


def _unknown(path: str, root: Path) -> InputError:
    known = [*recorded(root), *(file.relative_to(root).as_posix() for file in (root / "results/tables").glob("*"))]
    there = (root / path).is_file()
    return InputError(
        "is not made by the workflow" if there else "there is no such file, and no rule makes it",
        file=path,
        expected="a file of results that the workflow makes (results/README.md)",
        hint=did_you_mean(path, known),
    )
