"""SeViLA's localizer (Yu et al., NeurIPS 2023): BLIP-2 is asked whether a frame helps to answer the question."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.core.errors import InputError
from framesift.data.questions import Question
from framesift.scoring.encoders._transformers import OfTransformers
from framesift.scoring.scorers import Scorer
from framesift.scoring.scorers._captions import cleaned
from framesift.storage.checksums import file_digest

PREFIX = "Frame: "
ASKED = ". Is this a good frame can answer the question?"
MAX_TOKENS = {"released": 77, "fixed": 512}


class Sevila(Scorer, OfTransformers):
    """How readily BLIP-2 FLAN-T5 says that a frame is good for answering a question, as in AKS (`sevila`).

    The language model reads "Frame: ", the frame as the Q-Former sees it, and the prompt. `released` scores as the
    release of AKS does: the prompt is cleaned as a caption and cut after 50 words (a long question so loses the very
    sentence that asks about the frame), then after 77 tokens, and the score is the logit of "yes", which no logit of
    "no" is held against. `fixed` gives the whole prompt (up to 512 tokens), and scores the probability of "yes"
    against "no".

    Without `localizer`, BLIP-2's own Q-Former looks at the frames. The release of AKS means the same: it loads
    `qformer_loc.pth`, by SeViLA's README a copy of BLIP-2's Q-Former, but from a path of its authors' machine; where
    one just skips that, its Q-Former stays without training, and its scores are another thing than these. The
    localizer that SeViLA trained is in `sevila_pretrained.pth`.
    """

    title = "the localizer of SeViLA"
    cites = ("yu2023sevila", "li2023blip2")
    version = 1
    architecture: ClassVar[str] = "Blip2ForConditionalGeneration"

    kind: Literal["sevila"] = "sevila"
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Precision of the model; T5 leaves the range of float16."
    )
    text: Literal["question_and_options"] = Field(
        default="question_and_options", description="What the scorer is asked: its prompt always has the options."
    )
    form: Literal["released", "fixed"] = Field(
        default="fixed",
        description="`released`: a cleaned and cut prompt and the bare logit of yes, as in the release of AKS;"
        " `fixed`: the whole prompt, and the probability of yes against no.",
    )
    options_style: Literal["spaced", "joined"] = Field(
        default="spaced",
        description="How the prompt lists the options: `spaced`, each followed by a space, as the release of AKS does"
        " for LongVideoBench; `joined`, with nothing between them, as it does for Video-MME.",
    )
    localizer: str | None = Field(
        default=None,
        description="SeViLA's checkpoint file (sevila_pretrained.pth), for the localizer it trained; without it"
        " BLIP-2's own Q-Former is used, as the release of AKS means to.",
    )

    def files(self) -> list[str]:
        return [self.localizer] if self.localizer else []

    def weights(self) -> str:
        own = super().weights()
        return f"{own} {localizer_digest(self.localizer)}" if self.localizer else own

    def load(self, device: str) -> Any:
        model, processor = super().load(device)
        if self.localizer:
            from framesift.scoring.scorers._localizer import load_localizer

            load_localizer(model, self.localizer)
        return model, processor

    def query(self, question: Question) -> str:
        prompt = self._prompt(question)
        return cleaned(prompt) if self.form == "released" else prompt

    def _prompt(self, question: Question) -> str:
        options = [f"{letter}. {text}" for letter, text in zip(question.letters, question.options, strict=True)]
        after = " " if self.options_style == "spaced" else ""
        listed = "".join(option + after for option in options)
        return f"Question: {question.question}" + (f" Candidate: {listed}" if listed else "") + ASKED

    def features(self, loaded: Any, pixels: Any) -> Any:
        """A frame as the language model reads it: shape (batch, queries, width of T5)."""
        vision = loaded[0].vision_model
        return loaded[0].get_image_features(pixel_values=pixels.to(vision.device, vision.dtype)).pooler_output

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        import torch

        model, processor = loaded
        language, tokenizer = model.language_model, processor.tokenizer
        # in FLAN-T5: 4273 and 150
        yes, no = token_of(tokenizer, "yes"), token_of(tokenizer, "no")
        start = torch.full((features.shape[0], 1), language.config.decoder_start_token_id, device=features.device)
        before = embedded(language, prefix_tokens(tokenizer), features)
        columns = []
        for text in texts:
            tokens = tokenizer(text, truncation=True, max_length=MAX_TOKENS[self.form]).input_ids
            read = torch.cat([before, features, embedded(language, tokens, features)], dim=1)
            logits = language(inputs_embeds=read, decoder_input_ids=start).logits[:, 0].float()
            if self.form == "released":
                columns.append(logits[:, yes])
            else:
                columns.append(torch.softmax(logits[:, [no, yes]], dim=1)[:, 1])
        return torch.stack(columns, dim=1).cpu().numpy()


def embedded(language: Any, tokens: list[int], features: Any) -> Any:
    """The same tokens for every frame: shape (batch, tokens, width)."""
    import torch

    ids = torch.tensor([tokens], device=features.device)
    return language.get_input_embeddings()(ids).to(features.dtype).expand(features.shape[0], -1, -1)


def prefix_tokens(tokenizer: Any) -> list[int]:
    """Tokens of "Frame: ".

    FLAN-T5's fast tokenizer made a token of the space at the end when SeViLA was trained; transformers 5 drops it.
    """
    tokens = list(tokenizer(PREFIX, add_special_tokens=False).input_ids)
    space = tokenizer.get_vocab().get("▁")
    return tokens if space is None or tokens[-1] == space else [*tokens, space]


def token_of(tokenizer: Any, word: str) -> int:
    """Id of a word that is one token.

    Raises
    ------
    InputError
        Where it is none.
    """
    tokens = tokenizer(word, add_special_tokens=False).input_ids
    if len(tokens) != 1 or tokens[0] == tokenizer.unk_token_id:
        raise InputError(
            f"the tokenizer has no token for {word!r}",
            field="scorers: model",
            value=tokenizer.name_or_path,
            expected="a BLIP-2 with FLAN-T5",
        )
    return tokens[0]


def localizer_digest(path: str) -> str:
    """SHA-256 of the localizer's file."""
    try:
        return file_digest(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", field="scorers: localizer", value=path) from None
