"""Scorers: how well does a frame fit a question?

A scorer is an encoder that sees the frames of a video once, in batches, and serves all questions of the video from
that one pass: `features` does the work that depends on the frames alone, `scores` the rest.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.core.components import Component
from framesift.data.questions import Question
from framesift.scoring.encoders import Encoder, cosines

#: What of a question a scorer is asked.
Asked = Literal["question", "question_and_options"]


def asked(question: Question, text: Asked) -> str:
    """A question as scorers are asked: alone, or with its options after their letters.

    Examples
    --------
    >>> question = Question(question_id="q", video_id="v", question="Which one?", options=("red", "blue"), answer="A")
    >>> asked(question, "question"), asked(question, "question_and_options")
    ('Which one?', 'Which one? A. red B. blue')
    """
    if text == "question":
        return question.question
    letters = (f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(question.options))
    return " ".join([question.question, *letters])


class ScoreSource(Component):
    """Whatever scores can be taken from: a scorer, or files with scores."""

    def refuses(self, dataset: str, rule: str) -> str | None:
        """Why it has no scores for a kind of dataset and a rule of candidates; None where it has."""
        return None


class Scorer(Encoder, ScoreSource):
    """Contract of a scorer: an encoder with `scores`."""

    keeps_features: ClassVar[bool] = False

    text: Asked = Field(
        default="question",
        description="What the scorer is asked: the question alone (as AKS does), or with its options.",
    )

    @abstractmethod
    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        """Scores of frames for texts: float32 array of shape (batch, len(texts)); larger is better.

        The score of a text does not depend on the other texts. Where features are kept, a batch is all frames of a
        video that the scorer sees (`positions`), so it may judge them together; candidates between them get scores by
        linear interpolation.
        """

    def query(self, question: Question) -> str:
        """The text this scorer is asked for a question."""
        return asked(question, self.text)


class TwoTowers(Scorer):
    """A scorer that compares an embedding of the frame with one of the text; both are worth keeping."""

    keeps_features: ClassVar[bool] = True

    @abstractmethod
    def text_features(self, loaded: Any, text: str) -> Any:
        """The embedding of a text: float32 of length 1 on the CPU, shape (1, dimensions)."""

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        # One text at a time: a common batch, or common padding, would make a score depend on the other questions.
        return cosines(features, [self.text_features(loaded, text)[0] for text in texts])
