"""The file that says what is particular to one cluster: profiles/slurm/site.yaml (docs/cluster.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from framesift.config.load import read_yaml
from framesift.core.errors import InputError, did_you_mean
from framesift.storage.resources import find

#: Keys that hold a mapping; those in the second line, one for each rule.
MAPPINGS = ("default-resources", "gpu-resources", "partitions", "set-threads", "set-resources")
OF_RULES = ("set-threads", "set-resources")


def read_site(path: str | Path) -> dict[str, Any]:
    """The content of a site file.

    Parameters
    ----------
    path : path

    Raises
    ------
    InputError
        If it cannot be read, or names a key or a rule that does not exist: Snakemake would ignore it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
    ...     _ = file.write("set-threads: {evaluate: 4}")
    ...     file.flush()
    ...     read_site(file.name)
    {'set-threads': {'evaluate': 4}}
    """
    site = read_yaml(path)
    known = [*MAPPINGS, *_options()]
    for key in site:
        _check_known(str(key), known, path, str(key), "there is no such key, nor such an option of Snakemake")
    for key in MAPPINGS:
        if not isinstance(site.get(key) or {}, Mapping):
            raise InputError("is not usable", file=path, field=key, value=site[key], expected="names with their values")
    rules = _rules()
    for key in OF_RULES:
        for rule, value in (site.get(key) or {}).items():
            _check_known(str(rule), rules, path, f"{key}.{rule}", "there is no such rule")
            if key == "set-resources" and not isinstance(value, Mapping):
                place, expected = f"{key}.{rule}", "resources with their values"
                raise InputError("is not usable", file=path, field=place, value=value, expected=expected)
    return {key: value for key, value in site.items() if value is not None}


def _check_known(word: str, known: Iterable[str], path: str | Path, place: str, problem: str) -> None:
    if word not in known:
        raise InputError(problem, file=path, field=place, hint=did_you_mean(word, known))


def _options() -> list[str]:
    """The long options of Snakemake and its plug-ins."""
    from snakemake.cli import get_argument_parser  # type: ignore[import-untyped]

    names = [name for action in get_argument_parser()._actions for name in action.option_strings]
    return sorted({name.removeprefix("--") for name in names if name.startswith("--")})


def _rules() -> list[str]:
    texts = [file.read_text() for file in sorted(find("rules").glob("*.smk"))]
    return [name for text in texts for name in re.findall(r"^(?:rule|checkpoint) (\w+):", text, flags=re.MULTILINE)]
