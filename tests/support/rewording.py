"""Reword every message of a copy of the library, as a careless search and replace would."""

from __future__ import annotations

import ast
from pathlib import Path

LOGGERS = {"log", "logger", "logging"}
FOR_READERS = {"description", "expected", "help", "hint", "metavar", "problem"}


def reword(folder: Path, before: str = "Sorry: ") -> int:
    """Put `before` at the beginning of every message of an error, a log line or a help text; returns how many."""
    return sum(_reword_file(path, before) for path in sorted(folder.rglob("*.py")))


def _reword_file(path: Path, before: str) -> int:
    lines = path.read_text().splitlines(keepends=True)
    places = sorted({(node.lineno, node.col_offset) for node in _messages(ast.parse("".join(lines)))}, reverse=True)
    for line, column in places:
        text = lines[line - 1].encode()  # columns count bytes
        start = column
        while text[start : start + 1] not in (b'"', b"'"):
            start += 1
        quote = text[start : start + 1]
        start += 3 if text[start : start + 3] == quote * 3 else 1
        lines[line - 1] = (text[:start] + before.encode() + text[start:]).decode()
    path.write_text("".join(lines))
    return len(places)


def _messages(tree: ast.AST):
    """The string literals that a user reads and no result holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from _strings(*node.exc.args[:1], *(word.value for word in node.exc.keywords if word.arg != "field"))
        elif isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets} <= FOR_READERS:
            yield from _strings(node.value)
        elif isinstance(node, ast.Call):
            called = node.func
            logs = isinstance(called, ast.Attribute) and getattr(called.value, "id", "") in LOGGERS
            if logs and called.attr != "getLogger":
                yield from _strings(*node.args[:1])
            yield from _strings(*(word.value for word in node.keywords if word.arg in FOR_READERS))


def _strings(*nodes: ast.AST):
    for node in nodes:
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            yield node
