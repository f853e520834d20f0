"""Digests of code: what a cheap result depends on besides its input and its spec.

Snakemake sees neither an edited library module nor an edited program called from a shell command. So each rule whose
results are cheap (selections, tables, pages) takes a digest of its program and of every library module that it
imports. The digest covers what the code does, not how it reads or where it is: comments, documentation, messages,
names of modules and paths do not count. Results that took a GPU are identified by declared versions instead
(`framesift.core.versions`).
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

#: The folder of the programs and of the library.
SCRIPTS = Path(__file__).resolve().parents[2]
PACKAGE = "framesift"
#: The one module that only forms messages.
_MESSAGES = "framesift/core/errors.py"
#: Keyword arguments and variables that speak to a reader.
_FOR_READERS = {"description", "expected", "help", "hint", "metavar", "problem"}
#: Objects whose methods only write messages.
_LOGGERS = {"log", "logger", "logging", "warnings"}


def code_digest(*roots: str) -> str:
    """Digest of the named programs and modules with everything of their package that they import.

    Parameters
    ----------
    roots : str
        Programs (``"select_frames.py"``) and modules (``"framesift.selection.selectors.aks"``, or one outside of
        Framesift). Components are imported by name at run time, so a rule names those that it uses.

    Returns
    -------
    str
        Twelve hexadecimal digits.

    Examples
    --------
    >>> len(code_digest("framesift.core.spec"))
    12
    >>> code_digest("framesift.core.spec") == code_digest("framesift.core.errors")
    False
    """
    files = [path for path in import_closure(roots) if path != SCRIPTS / _MESSAGES]
    texts = sorted(normalised(path, path.stat().st_mtime_ns) for path in files)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def import_closure(roots: Iterable[str]) -> list[Path]:
    """Files that `roots` import from their own package, directly or through others, sorted by path."""
    todo = [_root_path(root) for root in roots]
    found: set[Path] = set()
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo.extend(_read(path, path.stat().st_mtime_ns)[0])
    return sorted(found)


def normalised(path: Path, mtime_ns: int) -> str:
    """The syntax tree of `path` as text, without what changes no result."""
    return _read(path, mtime_ns)[1]


def _root_path(root: str) -> Path:
    path = _program_path(root) if root.endswith(".py") else _module_path(root) or _outside(root)
    if path is None or not path.is_file():
        raise FileNotFoundError(f"there is no program or module {root!r}")
    return path


def _program_path(name: str) -> Path:
    """A program: in the folder `commands` of an installed library, beside the library in a checkout."""
    installed = SCRIPTS / PACKAGE / "commands" / name
    return installed if installed.is_file() else SCRIPTS / name


def _module_path(module: str) -> Path | None:
    """The file of a library module."""
    return _file_of(SCRIPTS, module.split("."))


def _file_of(folder: Path, parts: list[str]) -> Path | None:
    base = folder.joinpath(*parts)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _outside(module: str) -> Path | None:
    """The file of a module that does not belong to Framesift."""
    if loaded := getattr(sys.modules.get(module), "__file__", None):
        return Path(loaded)
    spec = importlib.util.find_spec(module)
    return Path(spec.origin) if spec and spec.origin else None


@cache
def _read(path: Path, _mtime_ns: int) -> tuple[tuple[Path, ...], str]:
    """Files of the same package that a file imports, also inside functions, and its `normalised` text.

    Both at once: parsing is what a digest costs, and every job on a cluster makes some.
    """
    tree = ast.parse(path.read_text())
    inside = path.is_relative_to(SCRIPTS)
    files = _inside(path, tree) if inside else _beside(path, tree)
    return tuple(sorted(files)), ast.dump(_WithoutProse().visit(tree), include_attributes=False)


def _inside(path: Path, tree: ast.AST) -> Iterator[Path]:
    """Files of the library that a file of it imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise ImportError(f"{path.name}: relative imports are not followed; write `from {PACKAGE}...`")
    for module in _names(tree):
        parts = module.split(".")
        for length in range(1, len(parts) + 1) if parts[0] == PACKAGE else ():  # a package runs before its modules
            if file := _module_path(".".join(parts[:length])):
                yield file


def _beside(path: Path, tree: ast.AST) -> Iterator[Path]:
    """Files of its own package, or of its own folder, that a file outside of the library imports."""
    package = path.parent
    while (package / "__init__.py").is_file():
        package = package.parent
    for module in _names(tree):
        if file := _file_of(package, module.split(".")):
            yield file
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            parts = node.module.split(".") if node.module else []
            for tail in ([], *([alias.name] for alias in node.names)):
                if (parts or tail) and (file := _file_of(folder, [*parts, *tail])):
                    yield file


def _names(tree: ast.AST) -> set[str]:
    """What absolute import statements name: modules, and attributes that may be modules."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


class _WithoutProse(ast.NodeTransformer):
    """Leaves out what a reader sees and a result does not: docstrings, messages, the names of library modules."""

    def visit(self, node: ast.AST) -> ast.AST:
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
        return super().visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST:
        node.names = [alias for alias in node.names if alias.name.split(".")[0] != PACKAGE]
        return node if node.names else ast.Pass()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        return ast.Pass() if (node.module or "").split(".")[0] == PACKAGE or node.level else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):  # which error it is may decide something, what it says does not
            node.exc = node.exc.func
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if all(isinstance(target, ast.Name) and target.id in _FOR_READERS for target in node.targets):
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        called = node.value.func if isinstance(node.value, ast.Call) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in _LOGGERS:
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))
        if name.endswith(("Error", "Warning", "ArgumentParser")) or name in ("exit", "invalid"):
            node.args, node.keywords = [], []
        node.keywords = [word for word in node.keywords if word.arg not in _FOR_READERS]
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and node.value.startswith(f"{PACKAGE}."):
            node.value = PACKAGE
        return node


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
