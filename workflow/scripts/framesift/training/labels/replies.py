"""What an LLM replies to the captions: frames as JSON, wherever it stands in the reply, or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

#: Characters of a reply that are looked at, and places in it at which an object may begin.
LONGEST, PLACES = 100_000, 1_000


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str
    frames: Annotated[list[int], Field(min_length=1)]


@dataclass(frozen=True)
class Named:
    """What is read in a reply.

    Attributes
    ----------
    frames : tuple of int
        Ascending; none where the reply cannot be used.
    reason : str
    problem : str or None
        What is wrong with the reply, to be told to who wrote it.
    """

    frames: tuple[int, ...] = ()
    reason: str = ""
    problem: str | None = None


def read_reply(reply: str, count: int) -> Named:
    """Frames that a reply names.

    Of several objects the last counts, since models that think aloud come to their result last. Nothing is mended: a
    reply either is what was asked for, or has a problem.

    Parameters
    ----------
    reply : str
    count : int
        Captions that were shown. Numbers are from 0 to `count` - 1, and at most half of them are named.
    """
    try:
        objects = list(_objects(reply[:LONGEST]))
    except _KeyTwice:
        return Named(problem="a key comes twice")
    if not objects:
        return Named(problem="there is no JSON object in it that can be read")
    try:
        found = _Reply.model_validate(objects[-1])
    except ValidationError as error:
        first = error.errors()[0]
        return Named(problem=f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200])
    problem = _problem(found.frames, count)
    return Named(problem=problem) if problem else Named(tuple(sorted(found.frames)), found.reason)


def most_frames(count: int) -> int:
    """How many of so many frames may be named."""
    return max(1, count // 2)


def _problem(frames: list[int], count: int) -> str | None:
    if any(not 0 <= frame < count for frame in frames):
        return f"frames: each is a number from 0 to {count - 1}"
    if len(set(frames)) < len(frames):
        return "frames: a number comes twice"
    if len(frames) > most_frames(count):
        return f"frames: {len(frames)} are too many, {most_frames(count)} may be named"
    return None


class _KeyTwice(Exception):
    pass


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, those inside others left out."""
    decoder = json.JSONDecoder(object_pairs_hook=_keys_once, parse_constant=_refused)
    place = text.find("{")
    for _ in range(PLACES):
        if place < 0:
            return
        try:
            found, end = decoder.raw_decode(text, place)
            yield found
        except (ValueError, RecursionError):  # of ValueError: no JSON, NaN, and numbers of thousands of digits
            end = place + 1
        place = text.find("{", end)


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _KeyTwice
    return made


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
