"""Read and write selections in the layouts that others released.

There are three layouts. AKS (`selected_frames.json`): one list of frame indices per question in the order of the
labels, without ids; integers for LongVideoBench, floats for VideoMME. WFS-SB: the label records, each with
`keyframe_indices`. KFS-Bench: records with an `id` and `frame_timestamps` in seconds.

The first two give frame indices at the video's own rate, which they do not state. A timestamp is index/rate with the
rate of the video table; without a table the rate is inferred, and the `note` of each selection says so.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from framesift.core.errors import InputError
from framesift.data.benchmarks import Dataset
from framesift.data.labels import RECORD_ERRORS
from framesift.data.questions import Question
from framesift.interop.aks_scores import is_number, lists_of
from framesift.selection.select_frames import Selected
from framesift.storage.files import read_json
from framesift.video.table import Video

FORMATS = ("aks", "wfs_sb", "kfs_bench")
#: Key of WFS-SB's frame indices in a label record.
KEYFRAMES = "keyframe_indices"
#: Seconds by which a frame may exceed the length in the labels.
SLACK = 0.5
#: Fewest frames of a video (besides its first) whose common divisor counts as its stride.
ENOUGH = 6
#: Fractional rates by the stride int(rate) of the grid of AKS; 60 and 24 are ambiguous and stay integers.
NTSC = {14: 15000 / 1001, 23: 24000 / 1001, 29: 30000 / 1001, 47: 48000 / 1001, 59: 60000 / 1001, 119: 120000 / 1001}
STRIDES = range(5, 121)


# Reading


def from_aks(path: str | Path, questions: Sequence[Question]) -> dict[str, list[int]]:
    """Frame indices by question id, from a list of lists.

    Parameters
    ----------
    path : path
    questions : sequence of Question
        Every question of the label file that the selection was made from, in its order.

    Raises
    ------
    InputError
        If the file has another layout or number of questions, or a value is not a frame index.
    """
    content = lists_of(path, questions, "the selection was")
    return {
        question.question_id: _frames(frames, path, f"entry {position} (question {question.question_id})")
        for position, (question, frames) in enumerate(zip(questions, content, strict=True))
    }


def from_wfs_sb(path: str | Path, questions: Sequence[Question], dataset: Dataset) -> dict[str, list[int]]:
    """Frame indices by question id, from label records with `keyframe_indices`.

    Raises
    ------
    InputError
        If the file has another layout, or other questions than the labels.
    """
    records = _records(path, KEYFRAMES)
    known = {question.question_id: question for question in questions}
    found: dict[str, list[int]] = {}
    for number, record in enumerate(records, start=1):
        place = f"record {number}"
        try:
            question = dataset.question(record)
        except (KeyError, *RECORD_ERRORS) as error:
            raise InputError(f"is no record of {dataset.kind} ({error})", file=path, field=place) from None
        place += f" (question {question.question_id})"
        _refuse_strangers(question.question_id, known, found, path, place)
        if question.video_id != known[question.question_id].video_id:
            raise InputError(
                "belongs to another video than in the labels",
                file=path,
                field=place,
                value=question.video_id,
                expected=known[question.question_id].video_id,
            )
        found[question.question_id] = _frames(record[KEYFRAMES], path, place)
    if missing := [question_id for question_id in known if question_id not in found]:
        raise InputError(f"{len(missing)} questions of the labels are missing", file=path, value=missing[0])
    return {question_id: found[question_id] for question_id in known}


def from_kfs_bench(path: str | Path, questions: Sequence[Question]) -> dict[str, list[float]]:
    """Timestamps in seconds by question id, from records with `id` and `frame_timestamps`; questions may be missing.

    Raises
    ------
    InputError
        If the file has another layout, a question is unknown or repeated, or a value is not a timestamp.
    """
    known = {question.question_id for question in questions}
    found: dict[str, list[float]] = {}
    for number, record in enumerate(_records(path, "id", "frame_timestamps"), start=1):
        place = f"record {number} (question {record['id']})"
        _refuse_strangers(record["id"], known, found, path, place)
        times = record["frame_timestamps"]
        if not isinstance(times, list) or not all(is_number(time) and time >= 0 for time in times):
            raise InputError("has values that are not timestamps", file=path, field=place, expected="seconds from 0")
        found[record["id"]] = times
    return {one.question_id: found[one.question_id] for one in questions if one.question_id in found}


# Into ours


def selection_of_frames(
    frames: Mapping[str, Sequence[int]],
    questions: Sequence[Question],
    videos: Mapping[str, Video] | None = None,
    source: str = "imported",
    evenly_filled: bool = False,
) -> dict[str, Selected]:
    """Make a selection from frame indices at the videos' own rates.

    Parameters
    ----------
    frames : mapping
        Frame indices by question id, for every question in `questions`.
    questions : sequence of Question
        All questions of the labels: a rate is inferred from all questions of a video.
    videos : mapping, optional
        The table of videos. A candidate frame gets its true timestamp, any other frame index/rate.
    source : str
        First words of the note.
    evenly_filled : bool
        As for `inferred_rates`.

    Raises
    ------
    InputError
        If a frame is after the end of its video. Without a table, if the frames of most videos have no common stride,
        as with lists that belong to other labels.
    """
    if videos is not None:
        return {
            one.question_id: _in_table(frames[one.question_id], one, _video_of(one, videos), source)
            for one in questions
        }
    rates = inferred_rates(frames, questions, evenly_filled)
    if sum(rate is None for rate in rates.values()) > len(rates) / 2:
        raise InputError(
            "the frame rates of most videos cannot be inferred from their frames",
            hint="is this the label file the selection was made from? If so, give the table of videos (--videos)",
        )
    return {one.question_id: _inferred(frames[one.question_id], one, rates[one.video_id], source) for one in questions}


def selection_of_times(
    times: Mapping[str, Sequence[float]],
    questions: Sequence[Question],
    videos: Mapping[str, Video] | None = None,
    source: str = "imported",
) -> dict[str, Selected]:
    """Make a selection from timestamps, which stay as they are. Frame indices need the table of videos.

    A question without timestamps is excluded, with the reason in `error`.

    Raises
    ------
    InputError
        If a timestamp is after the end of its video in the table or, without one, in the labels.

    Examples
    --------
    >>> question = Question(question_id="q", video_id="v", question="Which one?", options=("red", "blue"), answer="A")
    >>> selection_of_times({"q": [1.5, 0.5]}, [question])["q"].note
    'imported; frame numbers unknown; not in time order'
    """
    selection = {}
    for question in questions:
        video = _video_of(question, videos) if videos is not None else None
        given = times.get(question.question_id, ())
        if error := _unusable(given, video, source):
            selection[question.question_id] = Selected(video_id=question.video_id, error=error)
            continue
        note, numbers, candidates = f"{source}; frame numbers unknown", [], 0
        if video is not None:
            numbers = [round(time * video.fps) for time in given]
            _refuse_beyond(numbers, video, question)
            note = f"{source}; frames nearest to the given times{_off_grid(numbers, video)}"
            candidates = len(video.frames)
        elif question.seconds is not None and max(given) > question.seconds + SLACK:
            raise InputError(
                "has a timestamp after the end of its video",
                field=f"question {question.question_id}",
                value=max(given),
                expected=f"up to {question.seconds:.2f} seconds, as the labels say",
            )
        selection[question.question_id] = Selected(
            video_id=question.video_id,
            note=note + _disorder(given),
            frames=numbers,
            times=[float(time) for time in given],
            candidates=candidates,
        )
    return selection


def inferred_rates(
    frames: Mapping[str, Sequence[int]], questions: Sequence[Question], evenly_filled: bool = False
) -> dict[str, tuple[float, str] | None]:
    """Infer the frame rate of each video, and record how; None if it cannot be inferred.

    The candidates of both releases are the multiples of int(rate), so the greatest common divisor of all frames chosen
    in a video is its stride: 29 for 29.97 and so on. If the video is longer at that rate than the labels say, the rate
    follows from the last frame and that length.

    In videos with fewer candidates than the budget, WFS-SB spreads its frames evenly over all frames, up to the last.
    A common divisor is then coincidence: too small for the length, which gives the rate.

    This is fragile: a stride of 60 may be 59.94 frames per second, one of 24 may be 24.5.

    Parameters
    ----------
    frames : mapping
        By question id.
    questions : sequence of Question
        The rate of a video is inferred from the frames of all its questions.
    evenly_filled : bool
        Whether short videos have evenly spread frames. Then an evenly spaced list of the greatest length in the file
        does not reveal the stride.

    Returns
    -------
    dict
        By video id.

    Examples
    --------
    >>> question = Question(question_id="q", video_id="v", question="Which one?", options=("red", "blue"), answer="A")
    >>> inferred_rates({"q": [0, 29, 58, 87, 145, 174, 290]}, [question])
    {'v': (29.97002997002997, '29.97 frames a second inferred from the stride of 29')}
    """
    of_video: dict[str, list[Sequence[int]]] = {}
    seconds: dict[str, float | None] = {}
    for question in questions:
        of_video.setdefault(question.video_id, []).append(frames[question.question_id])
        seconds[question.video_id] = question.seconds
    longest = max((len(given) for given in frames.values()), default=0) if evenly_filled else 0
    return {video_id: _inferred_rate(lists, seconds[video_id], longest) for video_id, lists in of_video.items()}


def _inferred_rate(lists: Sequence[Sequence[int]], seconds: float | None, longest: int) -> tuple[float, str] | None:
    numbers = {frame for given in lists for frame in given} - {0}
    if not numbers:
        return None
    last, stride = max(numbers), math.gcd(*numbers)
    rate, how, known = NTSC.get(stride, float(stride)), f"the stride of {stride}", len(numbers) >= ENOUGH
    evenly = longest > 1 and any(len(given) == longest and _is_even(given) for given in lists)
    if seconds is None:
        known = known and not evenly
    elif last / rate > seconds + SLACK or stride not in STRIDES:
        rate, how = (last + evenly) / seconds, "the last frame and the length in the labels"
        known = evenly or (known and stride <= rate < stride + 1)
    if not known or not STRIDES[0] <= rate <= STRIDES[-1]:
        return None
    return rate, f"{rate:.6g} frames a second inferred from {how}"


def _is_even(frames: Sequence[int]) -> bool:
    """Whether the frames are spread evenly from the first frame of a video to the last of them."""
    return list(frames) == np.linspace(0, frames[-1], len(frames)).astype(int).tolist()


def _inferred(frames: Sequence[int], question: Question, rate: tuple[float, str] | None, source: str) -> Selected:
    if error := _unusable(frames, None, source):
        return Selected(video_id=question.video_id, error=error)
    if rate is None:
        error = f"{source}: the video's frame rate cannot be inferred"
        return Selected(video_id=question.video_id, error=error, frames=list(frames))
    return Selected(
        video_id=question.video_id,
        note=f"{source}; {rate[1]}{_disorder(frames)}",
        frames=list(frames),
        times=[frame / rate[0] for frame in frames],
    )


def _in_table(frames: Sequence[int], question: Question, video: Video, source: str) -> Selected:
    if error := _unusable(frames, video, source):
        return Selected(video_id=question.video_id, error=error)
    _refuse_beyond(frames, video, question)
    true_times = dict(zip(video.frames, video.times, strict=True))
    return Selected(
        video_id=question.video_id,
        note=source + _off_grid(frames, video) + _disorder(frames),
        frames=list(frames),
        times=[true_times.get(frame, frame / video.fps) for frame in frames],
        candidates=len(video.frames),
    )


def _unusable(given: Sequence[float], video: Video | None, source: str) -> str | None:
    """Why nothing can be selected for a question."""
    if video is not None and video.error is not None:
        return f"video: {video.error}"
    return None if given else f"{source}: no frames of this question"


def _video_of(question: Question, videos: Mapping[str, Video]) -> Video:
    if question.video_id not in videos:
        raise InputError(
            "has a video that is not in the table", field=f"question {question.question_id}", value=question.video_id
        )
    return videos[question.video_id]


def _refuse_beyond(frames: Sequence[int], video: Video, question: Question) -> None:
    if max(frames) >= video.n_frames:
        raise InputError(
            "has a frame after the end of its video",
            field=f"question {question.question_id}",
            value=max(frames),
            expected=f"less than {video.n_frames}, the frames of {video.video_id}",
            hint="was the selection made from another edition of the video?",
        )


def _off_grid(frames: Sequence[int], video: Video) -> str:
    missing = len(set(frames) - set(video.frames))
    return f"; {missing} of the frames are no candidates here" if missing else ""


def _disorder(values: Sequence[float]) -> str:
    repeated = len(values) - len(set(values))
    backwards = any(before > after for before, after in pairwise(values))
    return (f"; {repeated} frames given again" if repeated else "") + ("; not in time order" if backwards else "")


# Back


def to_aks(selection: Mapping[str, Selected], questions: Sequence[Question], floats: bool = False) -> list[list[float]]:
    """Frame indices, one list per question in the order of `questions`; empty for a question without frames.

    Parameters
    ----------
    floats : bool
        Write floats (30.0), as the released files of VideoMME do.

    Raises
    ------
    InputError
        If a question is missing, or has timestamps but no frame indices.

    Examples
    --------
    >>> question = Question(question_id="q", video_id="v", question="Which one?", options=("red", "blue"), answer="A")
    >>> to_aks({"q": Selected(video_id="v", frames=[0, 30], times=[0.0, 1.0])}, [question])
    [[0, 30]]
    """
    number = float if floats else int
    return [[number(frame) for frame in choice.frames] for choice in _numbered(selection, questions)]


def to_wfs_sb(
    selection: Mapping[str, Selected], questions: Sequence[Question], records: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The original label records, each with `keyframe_indices`.

    Parameters
    ----------
    questions, records : sequence
        Both in the order of the labels, one record per question.
    """
    chosen = _numbered(selection, questions)
    return [{**record, KEYFRAMES: list(choice.frames)} for record, choice in zip(records, chosen, strict=True)]


def to_kfs_bench(selection: Mapping[str, Selected], questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Records with `id` and `frame_timestamps` in seconds, for questions with frames, in the order of `questions`.

    Examples
    --------
    >>> question = Question(question_id="q", video_id="v", question="Which one?", options=("red", "blue"), answer="A")
    >>> to_kfs_bench({"q": Selected(video_id="v", frames=[0, 30], times=[0.0, 1.0])}, [question])
    [{'id': 'q', 'frame_timestamps': [0.0, 1.0]}]
    """
    return [
        {"id": question.question_id, "frame_timestamps": list(choice.times)}
        for question, choice in zip(questions, _chosen(selection, questions), strict=True)
        if choice.times
    ]


def as_text(layout: str, content: list) -> str:
    """The text of the file, indented as in the releases."""
    return json.dumps(content, indent=2, ensure_ascii=False) if layout == "wfs_sb" else json.dumps(content)


def _chosen(selection: Mapping[str, Selected], questions: Sequence[Question]) -> list[Selected]:
    if missing := [question.question_id for question in questions if question.question_id not in selection]:
        raise InputError(f"{len(missing)} questions have no selection", field="question_id", value=missing[0])
    return [selection[question.question_id] for question in questions]


def _numbered(selection: Mapping[str, Selected], questions: Sequence[Question]) -> list[Selected]:
    chosen = _chosen(selection, questions)
    for question, choice in zip(questions, chosen, strict=True):
        if choice.times and not choice.frames:
            raise InputError(
                "has timestamps but no frame indices",
                field=f"question {question.question_id}",
                hint="import it with the table of videos (--videos)",
            )
    return chosen


# Values


def _records(path: str | Path, *keys: str) -> list[dict[str, Any]]:
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise InputError("has no records", file=path, expected=f"a list of records with {' and '.join(keys)}")
    for number, record in enumerate(content, start=1):
        if missing := [key for key in keys if key not in record]:
            raise InputError(f"has no {missing[0]!r}", file=path, field=f"record {number}")
    return content


def _refuse_strangers(question_id: Any, known: Iterable[str], found: Mapping, path: str | Path, place: str) -> None:
    if not isinstance(question_id, str) or question_id not in known:
        raise InputError("is not a question of the labels", file=path, field=place)
    if question_id in found:
        raise InputError("occurs twice", file=path, field=place)


def _frames(values: Any, path: str | Path, place: str) -> list[int]:
    if not isinstance(values, list):
        raise InputError("is not a list of frame indices", file=path, field=place, value=values)
    for value in values:
        if not is_number(value) or value < 0 or value != int(value):
            raise InputError("is not a frame index", file=path, field=place, value=value)
    return [int(value) for value in values]


def count_notes(selection: Mapping[str, Selected]) -> Counter[str]:
    """Numbers of questions that are excluded, have an inferred rate, or have frames outside of the candidates."""
    counts: Counter[str] = Counter()
    for choice in selection.values():
        counts["excluded"] += choice.error is not None
        counts["inferred"] += "inferred" in (choice.note or "")
        counts["no candidates"] += "no candidates" in (choice.note or "")
    return counts
