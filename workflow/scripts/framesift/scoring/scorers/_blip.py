"""What the BLIP scorers share."""

from __future__ import annotations

from typing import Any, ClassVar

from framesift.core.errors import InputError
from framesift.scoring.encoders._transformers import OfTransformers
from framesift.scoring.scorers._captions import Captioned


class Blip(Captioned, OfTransformers):
    """A BLIP for retrieval (Li et al., ICML 2022), through transformers."""

    architecture: ClassVar[str] = "BlipForImageTextRetrieval"

    def image_tokens(self, loaded: Any, pixels: Any) -> Any:
        """The vision model's tokens: shape (batch, tokens, width); the first one stands for the picture."""
        model, _ = loaded
        return model.vision_model(pixel_values=pixels.to(model.device, model.dtype)).last_hidden_state


def encoder_token(loaded: Any) -> int:
    """Id of [ENC], the token with which LAVIS begins a text that is matched with a picture.

    LAVIS adds [DEC] and [ENC] to BERT's vocabulary, so they are the last two of the embedding; the tokenizers that
    come with checkpoints for transformers do not know them.

    Raises
    ------
    InputError
        For a checkpoint without them.
    """
    model, processor = loaded
    known, embedded = len(processor.tokenizer), model.config.text_config.vocab_size
    vocabulary = processor.tokenizer.get_vocab()
    if "[ENC]" in vocabulary:
        return vocabulary["[ENC]"]
    if embedded == known + 2:
        return known + 1
    raise InputError(
        "the checkpoint has no [ENC] token",
        field="first_token",
        value="enc",
        expected=f"an embedding of {known + 2} tokens, not {embedded}",
        hint="it was not trained by LAVIS; set first_token: cls",
    )
