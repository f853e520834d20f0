"""How a file was made: from Snakemake's own records, and from what the file says of itself.

Snakemake keeps one JSON file for each output in ``.snakemake/metadata``: rule, input files with their checksums,
parameters, command and times. Of the parameters it keeps the values without their names, so the spec is read from the
command line. Files made by the library also carry their spec and the digest of the code (`made_by` in JSON, the
metadata of parquet and safetensors), which is what is left of a result that came from another machine.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from framesift.core.code_digest import SCRIPTS, code_digest
from framesift.core.components import FAMILIES, kinds, module_of
from framesift.core.versions import STAGES, WEIGHTS

METADATA = Path(".snakemake/metadata")
#: Longest name of a file in which Snakemake keeps a record; longer ones continue in folders.
_NAME = 255
_PROGRAM = re.compile(r"(?:^|[\s/])(\w+\.py)(?=[\s'\"]|$)")
_DIGEST = re.compile(r"[0-9a-f]{12}")
#: What Snakemake records of a job that ran in no environment of its own: the MD5 of nothing.
_NO_ENVIRONMENT = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True)
class FileOrigin:
    """How one file was made, as far as it is known.

    Attributes
    ----------
    path : str
        Relative to the folder of the project.
    rule : str or None
        None where Snakemake has no record of the file.
    inputs : tuple of str
        Files it was made from.
    checksums : mapping
        What Snakemake noted of small input files, by path: ``sha256:...``.
    spec : dict or None
        The settings.
    params : tuple of str
        Values of all parameters, without their names.
    facts : mapping
        What else the file says of itself: versions, weights.
    command : str
    log : tuple of str
    started, ended : float or None
        Seconds since 1970.
    environment : str
        The environment file of the rule, whether it was used or not.
    in_environment : bool
        The job ran in that environment.
    """

    path: str
    rule: str | None = None
    inputs: tuple[str, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    spec: dict[str, Any] | None = None
    params: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    log: tuple[str, ...] = ()
    started: float | None = None
    ended: float | None = None
    environment: str = ""
    in_environment: bool = False

    @property
    def known(self) -> bool:
        """Whether anything is known of how the file was made."""
        return self.rule is not None or self.spec is not None or bool(self.facts)

    @property
    def program(self) -> str | None:
        found = _PROGRAM.search(self.command)
        return found[1] if found else None

    @cached_property
    def code(self) -> str | None:
        """Digest of the code that made the file; None if it is not known, or if declared versions take its place."""
        if own := self.facts.get("code"):
            return str(own)
        candidates = sorted(param for param in self.params if _DIGEST.fullmatch(param))
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        return next((one for one in candidates if self.roots(one)), None)

    @property
    def made_with(self) -> dict[str, int | str]:
        """Declared versions of what made a costly file (`framesift.core.versions`); empty for any other."""
        for found in (self.facts.get("made_with"), *map(_mapping, self.params)):
            if isinstance(found, dict) and found.keys() & STAGES.keys():
                return dict(found)
        return {}

    @property
    def weights(self) -> dict[str, str]:
        """Digests of weights in folders and files on this machine, by their paths."""
        found = (_mapping(one.removeprefix(WEIGHTS)) for one in self.params if one.startswith(WEIGHTS))
        return next((one for one in found if one), {})

    def roots(self, digest: str | None) -> tuple[str, ...]:
        """The program and the components whose code has this digest today; none where it is another.

        A rule names its program and those components that the program loads by name; which ones follows from the
        digest.
        """
        if self.program is None or digest is None or not (SCRIPTS / self.program).is_file():
            return ()
        components = _components(self.spec or {})
        for n in range(len(components) + 1):
            for chosen in combinations(components, n):
                with suppress(FileNotFoundError):  # a plug-in that is gone
                    if code_digest(self.program, *chosen) == digest:
                        return self.program, *chosen
        return ()


def _components(spec: Mapping[str, Any]) -> list[str]:
    """Modules of the components in a spec. Only the kind is written there, so each family that has it counts."""
    found = {part["kind"] for part in (spec, *spec.values()) if isinstance(part, dict) and "kind" in part}
    return sorted(module_of(family, kind) for family in FAMILIES for kind in kinds(family) if kind in found)


def made(path: str, root: Path) -> FileOrigin:
    """How the file at `path` (relative to `root`) was made."""
    record = _record(path, root)
    facts = dict(says_of_itself(root / path))
    spec = facts.pop("spec", None)
    if record is None:
        return FileOrigin(path, spec=spec, facts=facts)
    command = record.get("shellcmd") or ""
    return FileOrigin(
        path,
        rule=record.get("rule"),
        inputs=tuple(sorted(record.get("input") or ())),
        checksums=record.get("input_checksums") or {},
        spec=_spec_of(command) or spec,
        params=tuple(_value(text) for text in record.get("params") or ()),
        facts=facts,
        command=command,
        log=tuple(record.get("log") or ()),
        started=record.get("starttime"),
        ended=record.get("endtime"),
        environment=urlsafe_b64decode(record.get("conda_env") or "").decode(errors="replace"),
        in_environment=record.get("software_stack_hash") not in (None, "", _NO_ENVIRONMENT),
    )


def recorded(root: Path) -> Iterator[str]:
    """Paths of all files that Snakemake has a record of."""
    folder = root / METADATA
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        parts = [part.removeprefix("@") for part in file.relative_to(folder).parts]
        try:
            yield urlsafe_b64decode("".join(parts)).decode()
        except ValueError:
            continue  # not one of Snakemake's


def says_of_itself(path: Path) -> dict[str, Any]:
    """What a result file holds about how it was made; nothing where it holds nothing, or is not there."""
    try:
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            found = content.get("made_by") if isinstance(content, dict) else None
            return found if isinstance(found, dict) else {}
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            metadata = pq.read_schema(path).metadata or {}
            return {"spec": json.loads(metadata[b"spec"])} if b"spec" in metadata else {}
        if path.suffix == ".safetensors":
            return _in_tensors(path)
    except (OSError, ValueError):
        pass
    return {}


def _in_tensors(path: Path) -> dict[str, Any]:
    # the header is JSON behind its length, so no library for tensors is needed
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    metadata = header.get("__metadata__", {})
    if "made_by" in metadata:
        return dict(json.loads(metadata["made_by"]))
    return {"spec": json.loads(metadata["spec"])} if "spec" in metadata else {}


def ancestors(paths: Iterable[str], root: Path, known: dict[str, FileOrigin] | None = None) -> dict[str, FileOrigin]:
    """The files `paths` with all that they were made from, by path; `known` is filled as files are read."""
    known = {} if known is None else known
    found: dict[str, FileOrigin] = {}
    todo = sorted(paths, reverse=True)
    while todo:
        path = todo.pop()
        if path in found:
            continue
        if path not in known:
            known[path] = made(path, root)
        found[path] = known[path]
        todo += known[path].inputs
    return found


def when(seconds: float | None) -> str | None:
    """A time as text, in UTC: ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None


def _record(path: str, root: Path) -> dict[str, Any] | None:
    name = urlsafe_b64encode(path.encode()).decode()
    parts = [name[start : start + _NAME - 1] for start in range(0, len(name), _NAME - 1)]
    file = root.joinpath(METADATA, *(f"@{part}" for part in parts[:-1]), parts[-1])
    try:
        record = json.loads(file.read_text())
    except (OSError, ValueError):  # a record is not written in one step
        return None
    return record if isinstance(record, dict) and record.get("rule") else None


def _spec_of(command: str) -> dict[str, Any] | None:
    try:
        words = shlex.split(command)
        spec = json.loads(words[words.index("--spec") + 1])
    except (ValueError, IndexError):
        return None
    return spec if isinstance(spec, dict) else None


def _mapping(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _value(text: str) -> str:
    """A recorded parameter, which is a literal of Python, as text."""
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text
