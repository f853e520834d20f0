"""Change the program one place at a time, and see whether a test notices.

Each mutant is one small change of one file: a comparison flipped or moved by its boundary, an operator or a constant
changed, a condition negated, a statement left out, the arguments of min and max exchanged. The tests of that file run
in a copy of the checkout. A mutant that they fail is killed; one that they pass shows what no test holds.

Examples:
  python tools/mutate.py --count 60
  python tools/mutate.py --only judging/option_parser.py --count 20 --seed 3
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "workflow/scripts/framesift"
#: Which tests hold which files of the library (the first pattern that fits).
TESTS = {
    "selection/selectors/aks.py": "test_selectors_aks_variants test_selectors test_boundaries",
    "selection/selectors/focus.py": "test_selectors_peers_a",
    "selection/selectors/[bdqw]*.py": "test_selectors_peers_a test_selectors_peers_b test_selectors_more",
    "selection/selectors/_dpp.py": "test_selectors_peers_b",
    "selection/selectors/mdp3*.py": "test_selectors_peers_b",
    "selection/selectors/adard.py": "test_selectors_peers_b",
    "selection/selectors/_scaling.py": "test_boundaries test_selectors_peers_a",
    "selection/selectors/*.py": "test_boundaries test_selectors test_selectors_more test_adaptive",
    "selection/select_frames.py": "test_selectors test_select_by_hand",
    "scoring/cache.py": "test_boundaries test_scoring",
    "core/spec.py": "test_spec test_plan",
    "config/plan.py": "test_plan test_planning",
    "judging/option_parser.py": "test_boundaries test_parsing",
    "tables/verdicts.py": "test_tables test_statistics",
    "tables/statistics.py": "test_statistics test_tables",
    "answering/protocols.py": "test_protocols test_evaluation",
    "answering/retake/dpselect.py": "test_retake_dpselect test_retake",
    "answering/retake/*.py": "test_retake test_retake_answerers",
    "video/grid.py": "test_boundaries test_video",
}
FLIPPED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: where, what was there and what is there now, and the text of the whole file."""

    file: str
    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a file.

    Examples
    --------
    >>> for mutant in mutants("f.py", "def f(a):\\n    return a < 3\\n"):
    ...     print(mutant)
    f.py:2: return a < 3  ->  return a <= 3
    f.py:2: return a < 3  ->  return a >= 3
    f.py:2: return a < 3  ->  return a < 4
    f.py:2: return a < 3  ->  return a < 2
    """
    return (mutant(file, source, *place) for place in places(source))


def places(source: str) -> list[tuple[int, int]]:
    """Where a file can be changed: the number of a node in `ast.walk`, and of a change of it."""
    tree = ast.parse(source)
    parents = _parents(tree)
    nodes = [
        (number, node)
        for number, node in enumerate(ast.walk(tree))
        if hasattr(node, "lineno") and not _is_message(parents, node)
    ]
    return [(number, change) for number, node in nodes for change in range(len(list(_changes(node))))]


def mutant(file: str, source: str, number: int, change: int) -> Mutant:
    """The mutant of one of the `places`."""
    trees = ast.parse(source), ast.parse(source)
    node, twin = (next(node for at, node in enumerate(ast.walk(tree)) if at == number) for tree in trees)
    list(_changes(node))[change](twin)
    shown = [_statement(_parents(tree), one) for tree, one in zip(trees, (node, twin), strict=True)]
    before, after = (" ".join(ast.unparse(one).split("\n")[0].split()) for one in shown)
    if before == after:  # in a later line of the statement
        before, after = ast.unparse(node), ast.unparse(twin)
    return Mutant(file, node.lineno, before, after, ast.unparse(ast.fix_missing_locations(trees[1])) + "\n")


def _changes(node: ast.AST) -> Iterator[Callable[[ast.AST], None]]:
    if isinstance(node, ast.Compare):
        kind = type(node.ops[0])
        yield lambda twin: twin.ops.__setitem__(0, FLIPPED[kind]())
        if kind in (ast.Lt, ast.LtE, ast.Gt, ast.GtE):
            opposite = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}[kind]
            yield lambda twin: twin.ops.__setitem__(0, opposite())
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in FLIPPED:
        yield lambda twin: setattr(twin, "op", FLIPPED[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        # `not x` becomes `not not x`
        yield lambda twin: twin.__dict__.update(
            {"op": ast.UAdd()} if isinstance(node.op, ast.USub) else {"operand": ast.UnaryOp(ast.Not(), twin.operand)}
        )
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield lambda twin: setattr(twin, "value", node.value + 1)
        yield lambda twin: setattr(twin, "value", node.value - 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield lambda twin: setattr(twin, "value", not node.value)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield lambda twin: setattr(twin, "test", ast.UnaryOp(ast.Not(), twin.test))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        yield lambda twin: setattr(twin.func, "id", "max" if node.func.id == "min" else "min")
    if isinstance(node, ast.Expr | ast.AugAssign) and not isinstance(getattr(node, "value", None), ast.Constant):
        yield _leave_out


def _leave_out(twin: ast.AST) -> None:
    twin.__class__, twin.__dict__ = ast.Pass, {key: twin.__dict__[key] for key in ("lineno", "col_offset")}


def _parents(tree: ast.AST) -> dict[int, ast.AST]:
    return {id(child): parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}


def _statement(parents: dict[int, ast.AST], node: ast.AST) -> ast.AST:
    while not isinstance(node, ast.stmt):
        node = parents[id(node)]
    return node


def _is_message(parents: dict[int, ast.AST], node: ast.AST) -> bool:
    """Whether it is part of an error, a log line or an annotation, or an assertion, which no test needs to hold."""
    while id(node) in parents:
        parent = parents[id(node)]
        if isinstance(parent, ast.Raise | ast.JoinedStr | ast.arg):
            return True
        if node in (getattr(parent, "annotation", None), getattr(parent, "returns", None)):
            return True
        if isinstance(parent, ast.keyword) and parent.arg == "strict":  # of zip: no input reaches it
            return True
        if isinstance(parent, ast.Call) and ast.unparse(parent.func).startswith(
            ("log.", "TypeVar", "InputError", "ConfigDict", "lru_cache")
        ):
            return True
        node = parent
    return False


def tests_of(file: str) -> tuple[str, ...]:
    """The test files that hold a file of the library."""
    names = next(tests for pattern, tests in TESTS.items() if fnmatch(file, pattern))
    return tuple(f"tests/unit/{name}.py" for name in names.split())


def all_places(only: str) -> list[tuple[str, int, int]]:
    """The places of every file that `TESTS` names and `only` fits."""
    files = [path.relative_to(ROOT / LIBRARY).as_posix() for path in sorted((ROOT / LIBRARY).rglob("*.py"))]
    mapped = [file for file in files if fnmatch(file, only) and any(fnmatch(file, pattern) for pattern in TESTS)]
    return [(file, *place) for file in mapped for place in places((ROOT / LIBRARY / file).read_text())]


def copy_of_checkout(folder: Path) -> Path:
    """A copy of the files that git knows or would add; environments and shared files are links."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    checkout = folder / "main" / ROOT.name
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
    for link, target in ((checkout / ".venv", ROOT / ".venv"), (checkout.parent / "shared", ROOT.parent / "shared")):
        if target.exists() and not link.exists():
            link.symlink_to(target.resolve())
    return checkout


def passes(checkout: Path, tests: tuple[str, ...], timeout: float) -> bool:
    """Whether test files pass; not if they do not end in time."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # bytecode is told apart by size and full seconds
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, cwd=checkout, stdout=quiet, stderr=quiet, timeout=timeout, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=0, help="which mutants are drawn (default: %(default)s)")
    options.add_argument("--count", type=int, default=100, help="how many; 0 for all (default: %(default)s)")
    options.add_argument("--only", default="*", help="a pattern of files, such as judging/*.py")
    options.add_argument("--timeout", type=float, default=300, help="seconds of one mutant (default: %(default)s)")
    args = options.parse_args()

    every = all_places(args.only)
    drawn = random.Random(args.seed).sample(every, min(args.count or len(every), len(every)))
    print(f"{len(drawn)} of {len(every)} mutants, seed {args.seed}", flush=True)
    verdicts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        checkout = copy_of_checkout(Path(folder))
        for tests in sorted({tests_of(file) for file, *_ in drawn}):
            if not passes(checkout, tests, args.timeout):
                sys.exit(f"error: these fail without a change, or take too long: {' '.join(tests)}")
        for file, number, change in sorted(drawn):
            path = checkout / LIBRARY / file
            source = path.read_text()
            made = mutant(file, source, number, change)
            path.write_text(made.text)
            verdict = "survived" if passes(checkout, tests_of(file), args.timeout) else "killed"
            path.write_text(source)
            verdicts[verdict] += 1
            print(f"{verdict:8}  {made}", flush=True)
    print(f"killed {verdicts['killed']} of {len(drawn)}")
    sys.exit(verdicts["survived"] > 0)


if __name__ == "__main__":
    main()
