"""How the demo's models are trained. Their spec.json holds these settings beside what they reached."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class TrainingSettings(BaseModel):
    """CLIP, BLIP and the answerer: seed, data, validation targets and caps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Seed of the rendered training frames and of the initial weights.
    seed: int = 7
    #: Training frames for each (colour, shape, digit or none, border colour), and without any event.
    frames_per_combination: int = 8
    empty_frames: int = 2600
    validation_frames: int = 2000
    #: The worst question's AUC on validation frames must reach these.
    clip_target: float = 0.96
    blip_target: float = 0.95
    #: Answerer: worst accuracy of colour, shape, digit and border from a frame's token.
    vision_target: float = 0.985
    #: Answerer: worst accuracy over question kinds at 8 and 16 frames.
    vlm_target: float = 0.92
    #: Caps on the optimiser steps of each phase, and on the wall-clock minutes of one model.
    max_steps: int = 6000
    max_minutes: float = 30.0


class SelectorStartSettings(BaseModel):
    """The model that the demo's M-LLM selector starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Seed of lists, rendered frames and initial weights.
    seed: int = 7
    #: Optimiser steps on lists of words, and the recall at 8 that they must reach on unseen lists.
    max_steps: int = 600
    target: float = 0.9
    #: Optimiser steps of the projector on rendered frames.
    frame_steps: int = 3000
    #: Frames for each (colour, shape, digit or none, border colour), and without any event.
    frames_per_combination: int = 4
    empty_frames: int = 2600
    max_minutes: float = 15.0
