"""Hostile variants of valid input: values exchanged, lists and texts stretched, bytes flipped, files cut short."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st


def nested(depth: int) -> Any:
    """Lists within each other."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


#: What readers stumble over, each once, and more often than arbitrary values would show it.
ODD = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**400, 1e308, -1e308, 5e-324, 0.5, -0.0),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "\0", "\n", "\ud800", "\u2028", "\x1b[2J", "é" * 300),
    *("../../etc/passwd", "/etc/passwd", "a\\b", "..", "NaN", "1e999", "9" * 400, "9" * 5000, "-1", "٣", "=cmd", "<b>"),
    *("[", '["a"', "[" * 2000, "x" * 5000, "00:00:01", "99:99:99.9", "2024-13-01", "A", "Z", "{{x}}", "$(x)", "${x}"),
    *([], {}, [[]], [None], {"": None}, [[], {}], {"a": {"b": []}}, [1, "a", None], nested(40), nested(90)),
)
odd_values = (
    st.sampled_from(ODD).map(copy.deepcopy) | st.text(max_size=20) | st.integers() | st.floats() | st.binary(max_size=8)
)


def nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every place within a value, as the container and the key or position there."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict | list):
            for key in item if isinstance(item, dict) else range(len(item)):
                found.append((item, key))
                todo.append(item[key])
    return found


@st.composite
def mutated(draw: Any, valid: Any, most: int = 3) -> Any:
    """A value like `valid` (of dicts, lists and plain values) with one to three changes; sometimes another altogether.

    What is changed stays in the value it was changed in, so that deep places are reached.
    """
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, most))):
        places = nodes(value)
        if not places or draw(st.integers(0, 60)) == 0:
            return draw(odd_values)
        container, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.integers(0, 5)):
            case 0 | 1:
                container[key] = draw(odd_values)
            case 2:
                del container[key]
            case 3:  # in another form
                container[key] = draw(st.sampled_from((str, lambda one: [one], lambda one: {"a": one})))(container[key])
            case 4:  # what another place holds
                other, place = places[draw(st.integers(0, len(places) - 1))]
                container[key] = copy.deepcopy(other[place])
            case _:  # one more
                if isinstance(container, list):
                    container.extend([copy.deepcopy(container[key])] * draw(st.sampled_from((1, 1, 30))))
                else:
                    container[draw(st.text(max_size=8))] = draw(odd_values)
    return value


@st.composite
def damaged(draw: Any, content: bytes) -> bytes:
    """Bytes cut short, flipped, put in, taken out or repeated, at up to four places."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not made:
            break
        place = draw(st.integers(0, len(made) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                del made[place:]
            case 1:
                made[place] ^= 1 << draw(st.integers(0, 7))
            case 2:
                made[place:place] = draw(st.binary(min_size=1, max_size=6))
            case 3:
                del made[place : place + draw(st.integers(1, 40))]
            case _:
                made[place:place] = made[max(0, place - 40) : place]
    return bytes(made)


def as_json(value: Any) -> bytes:
    """JSON as Python writes it: with NaN, halves of characters and whatever else is no JSON; bytes become texts."""
    try:
        return json.dumps(value, default=repr).encode()
    except (RecursionError, ValueError):  # too deep, or a number of too many digits, to be written
        return b"[" * 5000 + b"1" * 5000


def json_files(valid: Any) -> st.SearchStrategy[bytes]:
    """JSON files: changed values, mostly, or changed bytes."""
    deep = st.sampled_from((b"[" * 5000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b"[" * 900 + b"]" * 900, b"9" * 5000))
    changed = mutated(valid).map(as_json)
    return st.one_of(changed, changed, damaged(as_json(valid)), deep)
