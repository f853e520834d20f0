"""Provenance: the manifest of a table, which leads from each of its rows back to labels, videos, models and code.

Everything in a manifest but `made` is the same for the same results, code and packages; what differs from run to run
(time, machine, seconds) stands in `made` alone. Paths are relative to the project. A file that lies elsewhere is named
by its digest and its own name, so that no manifest tells where somebody keeps things.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from framesift.core.code_digest import SCRIPTS, import_closure, normalised
from framesift.core.errors import InputError, did_you_mean
from framesift.core.spec import spec_digest
from framesift.program.job_costs import benchmark_of, read_costs
from framesift.provenance.differences import CONSEQUENCES
from framesift.provenance.environment import machine, software
from framesift.provenance.lineage import FileOrigin, ancestors, made, when
from framesift.storage.cached_values import cached_digest
from framesift.storage.files import read_csv, read_json, write_json
from framesift.tables.rows import RowId

FORMAT = 1
#: Columns of a table that a manifest repeats, so that two manifests can be compared.
NUMBERS = ("n", "n_total", "excluded", "unparsed", "accuracy", "difference", "p_value", "frames_mean")
#: Digests of larger files are remembered in results/cache.
_LARGE = 50 * 2**20
_CACHE = "results/cache/digests"
#: Steps that belong to one row alone; what follows them is shared by all rows.
_OF_A_ROW = ("results/selections/", "results/answers/")


def manifest_path(table: str) -> str:
    return f"results/manifests/{table}.json"


def write_manifest(path: str | Path, manifest: Mapping[str, Any]) -> None:
    write_json(path, manifest, checked=True)


def read_manifest(path: str | Path) -> dict[str, Any]:
    """A manifest of `make_manifest`.

    Raises
    ------
    InputError
        For a file that is none, or one of another format.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"table", "rows", "files"} <= content.keys():
        raise InputError("is no manifest", file=path, expected="results/manifests/TABLE.json")
    if content.get("format") != FORMAT:
        raise InputError("has another format", file=path, value=content.get("format"), expected=str(FORMAT))
    return content


def make_manifest(table: str, root: Path, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The manifest of a finished table.

    Parameters
    ----------
    table : str
        Its name.
    root : path
        Folder of the project, the one that holds `results`.
    spec : mapping, optional
        The table's spec; else the one that Snakemake recorded.

    Returns
    -------
    dict
        ``configuration`` (the spec of the table), ``rows`` by the id of the cell, ``files`` by path, ``videos``,
        ``datasets``, ``programs`` (what each digest of code is of), ``modules`` (digests of single files of code),
        ``software``, and ``made``.

    Raises
    ------
    InputError
        Where the table is not there, or nobody recorded what it was made from.
    """
    return _Maker(table, root.resolve(), spec).manifest()


class _Maker:
    def __init__(self, table: str, root: Path, spec: Mapping[str, Any] | None) -> None:
        self.name, self.root = table, root
        self.csv = f"results/tables/{table}.csv"
        if not (root / self.csv).is_file():
            there = [file.stem for file in (root / "results/tables").glob("*.csv")]
            hint = did_you_mean(table, there) or f"snakemake --cores all {self.csv}"
            raise InputError("there is no such table", file=self.csv, hint=hint)
        self.known: dict[str, FileOrigin] = {}
        own = made(self.csv, root)
        spec = spec or own.spec
        if spec is None or "cells" not in spec:
            raise InputError(
                "nobody recorded what it was made from",
                file=self.csv,
                expected="a record of Snakemake in .snakemake/metadata",
                hint="was the table copied from elsewhere? copy its results/manifests too",
            )
        self.spec: Mapping[str, Any] = spec
        self.judged = f"results/judged/{table}.json"
        self.beside = [path for path in own.inputs if not path.startswith(_OF_A_ROW) and path != self.judged]
        self.videos = self._videos(own.inputs)
        self.digests: dict[str, str | None] = {}
        self.noted: dict[str, str] = {}

    def manifest(self) -> dict[str, Any]:
        cells = {cell["id"]: cell for cell in self.spec["cells"]}
        lines = {name: self._files_of(cell) for name, cell in cells.items()}
        everything: dict[str, FileOrigin] = {path: item for line in lines.values() for path, item in line.items()}
        for item in everything.values():
            self.noted |= {path: text.removeprefix("sha256:") for path, text in item.checksums.items()}
        self.digests = {path: self._digest(path) for path in sorted(everything)}
        numbers = self._numbers()
        files = {self._tell(path): self._file(everything[path]) for path in sorted(everything)}
        content: dict[str, Any] = {
            "format": FORMAT,
            "table": self.name,
            "tables": self._tables(),
            "configuration": without_places(self.spec),
            "rows": {
                name: self._row(cell, lines[name], numbers.get(RowId.of(cell), {})) for name, cell in cells.items()
            },
            "files": files,
            "videos": dict(sorted(self.videos.values())),
            "datasets": self._datasets(everything),
        }
        roots = {item.code: item.roots(item.code) for item in everything.values() if item.code}
        content["programs"] = {code: list(found) for code, found in sorted(roots.items()) if found}
        content["modules"] = modules(root for found in roots.values() for root in found)
        content["software"] = software(self.root)
        steps = {self._tell(path): self._step(item) for path, item in sorted(everything.items()) if item.rule}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {**content, "made": {"time": now, "machine": machine(), "steps": steps}}

    def _files_of(self, cell: Mapping[str, Any]) -> dict[str, FileOrigin]:
        """All files that a row depends on. The verdicts are one file for all rows, so their inputs are not followed."""
        own = [*cell["answers"], *([cell["selection"]] if cell.get("selection") else []), *self.beside]
        found = ancestors(own, self.root, self.known)
        if (self.root / self.judged).is_file():
            found[self.judged] = made(self.judged, self.root)
        return dict(sorted(found.items()))

    def _row(
        self, cell: Mapping[str, Any], line: Mapping[str, FileOrigin], numbers: Mapping[str, Any]
    ) -> dict[str, Any]:
        configuration = {
            item.rule or _stage(path): {key: value for key, value in item.spec.items() if key not in CONSEQUENCES}
            for path, item in line.items()
            if item.spec
        }
        return {
            "name": str(RowId.of(cell)),
            **RowId.of(cell)._asdict(),
            "numbers": dict(numbers),
            "configuration": without_places(configuration),
            "models": self._models(line),
            "answers": [self._tell(path) for path in cell["answers"]],
            "selection": self._tell(cell["selection"]) if cell.get("selection") else None,
            "files": sorted(self._tell(path) for path in line),
        }

    def _file(self, item: FileOrigin) -> dict[str, Any]:
        path = self.root / item.path
        entry: dict[str, Any]
        if is_timed(item.path):
            entry = {"sha256_without_seconds": digest_without_seconds(path) if path.is_file() else None}
        else:
            size = path.stat().st_size if path.is_file() else None
            entry = {"sha256": self.digests[item.path], "size": size}
        if not item.known:
            return entry
        # the ids of other rows are in the inputs and the spec of the verdicts
        inputs = [one for one in item.inputs if item.path != self.judged or not one.startswith(_OF_A_ROW)]
        facts = {key: value for key, value in item.facts.items() if key not in ("spec", "code", "lmms_eval")}
        entry |= {
            "rule": item.rule,
            "inputs": sorted(self._tell(one) for one in inputs),
            "spec": without_places({key: value for key, value in (item.spec or {}).items() if key not in CONSEQUENCES}),
            "code": item.code,
            **({"made_with": item.made_with} if item.made_with else {}),
            **without_places(facts),
        }
        if item.in_environment:
            entry["environment"] = pins(item.environment)
        return entry

    def _models(self, line: Mapping[str, FileOrigin]) -> dict[str, Any]:
        """Every checkpoint of a row, by what it does."""
        found: dict[str, Any] = {}
        for item in line.values():
            for role, part in (item.spec or {}).items():
                if not (isinstance(part, dict) and part.get("model")):
                    continue
                entry = found.setdefault(role, {"kind": part.get("kind"), "model": without_places(part["model"])})
                entry["revision"] = part.get("revision")
                if part["model"] in item.weights:
                    entry["weights"] = item.weights[part["model"]]
        return dict(sorted(found.items()))

    def _datasets(self, everything: Mapping[str, FileOrigin]) -> dict[str, Any]:
        name = self.spec["dataset"]
        labels = everything.get(f"results/labels/{name}.json")
        entry: dict[str, Any] = {"kind": (labels.spec or {}).get("kind") if labels else None}
        path = self.root / f"results/datasets/{name}.json"
        if path.is_file():
            downloaded = read_json(path)
            entry |= {key: downloaded.get(key) for key in ("repo", "revision", "questions")}
            entry["missing"] = len(downloaded.get("missing", ()))
        return {name: entry}

    def _numbers(self) -> dict[tuple, dict[str, Any]]:
        """What the table says, by the identity of the row."""
        return {
            RowId.of(row): {column: _number(row[column]) for column in NUMBERS if column in row}
            for row in read_csv(self.root / self.csv)
        }

    def _tables(self) -> dict[str, str | None]:
        """The files of the table with their digests. Timings differ from run to run, so theirs says nothing."""
        found = sorted((self.root / "results/tables").glob(f"{self.name}*"))
        own = re.compile(rf"{re.escape(self.name)}(_groups)?\.\w+")
        return {f"results/tables/{file.name}": self._digest(f"results/tables/{file.name}")
                for file in found if own.fullmatch(file.name)}  # fmt: skip

    def _step(self, item: FileOrigin) -> dict[str, Any]:
        seconds = round(item.ended - item.started, 1) if item.started and item.ended else None
        entry: dict[str, Any] = {"started": when(item.started), "seconds": seconds}
        if is_timed(item.path):
            entry["sha256"] = self.digests[item.path]
        if item.log:
            entry |= _measured(self.root / benchmark_of(item.log[0]))
        return entry

    def _videos(self, inputs: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Id and digest of each video, by the path of its file; from the table of videos, so none is read again."""
        found: dict[str, tuple[str, str]] = {}
        for path in inputs:
            if path.startswith("results/videos/") and path.endswith(".parquet") and (self.root / path).is_file():
                import pyarrow.parquet as pq

                rows = pq.read_table(self.root / path, columns=["video_id", "path", "digest"]).to_pylist()
                found |= {row["path"]: (row["video_id"], row["digest"]) for row in rows if row["digest"]}
        return found

    def _digest(self, path: str) -> str | None:
        if path in self.videos:
            return self.videos[path][1]
        file = self.root / path
        if not file.is_file():
            return self.noted.get(path)
        return cached_digest(file, self.root / _CACHE if file.stat().st_size > _LARGE else None)

    # Paths, without where somebody keeps things

    def _tell(self, path: str) -> str:
        """The path as a manifest names it."""
        if not PurePosixPath(path).is_absolute() and (self.root / path).resolve().is_relative_to(self.root):
            return path
        digest = self.digests.get(path) or ""
        return "/".join(part for part in ("elsewhere", digest[:12], PurePosixPath(path).name) if part)


def without_places(value: Any) -> Any:
    """A setting in which paths that lead out of the project are replaced by names, so that it tells no place.

    Examples
    --------
    >>> without_places({"model": "/somewhere/models/clip", "dtype": "float32"})
    {'model': 'elsewhere/clip', 'dtype': 'float32'}
    """
    if isinstance(value, Mapping):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(item) for item in value]
    outside = isinstance(value, str) and value.startswith(("/", "~", "../")) and "\n" not in value
    return f"elsewhere/{PurePosixPath(value).name}" if outside else value


def modules(roots: Iterable[str]) -> dict[str, str]:
    """Digests of the programs and library modules that `roots` consist of; comments and documentation do not count."""
    found = {}
    for path in import_closure(set(roots)):
        text = normalised(path, path.stat().st_mtime_ns)
        found[path.relative_to(SCRIPTS).as_posix()] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return found


def is_timed(path: str) -> bool:
    """Whether a file holds the seconds that something took, and so differs between runs that are otherwise equal."""
    return path.startswith("results/answers/")


def digest_without_seconds(path: Path) -> str:
    """SHA-256 of the canonical JSON of a file of answers, its `seconds` and the measured `cost` left out."""
    content = read_json(path)
    questions = content.get("questions", {}) if isinstance(content, dict) else {}
    measured = ("seconds", "cost")
    same = {name: {key: answer[key] for key in answer if key not in measured} for name, answer in questions.items()}
    return spec_digest({**content, "questions": same})


def pins(environment: str) -> dict[str, str]:
    """Versions that an environment file pins.

    >>> pins("dependencies: [python=3.11, {pip: [numpy==2.4.6]}]")
    {'python': '3.11', 'numpy': '2.4.6'}
    """
    return dict(re.findall(r"([\w.-]+)={1,2}([\w.]+)", environment))


def _stage(path: str) -> str:
    """What a file is, where its rule is not known: ``selections``."""
    parts = PurePosixPath(path).parts
    return parts[1] if len(parts) > 2 else parts[0]


def _number(text: str) -> float | int | str | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def _measured(benchmark: Path) -> dict[str, float]:
    """CPU seconds and memory of a job."""
    costs = read_costs(benchmark)
    names = {"cpu_seconds": "cpu_time", "memory_mib": "max_rss"}
    return {name: costs[theirs] for name, theirs in names.items() if theirs in costs}
