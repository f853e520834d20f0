"""Annotated scenes of a question, as KFS-Bench publishes them (arXiv 2512.14017)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from framesift.data.questions import seconds_of

#: First and last second of a segment, inclusive.
Segment = tuple[float, float]
#: The segments of each scene of a question; a scene may be seen in several.
Scenes = Sequence[Sequence[Segment]]


def scenes_of(rows: Iterable[Mapping[str, str]]) -> dict[str, Scenes]:
    """Scenes by question id from the rows of KFS-Bench's CSV: `id`, `scene_id`, `start` and `end` (h:m:s or m:s).

    As in its own evaluation, an end includes all of its second, so one second is added to it.

    Raises
    ------
    ValueError
        If a time has another form, or a segment ends before it starts.

    Examples
    --------
    >>> scenes_of([{"id": "q1", "scene_id": "1", "start": "0:10", "end": "0:12"}])
    {'q1': ([(10.0, 13.0)],)}
    """
    scenes: dict[str, dict[str, list[Segment]]] = {}
    for row in rows:
        start, end = seconds_of(row["start"]), seconds_of(row["end"]) + 1
        if start > end:
            raise ValueError(f"a segment of {row['id']!r} must not end before it starts")
        scenes.setdefault(row["id"], {}).setdefault(row["scene_id"], []).append((start, end))
    return {question_id: tuple(found.values()) for question_id, found in scenes.items()}
