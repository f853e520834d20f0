"""An LLM reads the captions of all frames of a video and names the frames that are needed together.

Its reply is JSON, wherever it stands in the text, and is checked strictly. After a reply that cannot be used, the LLM
learns what was wrong and tries again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framesift.data.questions import Question
from framesift.scoring.mllm_selector import label_prompts as prompts
from framesift.scoring.mllm_selector.label_settings import LabelSettings
from framesift.training.labels.labeller import Labeller
from framesift.training.labels.reply_cache import ReplyCache

#: Characters of a reply that are read, and places in it where an object may begin.
LONGEST, PLACES = 100_000, 1_000


@dataclass(frozen=True)
class FrameChoice:
    """The frames that a reply names, by their place among the captions.

    Attributes
    ----------
    frames : tuple of int
        Ascending; empty if the reply cannot be used.
    reason : str
    problem : str or None
        What is wrong with the reply, in words for the model that wrote it.
    attempts : int
        Replies up to this one.
    """

    frames: tuple[int, ...] = ()
    reason: str = ""
    problem: str | None = None
    attempts: int = 1


def read_captions(
    settings: LabelSettings, labeller: Labeller, cache: ReplyCache, questions: Sequence[Question], captions: list[str]
) -> tuple[dict[str, FrameChoice], Counter[str]]:
    """Ask which frames each question needs; again, with what was wrong, after a reply that cannot be used.

    Parameters
    ----------
    settings : LabelSettings
    labeller : Labeller
    cache : ReplyCache
        Of the video.
    questions : sequence of Question
    captions : list of str
        In the order of the frames.

    Returns
    -------
    choices : dict
        By question id. If no reply could be used, it has the problem of the last one.
    counts : Counter
        See `ReplyCache.ask`.
    """
    most = most_frames(len(captions))
    requests = {}
    for question in questions:
        text = prompts.question_text(question, settings.text)
        requests[question.question_id] = prompts.needed_frames(
            settings.prompts, text, captions, most, settings.reply_tokens
        )
    choices: dict[str, FrameChoice] = {}
    counts = Counter[str]()
    for attempt in range(1, settings.retries + 2):
        counts += cache.ask(labeller, requests.values())
        for question_id, request in requests.items():
            reply = cache[request].text
            choice = choices[question_id] = replace(read_reply(reply, len(captions)), attempts=attempt)
            if choice.problem:
                requests[question_id] = prompts.again(request, reply, choice.problem)
        requests = {question_id: request for question_id, request in requests.items() if choices[question_id].problem}
    return choices, counts


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str
    frames: Annotated[list[int], Field(min_length=1)]


def read_reply(reply: str, count: int) -> FrameChoice:
    """Frames that a reply names.

    Of several JSON objects the last one counts, since models that think aloud reach their result last. Nothing is
    repaired: a reply either has the requested form or has a problem.

    Parameters
    ----------
    reply : str
    count : int
        Captions in the request. A reply names numbers from 0 to `count` - 1, at most half of them.

    Examples
    --------
    >>> read_reply('I think {"reason": "They meet.", "frames": [3, 1]} fits.', count=8)
    FrameChoice(frames=(1, 3), reason='They meet.', problem=None, attempts=1)
    >>> read_reply('{"reason": "", "frames": [9]}', count=8).problem
    'frames: each is a number from 0 to 7'
    """
    try:
        objects = list(_objects(reply[:LONGEST]))
    except _KeyTwice:
        return FrameChoice(problem="a key comes twice")
    if not objects:
        return FrameChoice(problem="there is no JSON object in it that can be read")
    try:
        found = _Reply.model_validate(objects[-1])
    except ValidationError as error:
        first = error.errors()[0]
        return FrameChoice(problem=f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200])
    problem = _problem(found.frames, count)
    return FrameChoice(problem=problem) if problem else FrameChoice(tuple(sorted(found.frames)), found.reason)


def most_frames(count: int) -> int:
    """How many of `count` frames a reply may name.

    Examples
    --------
    >>> most_frames(9), most_frames(1)
    (4, 1)
    """
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
    """The outermost JSON objects in a text."""
    decoder = json.JSONDecoder(object_pairs_hook=_keys_once, parse_constant=_refused)
    place = text.find("{")
    for _ in range(PLACES):
        if place < 0:
            return
        try:
            found, end = decoder.raw_decode(text, place)
            yield found
        except (ValueError, RecursionError):  # ValueError: not JSON, NaN, numbers of thousands of digits
            end = place + 1
        place = text.find("{", end)


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _KeyTwice
    return found


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
