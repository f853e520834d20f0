"""The works that Framesift can cite: a BibTeX file, and the keys by which texts name its entries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from framesift.core.errors import InputError, did_you_mean

#: The entries of all works that Framesift's own components and texts cite.
REFERENCES = Path(__file__).with_name("references.bib")
_ENTRY = re.compile(r"^@\w+\{([^\s,]+),.*?^\}", flags=re.MULTILINE | re.DOTALL)


def entries_of(text: str) -> dict[str, str]:
    """The entries of a BibTeX text by key, in its order; each ends with a brace at the start of a line.

    Examples
    --------
    >>> list(entries_of("@misc{one,\\n  title = {One}\\n}\\n\\n@misc{two,\\n  title = {Two}\\n}"))
    ['one', 'two']
    """
    return {match[1]: match[0] for match in _ENTRY.finditer(text)}


def read_bibliography(*paths: str | Path) -> dict[str, str]:
    """The entries of BibTeX files by key, in their order; of two entries with one key, the last counts.

    Parameters
    ----------
    *paths : path
        `REFERENCES` by default.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    entries: dict[str, str] = {}
    for path in paths or (REFERENCES,):
        try:
            entries |= entries_of(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read ({error})", file=path) from None
    return entries


def bibtex(keys: Iterable[str], references: Iterable[str | Path] = (), more: Iterable[str] = ()) -> str:
    """The entries of some keys as BibTeX, each once, in the given order.

    Parameters
    ----------
    keys : iterable of str
    references : iterable of path
        BibTeX files of the user, read after `REFERENCES`.
    more : iterable of str
        BibTeX of further works, such as those that plug-ins bring (`Component.bibtex`).

    Raises
    ------
    InputError
        For a key without an entry.
    """
    known = read_bibliography(REFERENCES, *references)
    for text in more:
        known = entries_of(text) | known
    wanted = list(dict.fromkeys(keys))
    for key in wanted:
        if key not in known:
            raise InputError("there is no entry of this key", file=REFERENCES, value=key, hint=did_you_mean(key, known))
    return "".join(f"{known[key]}\n\n" for key in wanted).rstrip("\n") + ("\n" if wanted else "")


def keys_in(text: str) -> tuple[str, ...]:
    r"""The keys that a LaTeX text cites, each once, in order.

    Examples
    --------
    >>> keys_in(r"As in~\cite{tang2025aks,liu2025bolt} and~\cite{tang2025aks}.")
    ('tang2025aks', 'liu2025bolt')
    """
    cited = re.findall(r"\\cite\{([^}]*)\}", text)
    return tuple(dict.fromkeys(key.strip() for keys in cited for key in keys.split(",")))
