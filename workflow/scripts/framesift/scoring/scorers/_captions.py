"""Texts for scorers that were trained on captions, as LAVIS treats them or as they are."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from framesift.scoring.scorers import Scorer

MAX_WORDS = 50
CLEANING = (
    '`lavis`: lower case, without . ! " ( ) * # : ; ~, at most 50 words, as LAVIS and so the release of'
    " AKS clean texts; `none`: as they are."
)
LENGTH = "Longest text in tokens; the rest is cut."


class Captioned(Scorer):
    """A scorer that is loaded as a pair of model and processor, and reads texts like captions."""

    text_cleaning: Literal["lavis", "none"] = Field(default="lavis", description=CLEANING)
    max_tokens: int = Field(default=35, ge=3, description=LENGTH)

    def text_tokens(self, loaded: Any, text: str) -> Any:
        """Token ids and attention mask of one text, shape (1, tokens)."""
        model, processor = loaded
        text = cleaned(text) if self.text_cleaning == "lavis" else text
        return processor.tokenizer(text, truncation=True, max_length=self.max_tokens, return_tensors="pt").to(
            model.device
        )


def cleaned(text: str) -> str:
    """A caption as LAVIS's `blip_caption` processor makes it for evaluation.

    Words end at blanks and at runs of white space; a single tab or line break inside a text does not end one.
    """
    words = re.split(r"\s{2,}| |\n\Z", re.sub(r'[.!"()*#:;~]', " ", text.lower()))
    return " ".join([word for word in words if word][:MAX_WORDS])
