"""Annotated evidence of a dataset's questions: from their labels, or from a file of the user."""

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
    """Evidence by question id, from a JSON file or the CSV file of scenes that KFS-Bench publishes (arXiv 2512.14017).

    Parameters
    ----------
    path : path
        JSON: ``{question_id: {"kind": ..., "spans": [[start, end]]}}``, in seconds.

    Raises
    ------
    InputError
        If the file has another form, or a span ends before it starts.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    ...     _ = file.write('{"q1": {"kind": "one_moment", "spans": [[3, 5]]}}')
    ...     file.flush()
    ...     read_evidence(file.name)["q1"].spans
    ((3.0, 5.0),)
    """
    if Path(path).suffix == ".csv":
        return {
            question_id: Evidence.of_moments(spans=tuple(sorted(chain.from_iterable(scenes))), moments=len(scenes))
            for question_id, scenes in read_scenes(path).items()
        }
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError("is not an evidence file", file=path, expected='{id: {"kind": ..., "spans": [[t0, t1]]}}')
    evidence = {}
    for question_id, entry in content.items():
        try:
            evidence[question_id] = Evidence.model_validate(entry)
        except ValidationError as error:
            raise invalid(error, path, question_id) from None
    return evidence


def read_scenes(path: str | Path) -> dict[str, Scenes]:
    """Scenes by question id from the CSV file that KFS-Bench publishes.

    Raises
    ------
    InputError
        If a column is missing, a time has another form, or a segment ends before it starts; with the record.
    """
    columns = ("id", "scene_id", "start", "end")
    number = 0

    def rows() -> Iterator[dict[str, str]]:
        nonlocal number
        for number, row in enumerate(read_csv(path), start=1):  # noqa: B007 (an error names the last row)
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
    """Evidence by question id, with every moment as a span of seconds.

    Parameters
    ----------
    questions : iterable of Question
        With the evidence of the labels, if any.
    videos : mapping
        Videos by id; their frame rates turn frames into seconds. May be empty if no evidence names frames.
    file : path, optional
        An evidence file; it takes precedence over the labels.

    Raises
    ------
    InputError
        If evidence names frames of a video that is not among `videos`.

    Examples
    --------
    >>> evidence = Evidence(kind="one_moment", frames=(50,))
    >>> question = Question(question_id="q1", video_id="v1", question="Why?", answer=None, evidence=evidence)
    >>> evidence_in_seconds([question], {"v1": Video("v1", "v1.mp4", fps=25.0)})["q1"].spans
    ((2.0, 2.0),)
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
                    "has evidence in frames, but the frame rate of its video is unknown",
                    field=f"question {question.question_id}",
                    value=question.video_id,
                    hint="give the table of videos (--videos)",
                )
            video = videos[question.video_id]
            moments = [(frame / video.fps, frame / video.fps) for frame in found.frames] if video.fps else []
            found = Evidence(kind=found.kind, spans=tuple(sorted([*found.spans, *moments])))
        evidence[question.question_id] = found
    return evidence
