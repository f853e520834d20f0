"""The probability of True against False (Hu et al., arXiv 2502.19680): p(True) / (p(True) + p(False)).

A word counts in all the forms that the next token can have: "True", "true" or "TRUE", with or without a space before.
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


def without_verdict(reply: str) -> str:
    """An explanation without a verdict at its end, which would decide the verdict that is requested next.

    Examples
    --------
    >>> without_verdict("A cat sleeps. Final answer: True")
    'A cat sleeps.'
    >>> without_verdict("A cat sleeps.\\nFalse")
    'A cat sleeps.'
    >>> without_verdict("The sign says it is true")
    'The sign says it is true'
    """
    explanation = _MARK.split(reply, maxsplit=1)[0].strip(" \n*_#")
    bare = explanation.rstrip(" .!*_`\"'")
    for word in ("true", "false"):
        if bare.lower().endswith(word):
            before = bare[: -len(word)].rstrip(" *_`\"'#")
            if not before or before[-1] in "\n.!?":  # a sentence of its own
                return before.strip()
    return explanation


def log_sum_exp(values: Iterable[float]) -> float:
    """log(sum(exp(value))) without overflow; -inf for no values.

    Examples
    --------
    >>> round(log_sum_exp([-1000.0, -1000.0]), 3)
    -999.307
    """
    values = list(values)
    top = max(values, default=-math.inf)
    if not math.isfinite(top):
        return math.nan if any(map(math.isnan, values)) else top
    return top + math.log(sum(math.exp(value - top) for value in values))


def truth_probability(log_true: float | None, log_false: float | None) -> float | None:
    """The probability of True against False.

    Parameters
    ----------
    log_true, log_false : float or None
        Logarithm of the probability of each word, up to a common constant; None for an impossible word.

    Returns
    -------
    float or None
        Between 0 and 1; None if neither word is possible or a value is NaN.

    Examples
    --------
    >>> round(truth_probability(math.log(0.6), math.log(0.2)), 6)
    0.75
    >>> truth_probability(-1.0, None)
    1.0
    """
    a, b = (-math.inf if value is None else value for value in (log_true, log_false))
    difference = a - b
    if math.isnan(difference):  # both are impossible, or one is NaN
        return None
    tail = math.exp(-abs(difference))  # never overflows
    return 1 / (1 + tail) if difference >= 0 else tail / (1 + tail)


def sum_over_forms(log_probabilities: Mapping[Any, float], forms: Iterable[tuple[Any, Any]]) -> dict[str, float | None]:
    """Log-probabilities of both words, each summed over its forms; None for a word that is impossible or NaN.

    Parameters
    ----------
    log_probabilities : mapping
        By token.
    forms : iterable of (token, token)
        Forms of True and of False.

    Examples
    --------
    >>> sum_over_forms({" True": -0.5, "The": -1.0}, FORMS)
    {'true': -0.5, 'false': None}
    """
    sums = {}
    for word, tokens in zip(("true", "false"), zip(*forms, strict=True), strict=True):
        total = log_sum_exp(log_probabilities[token] for token in tokens if token in log_probabilities)
        sums[word] = total if math.isfinite(total) else None
    return sums


def token_forms(tokenizer: Any) -> list[tuple[int, int]]:
    """Ids of the forms of True and False that are one token each.

    A form counts only if both words have it, so that both have the same number of forms.

    Raises
    ------
    InputError
        If there is no such form, or one token stands for both words.
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
            expected="a model in which each word is a single token of its own",
        )
    return sorted(set(pairs))
