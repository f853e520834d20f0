"""The M-LLM frame selector (Hu et al., CVPR 2025, arXiv 2502.19680): one pass scores all frames of a video."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.checkpoints.component import checkpoint_folder, is_folder, loading, local_folder
from framesift.scoring.encoders.patches import Patches
from framesift.scoring.scorers import Asked, Scorer
from framesift.video.pictures import Pictures

#: Where selectors are that the workflow trains: by name, then by the digest of what they are trained by.
SELECTORS = Path("results/selectors")


class MllmSelector(Scorer):
    """Importance of each frame for the question, in [0, 1], by a selector that train_selector.py made.

    It sees its number of frames, uniform over the candidates, all together; what lies between them is interpolated. The
    frames' features are kept as those of its vision encoder (kind `patches`), whatever the selector: another question,
    or another selector with the same encoder, costs one pass of the language model. The paper goes on with selector
    `nms`; any other can take the scores too.
    """

    title = "the M-LLM frame selector"
    cites = ("hu2025mllm",)
    version = 1
    checkpoint = "composed"
    keeps_features: ClassVar[bool] = True
    vectors: ClassVar[bool] = False

    kind: Literal["mllm_selector"] = "mllm_selector"
    text: Asked = Field(
        default="question_and_options",
        description="What the scorer is asked: the question alone, or with its options. As the selector was trained.",
    )
    n: int | None = Field(default=None, ge=1, description="Frames it must have been trained for; none for any number.")
    template: str | None = Field(default=None, description="Template it must have been trained with; none for any.")
    encoder: str | None = Field(
        default=None,
        description="Vision encoder it must have been trained with: a repository, or the folder where it lies here.",
    )
    llm: str | None = Field(
        default=None,
        description="Language model it must have been trained with: a repository, or the folder where it lies here.",
    )

    @property
    def made_here(self) -> str | None:
        """Name of the selector that the workflow trains, where it is meant (``results/selectors/NAME``)."""
        folder = Path(self.model)
        return folder.name if folder.parent == SELECTORS else None

    def files(self) -> list[str]:
        folders = [local_folder(one) for one in (self.encoder, self.llm) if one and is_folder(one)]
        return [file.as_posix() for folder in folders for file in sorted(folder.iterdir()) if file.is_file()]

    def positions(self, candidates: int) -> list[int]:
        return self.feature_encoder().positions(candidates)

    def feature_encoder(self) -> Patches:
        return _vision_encoder(self)

    def expected(self) -> dict[str, Any]:
        """What a selector must match, as `from_pretrained` takes it."""
        return {name: getattr(self, name) for name in ("n", "encoder", "llm", "template", "text")}

    def load(self, device: str) -> _LoadedSelector:
        return _LoadedSelector(self, device)

    def pictures(self, loaded: Any) -> Pictures:
        return loaded.feature_encoder.pictures(loaded.vision)

    def features(self, loaded: Any, pixels: Any) -> Any:
        return loaded.feature_encoder.features(loaded.vision, pixels)

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        return loaded.scores(features, texts)


@lru_cache
def _vision_encoder(scorer: MllmSelector) -> Patches:
    """The vision encoder that a selector's checkpoint names."""
    from framesift.scoring.mllm_selector.checkpoint_config import settings_of

    _, settings = settings_of(checkpoint_folder(scorer.model, scorer.revision), **scorer.expected())
    return settings.vision.model_copy(update={"dtype": scorer.dtype, "batch_size": scorer.batch_size})


class _LoadedSelector:
    """Language model and vision encoder, each loaded when it is first needed: known videos need the first alone."""

    def __init__(self, scorer: MllmSelector, device: str) -> None:
        self.scorer, self.device, self.feature_encoder = scorer, device, scorer.feature_encoder()

    @cached_property
    def vision(self) -> Any:
        return self.feature_encoder.load(self.device)

    @cached_property
    def selector(self) -> Any:
        import torch

        from framesift.scoring.mllm_selector.checkpoint import from_pretrained

        scorer = self.scorer
        with loading(scorer, "a folder that train_selector.py made"):
            made = from_pretrained(
                scorer.model, scorer.revision, dtype=getattr(torch, scorer.dtype), **scorer.expected()
            )
        made.network.to(self.device)
        return made

    def scores(self, features: Any, texts: list[str]) -> np.ndarray:
        """Importance of the frames whose features are given; (frames, texts). A question at a time, as all scorers."""
        import torch

        from framesift.scoring.mllm_selector.batches import Reader, in_slots
        from framesift.scoring.mllm_selector.sampling import first_shown, slots

        made = self.selector
        n, reader = made.settings.n, Reader(made.settings, made.tokenizer, {})
        frames = in_slots(features.numpy(), n)[None].to(self.device)
        first = first_shown(slots(len(features), n))
        network, video = made.network, torch.zeros(1, dtype=torch.long, device=self.device)
        read = network.read_frames(frames)
        columns = []
        for text in texts:
            tokens = [reader.tokens(text).to(self.device)]
            columns.append(network.logits_after(read, tokens, video)[0].sigmoid().cpu().numpy()[first])
        return np.stack(columns, axis=1)
