"""BLIP-2 image-text matching (Li et al., ICML 2023)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.scoring.encoders._transformers import OfTransformers
from framesift.scoring.scorers._captions import CLEANING, LENGTH, Captioned


class Blip2Itm(Captioned, OfTransformers):
    """Probability that text and frame match (ITM head), as in WFS-SB and AdaRD-Key, through transformers.

    The image tokens of a batch are computed once; the Q-Former sees them again with each text, since its queries
    attend to text and picture alike.
    """

    title = "BLIP-2 (image-text matching)"
    cites = ("li2023blip2",)
    version = 1
    architecture: ClassVar[str] = "Blip2ForImageTextRetrieval"

    kind: Literal["blip2_itm"] = "blip2_itm"
    text_cleaning: Literal["lavis", "none"] = Field(default="none", description=CLEANING)
    max_tokens: int = Field(
        default=512,
        ge=3,
        description=LENGTH + " 512 are all that the model has positions for, and what transformers' processor keeps;"
        " LAVIS keeps 32.",
    )

    def features(self, loaded: Any, pixels: Any) -> Any:
        """The vision model's tokens: shape (batch, tokens, width)."""
        vision = loaded[0].vision_model
        return vision(pixel_values=pixels.to(vision.device, vision.dtype)).last_hidden_state

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        import torch

        model, _ = loaded
        batch = features.shape[0]
        queries = model.query_tokens.expand(batch, -1, -1)
        columns = []
        for text in texts:
            # The processor's own tokens would begin with a placeholder for each query, which the model removes again.
            tokens = self.text_tokens(loaded, text)["input_ids"].expand(batch, -1)
            hidden = model.qformer(
                query_embeds=model.embeddings(input_ids=tokens, query_embeds=queries),
                query_length=queries.shape[1],
                encoder_hidden_states=features,
            ).last_hidden_state
            # Every query votes: the head's logits are averaged over them.
            votes = model.itm_head(hidden[:, : queries.shape[1]].to(model.itm_head.weight.dtype))
            columns.append(torch.softmax(votes.float().mean(dim=1), dim=1)[:, 1])
        return torch.stack(columns, dim=1).cpu().numpy()
