"""Annotated evidence of a dataset's questions: from their labels, or from a file the user has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from framesift.core.errors import InputError, invalid
from framesift.data.questions import Evidence, Question
from framesift.data.scenes import Scenes, scenes_of
from framesift.storage.files import read_csv, read_json
from framesift.video.table import Video


def read_evidence(path: str | Path) -> dict[str, Evidence]:
    """Evidence by question id, from a JSON of ours or the CSV of scenes that KFS-Bench publishes (arXiv 2512.14017).

    Raises
    ------
    InputError
        For a file of another form, or a span that ends before it starts.
    """
    if Path(path).suffix == ".csv":
        return {
            question_id: Evidence.of_moments(spans=tuple(sorted(chain.from_iterable(scenes))), moments=len(scenes))
            for question_id, scenes in read_scenes(path).items()
        }
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError("is no evidence file", file=path, expected='{question_id: {"kind": ..., "spans": [[t0, t1]]}}')
    evidence = {}
    for question_id, entry in content.items():
        try:
            evidence[question_id] = Evidence.model_validate(entry)
        except ValidationError as error:
            raise invalid(error, path, question_id) from None
    return evidence


def read_scenes(path: str | Path) -> dict[str, Scenes]:
    """Scenes by question id from the CSV that KFS-Bench publishes; its segments are checked, each named by its record.

    Raises
    ------
    InputError
        For a column that is missing, a time in another form, or a segment that ends before it starts.
    """
    columns = ("id", "scene_id", "start", "end")
    number = 0

    def rows() -> Iterator[dict[str, str]]:
        nonlocal number
        for number, row in enumerate(read_csv(path), start=1):  # noqa: B007 (an error names the row that was last)
            if missing := [column for column in columns if column not in row]:
                raise InputError("is missing", file=path, field=f"column {missing[0]!r}", expected=", ".join(columns))
            yield row

    try:
        return scenes_of(rows())
    except ValueError as error:
        raise InputError(str(error), file=path, field=f"record {number}") from None


def evidence_in_seconds(
    questions: Iterable[Question], videos: Mapping[str, Video], file: str | Path | None = None
) -> dict[str, Evidence]:
    """Evidence by question id, every moment as a span of seconds.

    Parameters
    ----------
    questions : iterable of Question
        Their own evidence, if any, comes from the labels.
    videos : mapping
        Videos by id; may be empty where no evidence names frames, which are turned into seconds with the video's rate.
    file : path, optional
        An evidence file; what it says of a question counts before what the labels say.

    Raises
    ------
    InputError
        For evidence that names frames of a video that is not among `videos`.
    """
    given = read_evidence(file) if file else {}
    evidence = {}
    for question in questions:
        found = given.get(question.question_id, question.evidence)
        if found is None:
            continue
        if found.frames:
            if question.video_id not in videos:
                raise InputError(
                    "has evidence that names frames of a video of unknown frame rate",
                    field=f"question {question.question_id}",
                    value=question.video_id,
                    hint="give the table of videos (--videos)",
                )
            video = videos[question.video_id]
            moments = [(frame / video.fps, frame / video.fps) for frame in found.frames] if video.fps else []
            found = Evidence(kind=found.kind, spans=tuple(sorted([*found.spans, *moments])))
        evidence[question.question_id] = found
    return evidence
