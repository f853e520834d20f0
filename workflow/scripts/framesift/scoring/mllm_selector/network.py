"""The network: a language model reads frames and question, and one hidden state gives the scores of all frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from framesift.scoring.mllm_selector.batches import Batch
from framesift.scoring.mllm_selector.losses import importance_loss, instruction_loss
from framesift.scoring.mllm_selector.settings import SelectorSettings


class SelectorNetwork(nn.Module):
    """Projector, language model, score query and score head (arXiv 2502.19680).

    The sequence of a question is its frames (`pool` x `pool` projected features each), its text, and the learnable
    score query; or text, frames, query. Attention is causal, so the query at the end sees everything. An MLP turns the
    hidden state of one block at the query into n logits, one for each slot of the video. Padding follows the query,
    where causal attention does not reach, so no example depends on its batch.

    Parameters
    ----------
    settings : SelectorSettings
    trunk : module
        A language model of transformers without head; blocks after the read-out may be missing.
    blocks : int
        Blocks up to the read-out.
    vision_width : int
        Dimensions of the features of a patch.
    lm_head : module, optional
        From the last hidden state to words, for instruction following; needs a complete `trunk`.
    """

    def __init__(
        self, settings: SelectorSettings, trunk: Any, blocks: int, vision_width: int, lm_head: nn.Module | None = None
    ) -> None:
        super().__init__()
        width = trunk.config.hidden_size
        inner = settings.head_width or width
        self.settings, self.blocks = settings, blocks
        self.trunk, self.lm_head = trunk, lm_head
        self.projector = nn.Sequential(nn.Linear(vision_width, width), nn.GELU(), nn.Linear(width, width))
        self.query = nn.Parameter(torch.randn(width) * 0.02)
        self.head = nn.Sequential(
            nn.RMSNorm(width) if settings.head_norm else nn.Identity(),
            nn.Linear(width, inner),
            nn.GELU(),
            nn.Linear(inner, settings.n),
        )

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch of either task."""
        if batch.replies:
            return instruction_loss(self.reply_logits(batch), batch.replies)
        read = self.read_frames(batch.frames) if len(batch.frames) < len(batch.texts) else batch.frames
        logits = self.logits_after(read, batch.texts, batch.of)
        return importance_loss(logits, batch.targets, batch.mask)

    def logits(self, frames: Tensor, texts: list[Tensor]) -> Tensor:
        """Logits of the importance of frames.

        Parameters
        ----------
        frames : tensor, shape (batch, n, patches, vision width)
            Features of the frames in the slots.
        texts : list of int tensors, shape (tokens,)
            Tokens of the questions in their template.

        Returns
        -------
        float32 tensor, shape (batch, n)
        """
        return self._scores(*self._sequences(frames, texts, [self.query[None]] * len(texts)))

    @property
    def can_share_frames(self) -> bool:
        """Whether questions about one video can share its part of the sequence: it comes first and sees no text."""
        return self.settings.order == "frames_then_question" and not self.trunk.is_activation_checkpointing

    def read_frames(self, frames: Tensor) -> Any:
        """Input of `logits_after`: keys and values of frames (videos, n, patches, vision width), or the frames."""
        if not self.can_share_frames:
            return frames
        visual = self._visual(frames).to(self.trunk.dtype)
        return self.trunk(inputs_embeds=visual, use_cache=True).past_key_values

    def logits_after(self, read: Any, texts: list[Tensor], of: Tensor) -> Tensor:
        """Like `logits`, for questions that may share videos.

        Parameters
        ----------
        read
            From `read_frames`; it does not change. Or the frames themselves.
        texts : list of int tensors
        of : int tensor, shape (texts,)
            Which of the videos each text asks about.
        """
        if isinstance(read, Tensor):
            return self.logits(read[of], texts)
        from transformers import DynamicCache

        own = DynamicCache()
        for number, layer in enumerate(read.layers):
            own.update(layer.keys[of], layer.values[of], number)
        return self._scores(
            *_filled([(self._embedded(text), self.query[None]) for text in texts], self.trunk.dtype), own
        )

    def _scores(self, sequences: Tensor, ends: Tensor, before: Any = None) -> Tensor:
        """Output of the head for the states at the ends of sequences."""
        output = self.trunk(
            inputs_embeds=sequences,
            past_key_values=before,
            use_cache=before is not None,
            output_hidden_states=[self.blocks],
        )
        read = output.hidden_states[self.blocks][torch.arange(len(ends), device=ends.device), ends]
        with torch.autocast(read.device.type, enabled=False):
            return self.head(read.float())

    def reply_logits(self, batch: Batch) -> list[Tensor]:
        """Predictions of the language model for each token of the replies; shapes (tokens, vocabulary)."""
        assert self.lm_head is not None, "this trunk ends at the read-out"
        replies = [self._embedded(reply) for reply in batch.replies]
        sequences, ends = self._sequences(batch.frames[batch.of], batch.texts, replies)
        states = self.trunk(inputs_embeds=sequences, use_cache=False).last_hidden_state
        return [
            self.lm_head(states[i, end - len(reply) : end])  # the state at each token predicts the next one
            for i, (end, reply) in enumerate(zip(ends.tolist(), batch.replies, strict=True))
        ]

    def _sequences(self, frames: Tensor, texts: list[Tensor], last: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Embedded sequences (batch, longest, width), and the place of the last token of each."""
        first = self.settings.order == "frames_then_question"
        parts = [
            (a, b, c) if first else (b, a, c)
            for a, b, c in zip(self._visual(frames), map(self._embedded, texts), last, strict=True)
        ]
        return _filled(parts, self.trunk.dtype)

    def _visual(self, frames: Tensor) -> Tensor:
        return self.projector(frames.to(self.query.dtype)).flatten(1, 2)

    def _embedded(self, tokens: Tensor) -> Tensor:
        return self.trunk.get_input_embeddings()(tokens)

    # What is trained

    def own_state(self) -> dict[str, Tensor]:
        """Projector, query and head by name: everything beside the language model."""
        return {
            name: tensor for name, tensor in self.state_dict().items() if not name.startswith(("trunk.", "lm_head."))
        }

    def choose_trained(self, llm: str) -> dict[str, nn.Parameter]:
        """Freeze everything but projector, query, head and a part of the language model.

        Parameters
        ----------
        llm : str
            The part of the language model to train: ``none``, ``lora`` (its adapters) or ``all``.

        Returns
        -------
        dict
            The trained parameters by name.
        """
        for name, parameter in self.named_parameters():
            of_llm = name.startswith(("trunk.", "lm_head."))
            parameter.requires_grad_(not of_llm or llm == "all" or (llm == "lora" and "lora_" in name))
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}


def _filled(parts: Sequence[tuple[Tensor, ...]], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Sequences (batch, longest, width) from their parts, padded at the end, and the place of each last token."""
    whole = [torch.cat([part.to(dtype) for part in sequence]) for sequence in parts]
    ends = torch.tensor([len(sequence) - 1 for sequence in whole], device=whole[0].device)
    return nn.utils.rnn.pad_sequence(whole, batch_first=True), ends
