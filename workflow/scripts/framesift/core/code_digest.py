"""Digests of code: what a program's result depends on besides its input and its spec.

Snakemake sees neither an edited library module nor an edited program called from a shell command. So each rule takes
a digest of the program and of every library module it imports. The digest is taken of the syntax tree without
docstrings and field descriptions, so comments, documentation and formatting change nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2]
PACKAGE = "framesift"


def code_digest(*roots: str) -> str:
    """Digest of the named programs and modules with everything of the library that they import.

    Parameters
    ----------
    roots : str
        Programs (``"score_frames.py"``) and modules (``"framesift.selection.selectors.aks"``). Implementations are
        loaded by name at run time, so a rule names those it uses beside its program.

    Returns
    -------
    str
        Twelve hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in import_closure(roots):
        digest.update(path.relative_to(SCRIPTS).as_posix().encode())
        digest.update(normalised(path, path.stat().st_mtime_ns).encode())
    return digest.hexdigest()[:12]


def import_closure(roots: Iterable[str]) -> list[Path]:
    """Files of the library that `roots` import, directly or through others, sorted by path."""
    todo = [_root_path(root) for root in roots]
    found: set[Path] = set()
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo.extend(_imports(path, path.stat().st_mtime_ns))
    return sorted(found)


def _root_path(root: str) -> Path:
    path = SCRIPTS / root if root.endswith(".py") else _module_path(root)
    if path is None or not path.is_file():
        raise FileNotFoundError(f"no program or module {root!r} under {SCRIPTS.name}")
    return path


def _module_path(module: str) -> Path | None:
    base = SCRIPTS.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(path: Path, mtime_ns: int) -> tuple[Path, ...]:
    """Library files named by the import statements of `path`, those inside functions included."""
    return _read(path, mtime_ns)[0]


def normalised(path: Path, mtime_ns: int) -> str:
    """The syntax tree of `path` as text, without what changes no result."""
    return _read(path, mtime_ns)[1]


@cache
def _read(path: Path, _mtime_ns: int) -> tuple[tuple[Path, ...], str]:
    """Both of the above: parsing is what a digest costs, and every job on a cluster makes some."""
    tree = ast.parse(path.read_text())
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules.add(node.module)
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)  # `from package import module`
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ImportError(f"{path.name}: relative imports are not followed; write `from {PACKAGE}...`")
        elif isinstance(node, ast.Call):  # what a parameter means to a reader changes no result
            node.keywords = [word for word in node.keywords if word.arg != "description"]
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
    return tuple(sorted(_files_of(modules))), ast.dump(tree, include_attributes=False)


def _files_of(modules: Iterable[str]) -> set[Path]:
    files: set[Path] = set()
    for module in modules:
        parts = module.split(".")
        for length in range(1, len(parts) + 1) if parts[0] == PACKAGE else ():  # a package runs before its modules
            if file := _module_path(".".join(parts[:length])):
                files.add(file)
    return files


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
