"""Evidence recall: did the frames show the moments that hold the answer?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from framesift.errors import InputError
from framesift.files import read_json


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("a span must not end before it starts")
    return span


Span = Annotated[tuple[FiniteFloat, FiniteFloat], AfterValidator(_ordered)]


class Evidence(BaseModel):
    """Where the answer to one question is seen.

    Attributes
    ----------
    kind : str
        ``one_moment``, ``two_moments``, ``whole_video``, or a kind of the dataset's own.
    spans : tuple of (float, float)
        First and last second of each moment; none where the whole video is the evidence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(min_length=1)
    spans: tuple[Span, ...] = ()


def read_evidence(path: str | Path) -> dict[str, Evidence]:
    """Evidence by question id.

    Raises
    ------
    InputError
        For a file of another form, or a span that ends before it starts.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError("is no evidence file", file=path, expected='{question_id: {"kind": ..., "spans": [[t0, t1]]}}')
    evidence = {}
    for question_id, entry in content.items():
        try:
            evidence[question_id] = Evidence.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in (question_id, *first["loc"]))
            raise InputError(first["msg"], file=path, field=field, value=first["input"]) from None
    return evidence


def evidence_recall(
    times: Iterable[float], spans: Sequence[tuple[float, float]], tolerance: float = 0.0
) -> float | None:
    """Share of the evidence spans in which at least one frame lies.

    Parameters
    ----------
    times : iterable of float
        When each given frame is shown, in seconds after the first frame of the video.
    spans : sequence of (float, float)
        First and last second of each span; both ends count as inside.
    tolerance : float
        Seconds by which a frame may miss a span and still count.

    Returns
    -------
    float or None
        Between 0 and 1; None for a question without spans, which has no recall.
    """
    if not spans:
        return None
    times = list(times)
    hit = sum(any(start - tolerance <= time <= end + tolerance for time in times) for start, end in spans)
    return hit / len(spans)
