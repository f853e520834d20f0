"""Tiny checkpoints with random weights, by the kind of component that loads them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import tiny_idefics2
import tiny_internvl
import tiny_llava
import tiny_llava_next_video
import tiny_pllava
import tiny_qwen
import tiny_scorers

#: What writes a checkpoint into a folder. A kind that is not here is tried without one.
WRITERS: dict[str, Callable[[Path], object]] = {
    "idefics2": tiny_idefics2.write_checkpoint,
    "internvl3": tiny_internvl.write_checkpoint,
    "llava_onevision_hf": tiny_llava.write_checkpoint,
    "llava_next_video": tiny_llava_next_video.write_checkpoint,
    "pllava": tiny_pllava.write_checkpoint,
    **{kind: partial(tiny_qwen.write_checkpoint, kind=kind) for kind in tiny_qwen.KINDS},
    "clip": tiny_scorers.write_clip,
    "siglip": tiny_scorers.write_siglip,
    "blip_itm": tiny_scorers.write_blip,
    "blip_itc": tiny_scorers.write_blip,
    "blip2_itm": tiny_scorers.write_blip2_itm,
    "sevila": tiny_scorers.write_blip2_t5,
    "dino": tiny_scorers.write_dino,
    "patches": tiny_scorers.write_siglip,
}
