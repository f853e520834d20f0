"""Families of networks that can be compressed: features, tokens and positions of their video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from framesift.answering.retake.dpselect import distances
from framesift.core.errors import InputError


@dataclass
class VideoTokens:
    """A video as the language model receives it.

    Attributes
    ----------
    features : float tensor, shape (T, N, C)
        T steps of N tokens.
    tail : float tensor, shape (tokens, C)
        Tokens after the last step.
    change : float32 tensor, shape (T, N)
        Distance of each token to the step before, from the features that DPSelect compares.
    patches : float32 tensor, shape (T, patches) or None
        The same before pooling, if tokens are pooled patches.
    """

    features: Tensor
    tail: Tensor
    change: Tensor
    patches: Tensor | None = None


class NetworkFamily(ABC):
    """A family of networks.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        With a `model` that has a `language_model`.
    """

    #: Frames in a time step.
    step_frames: int
    #: Keyword arguments of `generate` that carry the video.
    media: tuple[str, ...]

    def __init__(self, network: Any) -> None:
        self.network = network
        self.text = network.model.language_model

    @abstractmethod
    def video(self, inputs: Mapping[str, Any], frames: int) -> VideoTokens:
        """The video of a call of `generate`, `frames` frames at a time through the vision tower.

        Raises
        ------
        InputError
            If there is not exactly one video.
        """

    @abstractmethod
    def positions(self, ids: Tensor, inputs: Mapping[str, Any], steps: int) -> Tensor:
        """Position ids of a prompt whose video has `steps` steps: (3, 1, tokens), or (1, tokens) for a text model."""

    def is_video(self, ids: Tensor) -> Tensor:
        """Which of the tokens (1, tokens) stand for the video."""
        return ids == self.network.config.video_token_id


class QwenNetwork(NetworkFamily):
    """Qwen2-VL and Qwen2.5-VL: a step is two frames; DPSelect compares outputs of the visual merger."""

    step_frames = 2
    media = ("pixel_values_videos", "video_grid_thw", "second_per_grid_ts")

    def video(self, inputs: Mapping[str, Any], frames: int) -> VideoTokens:
        one_video(inputs, len(inputs["video_grid_thw"]))
        [[steps, rows, columns]] = inputs["video_grid_thw"].tolist()
        pixels, parts = inputs["pixel_values_videos"], []
        for start, stop in slices(steps, max(1, frames // self.step_frames)):
            grid = inputs["video_grid_thw"].new_tensor([[stop - start, rows, columns]])
            part = pixels[start * rows * columns : stop * rows * columns]
            # the tower attends within a step, so slices change nothing
            parts.append(self.network.model.get_video_features(part, grid, return_dict=True).pooler_output[0])
        features = torch.cat(parts)
        features = features.reshape(steps, -1, features.shape[-1])
        return VideoTokens(features, features.new_empty(0, features.shape[-1]), distances(features))

    def positions(self, ids: Tensor, inputs: Mapping[str, Any], steps: int) -> Tensor:
        [[_, rows, columns]] = inputs["video_grid_thw"].tolist()
        more = {name: inputs[name] for name in ("second_per_grid_ts",) if inputs.get(name) is not None}
        positions, _ = self.network.model.get_rope_index(
            ids,
            mm_token_type_ids=2 * self.is_video(ids).int(),
            video_grid_thw=inputs["video_grid_thw"].new_tensor([[steps, rows, columns]]),
            **more,
        )
        return positions


class LlavaOnevisionNetwork(NetworkFamily):
    """LLaVA-OneVision, and LLaVA-Video in its form: a step is a frame; DPSelect compares patches before pooling.

    The change of patches is pooled like their features, so each token has the change of its own patches. The video ends
    with one more token, a line feed.
    """

    step_frames = 1
    media = ("pixel_values_videos", "image_sizes_videos")

    def video(self, inputs: Mapping[str, Any], frames: int) -> VideoTokens:
        model, pixels = self.network.model, inputs["pixel_values_videos"]
        one_video(inputs, len(pixels))
        parts, changes, before = [], [], None
        for start, stop in slices(pixels.shape[1], frames):
            output = model.get_video_features(pixels[:, start:stop], return_dict=True)
            parts.append(output.pooler_output[0, :-1])
            patches = self._patches(output)
            changes.append(distances(patches, before))
            before = patches[-1]
        features, tail = torch.cat(parts), model.image_newline[None]
        features = features.reshape(pixels.shape[1], -1, features.shape[-1])
        change = torch.cat(changes)
        pooled = model.apply_pooling(change[:, :, None])[:, :, 0]
        return VideoTokens(features, tail.to(features), pooled, change)

    def _patches(self, output: Any) -> Tensor:
        """Features of each patch before the projector; shape (frames, patches, C)."""
        config = self.network.config
        layers = config.vision_feature_layer
        used = [layers] if isinstance(layers, int) else layers
        states = torch.cat([output.hidden_states[layer] for layer in used], dim=-1)
        return states[:, 1:] if config.vision_feature_select_strategy == "default" else states

    def positions(self, ids: Tensor, inputs: Mapping[str, Any], steps: int) -> Tensor:
        return torch.arange(ids.shape[1], device=ids.device)[None]


#: By the `model_type` of a network's configuration.
NETWORKS: dict[str, type[NetworkFamily]] = {
    "qwen2_vl": QwenNetwork,
    "qwen2_5_vl": QwenNetwork,
    "llava_onevision": LlavaOnevisionNetwork,
}


def family_of(network: Any) -> NetworkFamily:
    """The family of a network.

    Raises
    ------
    InputError
        If compression does not support it.
    """
    kind = network.config.model_type
    if kind not in NETWORKS:
        raise InputError(
            "this network cannot be compressed",
            field="model_type",
            value=kind,
            expected=f"one of {', '.join(NETWORKS)}",
        )
    return NETWORKS[kind](network)


def one_video(inputs: Mapping[str, Any], videos: int) -> None:
    """Refuse prompts that hold anything but one video and text."""
    if videos != 1 or inputs.get("pixel_values") is not None:
        found = f"{videos} videos" + (" and single pictures" if inputs.get("pixel_values") is not None else "")
        raise InputError("the prompt of a compressed network must hold one video and text", value=found)


def slices(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and stop of pieces of `size`; the last may be shorter.

    Examples
    --------
    >>> list(slices(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    return ((start, min(start + size, length)) for start in range(0, length, size))
