"""Subtitles: lines with their times, and the lines shown with the chosen frames.

Two formats are read: SubRip files (.srt, as in VideoMME) and the JSON files of LongVideoBench. The times of the latter
are those of a longer video, from which the benchmark's video was cut at ``starting_timestamp_for_subtitles``.

A line is shown with a frame if the frame's second is in its interval: at or after its start, and before its end. Each
line is shown once, in the order of the starts. Others do it slightly differently:

- The script that VideoMME names (look4u-ok/video-slicer) excludes a frame at the very start of a line, takes the first
  of several lines that overlap, and repeats a line for each of its frames.
- lmms-eval's videomme_w_subtitle has the same rule, with times rounded down to frame numbers, for frames that it
  spreads over the video itself.
- lmms-eval's longvideobench_val_i excludes both ends, and extends a line of less than a second to one second around
  its middle: `lines_at(..., shortest=1.0)`.
"""

from __future__ import annotations

import html
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from framesift.core.errors import InputError
from framesift.storage.untrusted import MAX_BYTES, parse_json

log = logging.getLogger("framesift")

#: First line of the text before a question.
HEADER = "What is said in the video, as its subtitles have it:"

_CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")


@dataclass(frozen=True)
class Line:
    """One subtitle.

    Attributes
    ----------
    start, end : float
        Seconds after the start of the video; the end may be infinite.
    text : str
        Without line breaks or tags.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Subtitles:
    """The subtitles of one video.

    Attributes
    ----------
    lines : tuple of Line
        In the order of their starts.
    malformed : int
        Entries of the file that cannot be read, and are left out.
    missing : bool
        Whether there is no file.
    """

    lines: tuple[Line, ...] = ()
    malformed: int = 0
    missing: bool = False


def read_subtitles(path: str | Path) -> Subtitles:
    """Read a file of subtitles, .srt or .json. A missing file has no lines: many videos have no subtitles.

    Raises
    ------
    InputError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".srt") as file:
    ...     _ = file.write("1\\n00:00:01,000 --> 00:00:02,500\\nHello\\n")
    ...     file.flush()
    ...     read_subtitles(file.name).lines
    (Line(start=1.0, end=2.5, text='Hello'),)
    """
    try:
        # a byte that is not UTF-8 costs a character, not the video's subtitles
        with Path(path).open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        return Subtitles(missing=True)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise InputError(f"cannot be read ({getattr(error, 'strerror', None) or error})", file=path) from None
    found = list(_of_json(text) if Path(path).suffix.lower() == ".json" else _of_srt(text))
    lines = [line for line in found if line is not None]
    spoken = sorted((line for line in lines if line.text), key=lambda line: line.start)
    return Subtitles(tuple(spoken), malformed=len(found) - len(lines))


def cut(subtitles: Subtitles, offset: float, seconds: float | None = None) -> Subtitles:
    """The subtitles of a part of a video, at the part's own times.

    Parameters
    ----------
    subtitles : Subtitles
    offset : float
        Second at which the part starts.
    seconds : float, optional
        Length of the part; by default, up to the end.

    Examples
    --------
    >>> cut(Subtitles((Line(1, 2, "before"), Line(61, 62, "Hello"))), offset=60).lines
    (Line(start=1, end=2, text='Hello'),)
    """
    length = math.inf if seconds is None else seconds
    moved = (replace(line, start=line.start - offset, end=line.end - offset) for line in subtitles.lines)
    return replace(subtitles, lines=tuple(line for line in moved if line.end > 0 and line.start < length))


def offset_of(record: Mapping[str, Any]) -> float:
    """Second of the subtitles' video at which a question's video starts: 0 except for LongVideoBench.

    Raises
    ------
    InputError
        If the labels do not have a number there.

    Examples
    --------
    >>> offset_of({"starting_timestamp_for_subtitles": 12.5}), offset_of({})
    (12.5, 0.0)
    """
    value = record.get("starting_timestamp_for_subtitles") or 0
    try:
        offset = float(value)
    except (TypeError, ValueError, OverflowError):
        offset = math.nan
    if not math.isfinite(offset):
        raise InputError("is not a number of seconds", field="labels: starting_timestamp_for_subtitles", value=value)
    return offset


def lines_at(lines: Sequence[Line], times: Sequence[float], *, shortest: float = 0.0) -> list[str]:
    """The texts shown at any of some times, each line once, in the order of `lines`.

    Parameters
    ----------
    lines : sequence of Line
    times : sequence of float
        Seconds of the chosen frames.
    shortest : float
        Seconds; a shorter line is extended to this length around its middle.

    Examples
    --------
    >>> lines_at([Line(0, 2, "Hello"), Line(2, 4, "there")], [0.5, 1.5])
    ['Hello']
    """
    return [line.text for line in lines if any(_is_shown(line, time, shortest) for time in times)]


def _is_shown(line: Line, time: float, shortest: float) -> bool:
    start, end = line.start, line.end
    if end - start < shortest:
        middle = (start + end) / 2
        start, end = middle - shortest / 2, middle + shortest / 2
    return start <= time < end or time == start


def block(texts: Sequence[str]) -> str:
    """The text before a question; empty without subtitles.

    Examples
    --------
    >>> print(block(["Hello"]))
    What is said in the video, as its subtitles have it:
    Hello
    """
    return "\n".join([HEADER, *texts]) if texts else ""


def block_of(
    path: str | Path, times: Sequence[float] | None = None, *, offset: float = 0.0, seconds: float | None = None
) -> str:
    """The text before a question, from a file of subtitles.

    Parameters
    ----------
    path : path
    times : sequence of float, optional
        Seconds of the frames that are shown; by default, all lines.
    offset, seconds : float
        The part of the subtitles' video that is the question's: `offset_of` its record, and its length.
    """
    lines = cut(_read_once(str(path)), offset, seconds).lines
    return block([line.text for line in lines] if times is None else lines_at(lines, times))


@lru_cache(maxsize=64)
def _read_once(path: str) -> Subtitles:
    """Read each file, and warn about it, once: the questions of a video follow each other."""
    subtitles = read_subtitles(path)
    if subtitles.missing:
        log.info("%s: no such file; its questions are asked without subtitles", path)
    if subtitles.malformed:
        log.warning("%s: %d subtitles cannot be read, and are left out", path, subtitles.malformed)
    return subtitles


# Readers. They yield None for an entry that cannot be read.


def _of_srt(text: str) -> Iterator[Line | None]:
    for entry in re.split(r"\n\s*\n", re.sub(r"\r\n?", "\n", text)):
        rows = entry.strip().split("\n")
        starts = [number for number, row in enumerate(rows) if _TIMES.fullmatch(row)]
        if not starts:
            if entry.strip():
                yield None
            continue
        for start, following in zip(starts, [*starts[1:], len(rows)], strict=True):
            # without a blank line between two entries, the number of the second ends the first
            is_number = following < len(rows) and following > start + 1 and rows[following - 1].strip().isdecimal()
            yield _line(_TIMES.fullmatch(rows[start]), rows[start + 1 : following - is_number])


def _line(times: re.Match[str] | None, rows: Sequence[str]) -> Line | None:
    if times is None:
        return None
    fields = [float((field or "0").replace(",", ".")) for field in times.groups()]
    start, end = (hours * 3600 + minutes * 60 + seconds for hours, minutes, seconds in (fields[:3], fields[3:]))
    return _checked(start, end, " ".join(rows))


def _of_json(text: str) -> Iterator[Line | None]:
    try:
        entries = parse_json(text, lenient=True)
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        yield None
        return
    for entry in entries:
        try:
            if "timestamp" in entry:
                start, end = entry["timestamp"]
                said = entry["text"]
            else:
                start, end, said = entry["start"], entry["end"], entry["line"]
            yield _checked(_seconds(start), math.inf if end is None else _seconds(end), said)
        except (KeyError, TypeError, ValueError, OverflowError):
            yield None


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        match = re.fullmatch(rf"\s*{_CLOCK}\s*", value)
        if not match:
            return float(value)
        hours, minutes, seconds = (float((field or "0").replace(",", ".")) for field in match.groups())
        return hours * 3600 + minutes * 60 + seconds
    return float(value)


def _checked(start: float, end: float, text: Any) -> Line | None:
    if not isinstance(text, str) or not math.isfinite(start) or not end >= start:
        return None
    return Line(start, end, " ".join(html.unescape(_TAG.sub("", text)).split()))
