"""Questions, answers and evidence of the demo videos, in VideoMME's own columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from framesift.demo import text
from framesift.demo.config import DemoWorld, video_ids
from framesift.demo.world import COLOUR_NAMES, DIGITS, SHAPES, Event, VideoPlan, event_pairs, plan_video, stream
from framesift.storage.files import atomic_write, write_json

COLUMNS = (
    *("video_id", "duration", "domain", "sub_category", "url", "videoID"),
    *("question_id", "task_type", "question", "options", "answer"),
)
ONE_MOMENT_KINDS = ("digit", "colour", "digit", "shape")  # digit questions are about the events that may have a decoy
TASK_TYPES = {
    "digit": "OCR Problems",
    "colour": "Attribute Perception",
    "shape": "Object Recognition",
    "two": "OCR Problems",
    "border": "Information Synopsis",
}
DOMAIN, SUB_CATEGORY = "Artistic Performance", "Animation"  # lmms-eval only accepts VideoMME's own names


def make_questions(world: DemoWorld) -> tuple[list[dict], dict[str, dict]]:
    """All questions of the world.

    Returns
    -------
    records : one dict per question with the keys ``COLUMNS``
    evidence : for each question id its kind, and the spans in seconds that hold the answer (none: the whole video)
    """
    records, evidence = [], {}
    for video_id in video_ids(world):
        plan = plan_video(world, video_id)
        rng = stream(world, video_id, "questions")
        asked = [*_one_moment(world, plan, rng), *_two_moments(world, plan, rng), *_whole_video(world, plan, rng)]
        for number, (task, kind, question, options, answer, spans) in enumerate(asked, start=1):
            question_id = f"{video_id}-{number}"
            letters = text.LETTERS
            records.append(
                {
                    "video_id": video_id,
                    "duration": plan.duration,
                    "domain": DOMAIN,
                    "sub_category": SUB_CATEGORY,
                    "url": "",
                    "videoID": video_id,
                    "question_id": question_id,
                    "task_type": TASK_TYPES[task],
                    "question": question,
                    "options": [f"{letter}. {option}" for letter, option in zip(letters, options, strict=True)],
                    "answer": letters[options.index(answer)],
                }
            )
            evidence[question_id] = {"kind": kind, "spans": spans}
    return records, evidence


def _span(event: Event) -> list[float]:
    return [round(event.start, 3), round(event.end, 3)]


def _shuffled(rng: np.random.Generator, options: list[str]) -> list[str]:
    return [options[k] for k in rng.permutation(len(options))]


def _one_moment(world: DemoWorld, plan: VideoPlan, rng: np.random.Generator):
    """Digit, colour or shape of one event; the wrong options are values of other events of the video."""
    for number in range(world.one_moment_questions):
        task = ONE_MOMENT_KINDS[number % len(ONE_MOMENT_KINDS)]
        event = plan.events[number]
        if task == "digit":
            question = text.digit_question(event.colour, event.shape)
            answer, seen, values = event.digit, [other.digit for other in plan.events], DIGITS
        elif task == "colour":
            question = text.colour_question(event.digit)
            answer, seen, values = event.colour, [other.colour for other in plan.events], COLOUR_NAMES
        else:
            question = text.shape_question(event.digit)
            answer, seen, values = event.shape, [other.shape for other in plan.events], SHAPES
        wrong = [value for value in values if value in seen and value != answer]
        options = _shuffled(rng, [answer, *_shuffled(rng, wrong)[:3]])
        yield task, "one_moment", question, options, answer, [_span(event)]


def _two_moments(world: DemoWorld, plan: VideoPlan, rng: np.random.Generator):
    """Digits of two distant events; each digit is in two options, so one moment alone leaves a coin toss."""
    for first, second in event_pairs(world):
        pair = [plan.events[first], plan.events[second]]
        others = _shuffled(rng, [event.digit for k, event in enumerate(plan.events) if k not in (first, second)])
        answer = f"{pair[0].digit} and {pair[1].digit}"
        options = [f"{a} and {b}" for a in (pair[0].digit, others[0]) for b in (pair[1].digit, others[1])]
        question = text.two_digits_question(*[(event.colour, event.shape) for event in pair])
        yield "two", "two_moments", question, _shuffled(rng, options), answer, sorted(_span(event) for event in pair)


def _whole_video(world: DemoWorld, plan: VideoPlan, rng: np.random.Generator):
    """How often the border has a colour: first colours that it has, then colours that it never has."""
    used = list(dict.fromkeys(spell.colour for spell in plan.border))
    never = _shuffled(rng, [colour for colour in COLOUR_NAMES if colour not in used])
    for colour in [*used, *never][: world.whole_video_questions]:
        share = sum(spell.end - spell.start for spell in plan.border if spell.colour == colour) / plan.seconds
        yield (
            "border",
            "whole_video",
            text.border_question(colour),
            _shuffled(rng, text.SHARES),
            share_word(share),
            [],
        )


def share_word(share: float) -> str:
    """The option for a share of the video between 0 and 1.

    Examples
    --------
    >>> share_word(0.0), share_word(0.3), share_word(0.7), share_word(1.0)
    ('never', 'seldom', 'mostly', 'always')
    """
    if share <= 0.0:
        return "never"
    if share >= 1.0:
        return "always"
    return "seldom" if share < 0.5 else "mostly"


def write_labels(world: DemoWorld, labels: Path, evidence: Path) -> int:
    """Write the questions as parquet and their evidence as JSON; return the number of questions."""
    import pyarrow
    import pyarrow.parquet

    records, spans = make_questions(world)
    schema = pyarrow.schema(
        [(name, pyarrow.list_(pyarrow.string()) if name == "options" else pyarrow.string()) for name in COLUMNS]
    )
    with atomic_write(labels, checked=True) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records, schema=schema), temporary)
    write_json(evidence, spans, checked=True)
    return len(records)
