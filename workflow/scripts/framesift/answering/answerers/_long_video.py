"""What answerers have in common whose networks may be made to take long videos."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from framesift.answering.answerers import LocalAnswerer
from framesift.answering.retake.settings import Retake

if TYPE_CHECKING:
    from PIL.Image import Image

    from framesift.answering.retake.generation import Compressed

#: Tokens of the context that Qwen2's checkpoints were trained with, from which YaRN stretches.
TRAINED_CONTEXT = 32768


class LongVideo(LocalAnswerer):
    """Fields of such an answerer; it calls `prepare` on its network before the first question."""

    long_side: int | None = Field(
        default=None,
        ge=1,
        description="Longer side of a picture in pixels: larger ones are reduced to it (nearest pixels, as ReTaKe does)"
        " before the model's own processing.",
    )
    yarn: float | None = Field(
        default=None, gt=1, description="Factor by which YaRN stretches the context of 32,768 tokens; none for none."
    )
    retake: Retake | None = Field(default=None, description="ReTaKe: compress the video inside the network.")

    def picture(self, image: Image) -> Image:
        from PIL.Image import Resampling

        longest = max(image.size)
        if self.long_side is None or longest <= self.long_side:
            return image
        width, height = (max(1, side * self.long_side // longest) for side in image.size)
        return image.resize((width, height), Resampling.NEAREST)

    def prepare(self, network: Any) -> Meter:
        """Stretch the network's context and compress its videos, as configured; then measure its calls."""
        if self.yarn is not None:
            stretch(network, self.yarn)
        compressed = None
        if self.retake is not None:
            from framesift.answering.retake.generation import compress

            compressed = compress(network, self.retake)
        return Meter(network, compressed)


def stretch(network: Any, factor: float) -> None:
    """Let a network's text model read `factor` times as far (YaRN, Peng et al., arXiv 2309.00071).

    The settings are those of Qwen2's model cards, which ReTaKe uses.
    """
    text = network.model.language_model
    text.config.rope_parameters = {
        **text.config.rope_parameters,
        "rope_type": "yarn",
        "factor": factor,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "original_max_position_embeddings": TRAINED_CONTEXT,
    }
    device = text.rotary_emb.inv_freq.device
    text.rotary_emb = type(text.rotary_emb)(config=text.config).to(device)


class Meter:
    """Measures the calls of a network's `generate`.

    Attributes
    ----------
    cost : dict
        Of the last call: `prompt_tokens`, `new_tokens`, `kept_tokens` of the prompt (the mean over layers;
        `kept_tokens_max` where they differ), `first_token_seconds`, `token_seconds` (mean of the further ones), and on
        a GPU `peak_memory_gb`, the most that was allocated during the call, weights included (1e9 bytes).
    """

    def __init__(self, network: Any, compressed: Compressed | None = None) -> None:
        self.cost: dict[str, float] = {}
        self._compressed = compressed
        network.generate = self._measured(network.generate)

    def _measured(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **inputs: Any) -> Any:
            import torch
            from transformers import StoppingCriteria

            stamps: list[float] = []

            class Stamp(StoppingCriteria):
                """Asked after each token whether to stop, it looks at the clock."""

                def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
                    stamps.append(time.monotonic())
                    return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

            on_gpu = inputs["input_ids"].is_cuda
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            start = time.monotonic()
            inputs["stopping_criteria"] = [*(inputs.get("stopping_criteria") or []), Stamp()]
            output = generate(*arguments, **inputs)
            prompt = inputs["input_ids"].shape[1]
            kept = self._compressed.kept.tokens if self._compressed and self._compressed.kept else (prompt - 1,)
            self.cost = {
                "prompt_tokens": prompt,
                "new_tokens": len(stamps),
                "kept_tokens": sum(kept) / len(kept) + 1,  # the last token of the prompt is read when generation begins
                "first_token_seconds": round(stamps[0] - start, 4),
            }
            if len(set(kept)) > 1:
                self.cost["kept_tokens_max"] = max(kept) + 1
            if len(stamps) > 1:
                self.cost["token_seconds"] = round((stamps[-1] - stamps[0]) / (len(stamps) - 1), 4)
            if on_gpu:
                self.cost["peak_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 3)
            return output

        return measured
