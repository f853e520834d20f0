"""True or False, as a probability (Hu et al., arXiv 2502.19680): p(True) / (p(True) + p(False)).

A word counts in all the forms in which it can be the next token, with a space before it or without, as "True", "true"
or "TRUE".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from framesift.core.errors import InputError

#: Forms of the two words, in pairs.
FORMS = [(space + true, space + false) for space in (" ", "") for true, false in
         (("True", "False"), ("true", "false"), ("TRUE", "FALSE"))]  # fmt: skip
_MARK = re.compile(r"final answer\s{0,9}[:*]", re.IGNORECASE)


def before_verdict(reply: str) -> str:
    """An explanation without the verdict at its end, which would decide the one that is asked for."""
    said = _MARK.split(reply, maxsplit=1)[0].strip(" \n*_#")
    bare = said.rstrip(" .!*_`\"'")
    for word in ("true", "false"):
        if bare.lower().endswith(word):
            before = bare[: -len(word)].rstrip(" *_`\"'#")
            if not before or before[-1] in "\n.!?":  # a sentence of its own
                return before.strip()
    return said


def log_sum_exp(values: Iterable[float]) -> float:
    """log(sum(exp(value))), exact for values of any size; -inf for none."""
    values = list(values)
    top = max(values, default=-math.inf)
    if not math.isfinite(top):
        return math.nan if any(map(math.isnan, values)) else top
    return top + math.log(sum(math.exp(value - top) for value in values))


def truth(log_true: float | None, log_false: float | None) -> float | None:
    """The probability of True against False.

    Parameters
    ----------
    log_true, log_false : float or None
        Logarithms, up to a common constant, of the probability of each word; None for no probability at all.

    Returns
    -------
    float or None
        Between 0 and 1; None where neither word is possible, or a number is none.
    """
    a, b = (-math.inf if value is None else value for value in (log_true, log_false))
    difference = a - b
    if math.isnan(difference):  # both are impossible, or one is no number
        return None
    tail = math.exp(-abs(difference))  # never overflows
    return 1 / (1 + tail) if difference >= 0 else tail / (1 + tail)


def of_forms(log_probabilities: Mapping[Any, float], forms: Iterable[tuple[Any, Any]]) -> dict[str, float | None]:
    """Log-probabilities of both words, each summed over its forms; None for one that is impossible or no number.

    Parameters
    ----------
    log_probabilities : mapping
        By token.
    forms : iterable of (token, token)
        Forms of True and of False.
    """
    sums = {}
    for word, tokens in zip(("true", "false"), zip(*forms, strict=True), strict=True):
        total = log_sum_exp(log_probabilities[token] for token in tokens if token in log_probabilities)
        sums[word] = total if math.isfinite(total) else None
    return sums


def token_forms(tokenizer: Any) -> list[tuple[int, int]]:
    """Ids of the forms of True and False that are one token each.

    A form counts where both words have it, so that neither has more forms than the other.

    Raises
    ------
    InputError
        Where there is no such form, or a token stands for both words.
    """
    pairs = []
    for pair in FORMS:
        ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in pair]
        if all(len(tokens) == 1 and tokens[0] != tokenizer.unk_token_id for tokens in ids):
            pairs.append((int(ids[0][0]), int(ids[1][0])))
    true, false = ({pair[place] for pair in pairs} for place in (0, 1))
    if not pairs or true & false:
        raise InputError(
            "its tokenizer has no token for each of the words True and False",
            field="labels: vlm: model",
            value=getattr(tokenizer, "name_or_path", None),
            expected="a model for which each is one token, and another one",
        )
    return sorted(set(pairs))
