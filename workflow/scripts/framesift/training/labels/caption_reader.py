"""An LLM reads the captions of all frames of a video and names those that are needed together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from framesift.data.questions import Question
from framesift.scoring.mllm_selector import label_prompts as prompts
from framesift.scoring.mllm_selector.label_settings import LabelSettings
from framesift.training.labels.labeller import Labeller
from framesift.training.labels.records import Records
from framesift.training.labels.replies import Named, most_frames, read_reply


@dataclass(frozen=True)
class NamedFrames:
    """The frames that an LLM names for a question, by their place among the captions; and how often it was asked."""

    named: Named
    asked: int


def read_captions(
    settings: LabelSettings, labeller: Labeller, records: Records, questions: Sequence[Question], captions: list[str]
) -> tuple[dict[str, NamedFrames], Counter[str]]:
    """Ask which frames each question needs; again, with what was wrong, after a reply that cannot be used.

    Parameters
    ----------
    settings : LabelSettings
    labeller : Labeller
    records : Records
        Of the video.
    questions : sequence of Question
    captions : list of str
        In the order of the frames.

    Returns
    -------
    read : dict
        By question id. Where no reply could be used, what was wrong with the last one.
    took : Counter
        See `Records.ask`.
    """
    most = most_frames(len(captions))
    asks = {}
    for question in questions:
        text = prompts.asked_question(question, settings.text)
        asks[question.question_id] = prompts.needed_frames(
            settings.prompts, text, captions, most, settings.reply_tokens
        )
    read: dict[str, NamedFrames] = {}
    took = Counter[str]()
    for tries in range(1, settings.retries + 2):
        took += records.ask(labeller, asks.values())
        for question_id, ask in asks.items():
            reply = records[ask].text
            named = read_reply(reply, len(captions))
            read[question_id] = NamedFrames(named, tries)
            if named.problem:
                asks[question_id] = prompts.again(ask, reply, named.problem)
        asks = {question_id: ask for question_id, ask in asks.items() if read[question_id].named.problem}
    return read, took
