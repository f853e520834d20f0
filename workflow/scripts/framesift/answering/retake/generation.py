"""Wrap a network's `generate` with compression: prefill in chunks, then generate from the tokens kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from framesift.answering.retake import budgets
from framesift.answering.retake.dpselect import KeptPatches, choose
from framesift.answering.retake.networks import family_of, slices
from framesift.answering.retake.pivotkv import PivotCache, Watch, registered, rotated, select, unrotated
from framesift.answering.retake.settings import Retake
from framesift.core.errors import InputError


@dataclass(frozen=True)
class Prompt:
    """A prompt that is ready for prefill.

    Attributes
    ----------
    ids : integer tensor, shape (1, tokens)
    embeddings : float tensor, shape (1, tokens, C)
    positions : integer tensor, shape (3, 1, tokens) or (1, tokens)
        Without compression.
    start, stop : int
        Range of the video's tokens.
    chunks : list of (int, int)
        Ranges of its chunks.
    change : list of float
        How much the frames of each chunk change.
    pivots : bool tensor, shape (stop - start,), or None
    ratio : float
        Share of the video's tokens to keep.
    """

    ids: Tensor
    embeddings: Tensor
    positions: Tensor
    start: int
    stop: int
    chunks: list[tuple[int, int]]
    change: list[float]
    pivots: Tensor | None
    ratio: float


@dataclass(frozen=True)
class PromptRecord:
    """How much of its prompt the last call of `generate` kept.

    Attributes
    ----------
    prompt : int
        Tokens of the prompt before compression.
    tokens : tuple of int
        Tokens kept when generation began, by layer.
    """

    prompt: int
    tokens: tuple[int, ...]


class Compressed:
    """Replaces a network's `generate`.

    Parameters
    ----------
    network : transformers.GenerationMixin
        Of a family in `retake.networks`. Its text model gets another attention function and a hook that places tokens
        after a compressed video; neither changes calls with another cache.
    settings : Retake
    """

    def __init__(self, network: Any, settings: Retake) -> None:
        self.settings = settings
        self.family = family_of(network)
        self.kept: PromptRecord | None = None
        self._network = network
        self._generate: Callable[..., Any] = network.generate
        self._text = self.family.text
        self._attention = self._text.config._attn_implementation
        network.set_attn_implementation({"text_config": registered(self._attention)})
        self._hook = self._text.register_forward_pre_hook(_shifted, with_kwargs=True)

    def remove(self) -> None:
        """Restore the network."""
        self._hook.remove()
        self._network.set_attn_implementation({"text_config": self._attention})
        self._network.generate = self._generate

    def __call__(self, input_ids: Tensor, **inputs: Any) -> Tensor:
        """Tokens of prompt and answer, shape (1, tokens), as `generate` returns them.

        Raises
        ------
        InputError
            For several prompts or videos at a time, beam search, and other kinds of cache.
        """
        _check(input_ids, inputs)
        with torch.no_grad():
            prompt = self.prompt(input_ids, inputs)
            cache = self.prefill(prompt)
        self.kept = PromptRecord(input_ids.shape[1], tuple(cache.kept()))
        video = {*self.family.media, "attention_mask", "mm_token_type_ids", "cache_implementation"}
        rest = {name: value for name, value in inputs.items() if name not in video}
        if prompt.positions.ndim == 3:
            # position of the next token minus the number of tokens; the hook subtracts what reforging closed up
            ahead = int(prompt.positions.max()) + 1 - prompt.ids.shape[1]
            self._network.model.rope_deltas = torch.tensor([[ahead]], device=prompt.ids.device)
            rest["mm_token_type_ids"] = 2 * self.family.is_video(prompt.ids).int()
        made = self._generate(
            input_ids=prompt.ids, attention_mask=torch.ones_like(prompt.ids), past_key_values=cache, **rest
        )
        return torch.cat([input_ids, made[:, prompt.ids.shape[1] :]], dim=1)

    def prompt(self, ids: Tensor, inputs: Mapping[str, Any]) -> Prompt:
        """Prepare the prompt of a call of `generate`: run the vision tower and DPSelect."""
        settings, family = self.settings, self.family
        length = ids.shape[1]
        video = family.video(inputs, settings.encoder_frames)
        features, change, pivots = video.features, video.change, None
        if settings.dpselect != "none":
            choice = self._chosen(change)
            if settings.dpselect == "drop":
                where = choice.steps.to(features.device)
                features = features.gather(0, where[:, :, None].expand(-1, -1, features.shape[-1]))
                change = change.gather(0, where)
            pivots = self._pivots(choice, video.patches, len(video.tail))
        steps, step_tokens = features.shape[:2]
        start = int(family.is_video(ids)[0].int().argmax())
        stop, tail = start + steps * step_tokens + len(video.tail), int(family.is_video(ids).sum()) + start
        ids = torch.cat([ids[:, :stop], ids[:, tail:]], dim=1)
        embeddings = self._network.get_input_embeddings()(ids)
        tokens = torch.cat([features.flatten(0, 1), video.tail]).to(embeddings)
        embeddings = torch.cat([embeddings[:, :start], tokens[None], embeddings[:, stop:]], dim=1)
        # as released: if a step holds two frames, a video with fewer steps than a chunk has frames becomes two chunks
        chunk_steps = max(1, min(settings.chunk_frames, steps) // family.step_frames)
        chunks = [(start + a, start + b) for a, b in slices(stop - start, chunk_steps * step_tokens)]
        by_step = change.mean(dim=1)
        return Prompt(
            ids,
            embeddings,
            family.positions(ids, inputs, steps),
            start,
            stop,
            chunks,
            [
                float(by_step[i * chunk_steps : (i + 1) * chunk_steps].mean())
                for i in range(math.ceil(steps / chunk_steps))
            ],
            pivots,
            settings.share(length if settings.ratio_length == "raw" else ids.shape[1]),
        )

    def _chosen(self, change: Tensor) -> KeptPatches:
        settings = self.settings
        ratio = settings.dpselect_ratio if settings.dpselect == "drop" else 1.0
        return choose(change, ratio, settings.window, settings.patch_sync)

    def _pivots(self, choice: KeptPatches, patches: Tensor | None, tail: int) -> Tensor:
        """Which of the video's tokens are pivots; none of the tail is."""
        tokens = choice.peaks.numel() + tail
        if self.settings.reference_bug and patches is not None:
            return self._chosen(patches).peaks.flatten()[:tokens]
        return torch.cat([choice.peaks.flatten(), choice.peaks.new_zeros(tail)])

    # Prefill

    def prefill(self, prompt: Prompt) -> PivotCache:
        """The cache after all but the last token of a prompt."""
        cache = PivotCache(self._text.config.num_hidden_layers)
        self._read(prompt, cache, 0, prompt.start)
        sizes = [stop - start for start, stop in prompt.chunks]
        ratios = [prompt.ratio] * len(sizes)
        if self.settings.temporal_budget and prompt.ratio < 1:
            change = [*prompt.change, *[0.0] * (len(sizes) - len(prompt.change))]  # a tail alone in its chunk
            ratios = budgets.chunk_ratios(prompt.ratio, change, sizes)
        for (start, stop), ratio in zip(prompt.chunks, ratios, strict=True):
            if prompt.ratio < 1:
                self._compress(prompt, cache, start, stop, ratio)
            else:
                self._read(prompt, cache, start, stop)
        self._read(prompt, cache, prompt.stop, prompt.ids.shape[1] - 1)
        return cache

    def _read(self, prompt: Prompt, cache: PivotCache, start: int, stop: int) -> None:
        if start < stop:
            self._forward(cache, prompt.embeddings[:, start:stop], prompt.positions[..., start:stop])

    def _forward(self, cache: PivotCache, embeddings: Tensor, positions: Tensor, watch: Watch | None = None) -> None:
        watched = {"watch": watch} if watch is not None else {}
        self._text(inputs_embeds=embeddings, position_ids=positions, past_key_values=cache, use_cache=True, **watched)

    def _compress(self, prompt: Prompt, cache: PivotCache, start: int, stop: int, ratio: float) -> None:
        """Read one chunk of the video, then keep a share of its tokens in each layer."""
        tokens = stop - start
        embeddings, positions = prompt.embeddings[:, start:stop], prompt.positions[..., start:stop]
        asking = slice(0, tokens)
        if self.settings.scores == "prompt":
            first = max(prompt.stop, prompt.ids.shape[1] - self.settings.prompt_tokens)
            question = prompt.positions[..., first:]
            embeddings = torch.cat([embeddings, prompt.embeddings[:, first:]], dim=1)
            positions = torch.cat([positions, question - question[..., :1] + positions.max() + 1], dim=-1)
            asking = slice(tokens, None)
        placed = cache_positions(positions, cache)
        turned = self._turn(placed, embeddings) if self.settings.reforge else None
        watch = Watch(tokens, asking, (*turned, self._scaling) if turned else None)
        self._forward(cache, embeddings, positions, watch)
        ratios = (
            budgets.layer_ratios(ratio, list(watch.scores.values()))
            if self.settings.layer_budget == "adakv"
            else [ratio] * len(cache.layers)
        )
        pivots = None if prompt.pivots is None else prompt.pivots[start - prompt.start : stop - prompt.start]
        fill = float(self.settings.pivot_fill)
        ends = []
        for index, layer in enumerate(cache.layers):
            layer.crop(tokens - embeddings.shape[1])  # forget the question
            count = budgets.kept(ratios[index], tokens)
            keep = select(watch.scores[index], count, pivots, fill)
            rotate = None
            if turned:
                new = reforged(placed[..., keep], count, tokens)
                ends.append(new)
                cos, sin = turned
                rotate = self._moving((cos[:, keep], sin[:, keep]), new, embeddings)
            layer.evict(tokens, keep, rotate)
        if self.settings.reforge and stop < prompt.ids.shape[1]:
            self._close_up(prompt, cache, stop, ends)

    def _close_up(self, prompt: Prompt, cache: PivotCache, stop: int, ends: list[Tensor]) -> None:
        """Place the next tokens directly after the last kept one, in the layer where it is furthest.

        (The release does this in each layer separately, so layers differ by one.)
        """
        three = prompt.positions.ndim == 3
        last = max(int((end[0] if three else end).max()) for end in ends)
        following = [int(position) for position in prompt.positions[..., stop].flatten()]
        if three and self.settings.text_after == "paper" and stop == prompt.stop:
            largest = max(int(end.max()) for end in ends)
            cache.shift = [position - largest - 1 for position in following]
        else:
            cache.shift[0] = following[0] - last - 1

    @property
    def _scaling(self) -> float:
        return float(self._text.rotary_emb.attention_scaling)

    def _turn(self, positions: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin of positions, (1, tokens, dimensions), in at least 32 bits."""
        return self._text.rotary_emb(like.new_empty(0, dtype=torch.promote_types(like.dtype, torch.float32)), positions)

    def _moving(self, before: tuple[Tensor, Tensor], new: Tensor, like: Tensor) -> Callable[[Tensor], Tensor]:
        """A function that rotates keys from their positions (cos and sin) to new ones."""
        after, scaling = self._turn(new, like), self._scaling

        def move(keys: Tensor) -> Tensor:
            return rotated(unrotated(keys.to(before[0].dtype), *before, scaling), *after).to(keys.dtype)

        return move


def compress(network: Any, settings: Retake) -> Compressed:
    """Wrap a network's `generate` with compression."""
    network.generate = Compressed(network, settings)
    return network.generate


def reforged(positions: Tensor, kept: int, tokens: int) -> Tensor:
    """Positions of a chunk's kept tokens with the time axis closed up: ``first + floor((id - first) * kept / tokens)``.

    Parameters
    ----------
    positions : integer tensor, shape (3, 1, kept) or (1, kept)
        Rows and columns do not change.

    Examples
    --------
    >>> import torch
    >>> reforged(torch.tensor([[10, 14, 18]]), kept=3, tokens=12)
    tensor([[10, 11, 12]])
    """
    moved = positions.clone()
    time = moved[0] if moved.ndim == 3 else moved
    first = time.min()
    time.copy_(first + (time - first) * kept // tokens)
    return moved


def cache_positions(positions: Tensor, cache: PivotCache) -> Tensor:
    """Positions minus what reforging closed up."""
    if positions.ndim == 2:
        return positions - cache.shift[0]
    return positions - torch.tensor(cache.shift, device=positions.device)[:, None, None]


def _shifted(
    _: Any, arguments: tuple[Any, ...], inputs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Hook before the text model: place the tokens that follow a compressed video."""
    cache, positions = inputs.get("past_key_values"), inputs.get("position_ids")
    if not isinstance(cache, PivotCache) or not any(cache.shift):
        return None
    if positions is None:
        tokens = inputs["inputs_embeds"].shape[1]
        positions = torch.arange(
            cache.layers[0].seen, cache.layers[0].seen + tokens, device=inputs["inputs_embeds"].device
        )
        positions = positions[None]
    elif positions.ndim == 3:
        positions = positions[-3:].expand(3, -1, -1)  # of four: transformers prepends those for masks
    return arguments, inputs | {"position_ids": cache_positions(positions, cache)}


def _check(ids: Tensor, inputs: Mapping[str, Any]) -> None:
    """Refuse calls that compression does not support."""
    refused = {
        "several prompts at a time": ids.shape[0] != 1,
        "a cache from outside": inputs.get("past_key_values") is not None,
        "a static cache": inputs.get("cache_implementation") not in (None, "offloaded"),  # there is little to offload
        "beam search": (inputs.get("num_beams") or 1) > 1,
        "padding": inputs.get("attention_mask") is not None and not bool(inputs["attention_mask"].all()),
        "a prompt without a video": inputs.get("pixel_values_videos") is None,
    }
    for what, found in refused.items():
        if found:
            raise InputError(
                f"a compressed network does not support {what}",
                hint="give one prompt with one video, greedy or sampled",
            )
