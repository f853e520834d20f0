"""Position ids of Qwen2-VL and Qwen2.5-VL (M-RoPE) as their papers define them.

A token has three ids: time, row, column. Text has the same id three times, counting up. A video starts where the text
before it ended; its rows and columns count up from there, and its time advances by one a grid step (Qwen2-VL, Wang et
al., arXiv 2409.12191) or by a number of ids a second (Qwen2.5-VL, Bai et al., arXiv 2502.13923). What follows a video
continues at the largest of its ids plus one; transformers 4 did that.

transformers 5.3 (huggingface/transformers#45381) to 5.23 continue after the largest row or column instead, so that the
ids of the question and the answer lie among those of a long video.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

#: Added before ids of time are rounded down: seconds are of single precision, and 7 x 0.1 s must not fall below 0.7.
SLACK = 1e-3


def positions(is_video: Tensor, videos: Iterator[tuple[Sequence[int], float]], merge: int = 2) -> Tensor:
    """Position ids of one sequence of text and videos.

    Parameters
    ----------
    is_video : bool tensor, shape (tokens,)
        Which tokens stand for a part of a video.
    videos : iterator of (grid, interval)
        In order, for each video: its grid steps, rows and columns of patches, and the ids of time that a grid step
        takes. As many are taken as the sequence has.
    merge : int
        Patches that a token has to a side.

    Returns
    -------
    integer tensor, shape (3, tokens)
        Ids of time, row and column.

    Raises
    ------
    ValueError
        Where the tokens are not those of the videos.
    """
    video = is_video.tolist()
    parts, at, start = [], 0, 0  # `start`: the id that the next part begins with
    while True in video[at:]:
        text = video.index(True, at) - at
        grid, interval = next(videos, ((0, 0, 0), 0.0))
        steps, rows, columns = grid[0], grid[1] // merge, grid[2] // merge
        end = at + text + steps * rows * columns
        if not steps or end > len(video) or not all(video[at + text : end]):
            raise ValueError(f"the tokens from {at + text} on are not those of a video of {steps} x {rows} x {columns}")
        time = torch.tensor([math.floor(step * interval + SLACK) for step in range(steps)])
        ids = torch.meshgrid(time, torch.arange(rows), torch.arange(columns), indexing="ij")
        parts += [_text(start, text), torch.stack(ids).reshape(3, -1) + start + text]
        at, start = end, int(parts[-1].max()) + 1
    return torch.cat([*parts, _text(start, len(video) - at)], dim=1)


def _text(start: int, length: int) -> Tensor:
    return torch.arange(start, start + length).expand(3, -1)


def use_paper_positions(network: Any) -> None:
    """Make a Qwen2-VL or Qwen2.5-VL network of transformers place tokens as its paper says.

    `generate`, and a call of the network without position ids, ask the inner model's `get_rope_index` for them; it is
    replaced for this network alone.

    Parameters
    ----------
    network : Qwen2VLForConditionalGeneration or Qwen2_5_VLForConditionalGeneration
    """
    network.model.get_rope_index = _RopeIndex(network.config.vision_config)


class _RopeIndex:
    """In place of `get_rope_index`, for sequences of text and videos."""

    def __init__(self, vision: Any) -> None:
        self._merge = vision.spatial_merge_size
        self._ids_per_second = getattr(vision, "tokens_per_second", None)  # Qwen2-VL knows no seconds

    def __call__(
        self,
        input_ids: Tensor,
        mm_token_type_ids: Tensor,
        image_grid_thw: Tensor | None = None,
        video_grid_thw: Tensor | None = None,
        second_per_grid_ts: Any = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, Tensor]:
        """Position ids, shape (3, batch, tokens), and by how much the next id exceeds the next index, (batch, 1)."""
        if image_grid_thw is not None or bool((mm_token_type_ids == 1).any()):
            raise ValueError("only text and videos can be placed, and there are images")
        grids = [] if video_grid_thw is None else video_grid_thw.tolist()
        videos = zip(grids, self._intervals(len(grids), second_per_grid_ts), strict=True)
        ids = torch.zeros(3, *input_ids.shape, dtype=torch.long)
        ahead = []
        for row, kinds in enumerate(mm_token_type_ids.cpu()):
            kept = torch.ones_like(kinds) if attention_mask is None else attention_mask[row].cpu()
            found = positions(kinds[kept.bool()] == 2, videos, self._merge)
            ids[:, row, kept.bool()] = found
            ahead.append([int(found.max()) + 1 - found.shape[1]])
        if next(videos, None):
            raise ValueError("there are more videos than tokens for them")
        return ids.to(input_ids.device), torch.tensor(ahead, device=input_ids.device)

    def _intervals(self, videos: int, seconds: Any) -> list[float]:
        if self._ids_per_second is None:
            return [1.0] * videos
        if seconds is None:
            raise ValueError("Qwen2.5-VL must be told the seconds between grid steps (second_per_grid_ts)")
        return [self._ids_per_second * float(value) for value in seconds]
