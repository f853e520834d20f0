"""What the rules' environments hold, what their programs can import, and what they did import."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from framesift.core.code_digest import SCRIPTS, import_closure
from framesift.core.components import FAMILIES, implementation, kinds
from project import ROOT

ENVS = ROOT / "envs"
NAMES = tuple(sorted(file.stem for file in ENVS.glob("*.yaml")))
#: Above it an env file lists what the programs import, below it what those packages need themselves.
LINE = "# what these need"

#: Imports that stand in code which no program of the environment calls, or only with what it lacks.
_FETCHED = "a checkpoint is fetched in data.yaml's environment; elsewhere it is only looked for"
NEVER_CALLED = {
    "torch": {
        "data": "framesift.checkpoints.component also loads checkpoints; downloading one does not",
    },
    "transformers": {"data": "as torch"},
    "safetensors": {
        "data": "framesift.selection.select_frames also reads embeddings; released selections have none",
    },
    "PIL": {"data": "framesift.scoring.scorers also sees pictures; released scores have none"},
    "httpx2": dict.fromkeys(("evaluate", "features", "lavis", "llava", "train"), _FETCHED),
    "rich": dict.fromkeys(("evaluate", "features", "lavis", "llava", "train"), _FETCHED),
    "av": {"select": "framesift.video.table also probes videos; selecting reads the table of them"},
    "torchcodec": dict.fromkeys(("features", "lavis"), "`decoder: torchcodec` is for those who installed it to match"),
    "flash_attn": dict.fromkeys(
        ("evaluate", "llava"), "`attn_implementation: flash_attention_2` is for those who have it"
    ),
}


@dataclass(frozen=True)
class EnvFile:
    """An env file: conda's requirements, pip's that are there for the programs, and pip's that those need."""

    name: str
    text: str

    @classmethod
    def of(cls, name: str) -> EnvFile:
        return cls(name, (ENVS / f"{name}.yaml").read_text())

    @property
    def content(self) -> dict:
        return yaml.safe_load(self.text)

    @property
    def conda(self) -> list[str]:
        return [item for item in self.content["dependencies"] if isinstance(item, str)]

    @property
    def pip(self) -> list[str]:
        return [line for item in self.content["dependencies"] if isinstance(item, dict) for line in item["pip"]]

    @property
    def imported(self) -> list[str]:
        above = re.findall(r"^ {6}- (\S+)", self.text.split(LINE)[0], flags=re.MULTILINE)
        return self.pip[: len(above)]

    @property
    def lock(self) -> Path:
        own = ENVS / f"{self.name}.lock"
        return own if own.exists() else ENVS / "demo.lock"


def distribution(requirement: str) -> str:
    """The name of the package that a requirement asks for."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found[0].lower()


@dataclass(frozen=True)
class Rule:
    """A rule that runs a program."""

    name: str
    program: str
    conda: str | None

    @property
    def envs(self) -> set[str]:
        """The environments that it may run in: a rule that asks the plan has those of a family's components."""
        if self.conda is None:
            return set()
        if file := re.fullmatch(r'"\.\./envs/(\w+)\.yaml"', self.conda):
            return {file[1]}
        assert "plan.env(" in self.conda, self.conda
        return {env for family in families(self.program) for env in envs_of(family)}


@cache
def rules() -> list[Rule]:
    """The rules that run a program, as snakefmt writes them."""
    found = []
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for name, body in re.findall(r"^(?:rule|checkpoint) (\w+):\n((?: .*\n|\n)*)", file.read_text(), re.MULTILINE):
            program = re.search(r'program=program\("(\w+\.py)"\)', body)
            conda = re.search(r"^    conda:\n +(.+)\n", body, re.MULTILINE)
            if program:
                found.append(Rule(name, program[1], conda[1] if conda else None))
            else:
                assert not re.search("shell:|script:|run:", body), name
    return found


@cache
def families(program: str) -> set[str]:
    """The families whose components a program makes by name: those that a call of `build` in its closure names."""
    named = set()
    for file in import_closure([program]):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "build":
                named |= {part.value for part in ast.walk(call.args[0]) if isinstance(part, ast.Constant)}
    return named & set(FAMILIES)


@cache
def env_of(family: str, kind: str) -> str | None:
    return getattr(implementation(family, kind), "env", None)


def envs_of(family: str) -> set[str]:
    return {env for kind in kinds(family) if (env := env_of(family, kind))}


def roots(rule: Rule, env: str) -> list[str]:
    """A rule's program and the components that it can make in an environment."""
    components = [
        f"{FAMILIES[family]}.{kind}"
        for family in sorted(families(rule.program))
        for kind in kinds(family)
        if env_of(family, kind) == env or not envs_of(family)
    ]
    return [rule.program, *components]


def sources(env: str) -> set[Path]:
    """The programs of an environment, with all of the library that they can import."""
    found: set[Path] = set()
    todo = {root for rule in rules() if env in rule.envs for root in roots(rule, env)}
    done: set[str] = set()
    while todo:
        new = set(import_closure(todo)) - found
        found |= new
        done |= todo
        named = {name for file in new for name, _ in imports(file) if name.startswith("framesift.")}
        todo = {name for name in named if (SCRIPTS / f"{name.replace('.', '/')}.py").is_file()} - done
    return found


@cache
def third_party(env: str) -> dict[str, set[tuple[str, str | None]]]:
    """What the programs of an environment can import of others, by the top module: pairs of a module and a name of it.

    Every import counts, whether or not its function is ever called.
    """
    found: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for file in sources(env):
        for module, name in imports(file):
            top = module.split(".")[0]
            if top not in sys.stdlib_module_names and top != "framesift":
                found[top].add((module, name))
    return found


@cache
def imports(file: Path) -> set[tuple[str, str | None]]:
    """The modules that a file imports, with the names it takes from them: by statements, inside functions too, and by
    constants that are given to `import_module` or `find_spec`."""
    found: set[tuple[str, str | None]] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {(alias.name, None) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Call) and (name := _name_to_import(node)):
            found.add((name, None))
    return found


def _name_to_import(call: ast.Call) -> str | None:
    called = getattr(call.func, "attr", None) or getattr(call.func, "id", None)
    if called in ("import_module", "find_spec") and call.args and isinstance(call.args[0], ast.Constant):
        return call.args[0].value
    return None


#: Put into an environment, this makes each of its programs leave a list of the files that it imported.
RECORDER = """
import atexit, json, os, sys, uuid

def record():
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    path = os.path.join(os.environ["RECORD_IMPORTS"], uuid.uuid4().hex)
    with open(path, "w") as file:
        json.dump({"program": sys.argv[0], "prefix": sys.prefix, "files": files}, file)
    os.rename(path, path + ".json")  # a worker may be killed while it ends

if "RECORD_IMPORTS" in os.environ:
    atexit.register(record)
"""


@dataclass(frozen=True)
class Imported:
    """What one run of a program imported."""

    program: str
    prefix: Path
    files: dict[str, Path]

    @classmethod
    def all(cls, folder: Path) -> list[Imported]:
        """The lists that RECORDER left in a folder."""
        found = []
        for file in sorted(folder.glob("*.json")):
            content = json.loads(file.read_text())
            # modules that torch makes without a file say where as "_ops.py"
            files = {name: Path(path) for name, path in content["files"].items() if os.path.isabs(path or "")}
            found.append(cls(Path(content["program"]).name, Path(content["prefix"]), files))
        return found

    @property
    def packages(self) -> set[str]:
        """The packages that came from the environment."""
        return {name.split(".")[0] for name, path in self.files.items() if path.is_relative_to(self.prefix)}

    def foreign(self, scripts: Path) -> dict[str, Path]:
        """What came neither from the environment, nor from Python itself, nor from the programs in `scripts`."""
        python = Path(json.__file__).parents[1]  # the standard library, which an environment shares
        return {
            name: path
            for name, path in self.files.items()
            if not path.is_relative_to(self.prefix)
            and not path.resolve().is_relative_to(scripts.resolve())
            and (not path.is_relative_to(python) or "site-packages" in path.parts)
        }
