"""Configuration of the demo world and of the models fitted to it.

This module imports nothing heavier than pydantic, so that a workflow can read it while it is planning.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DURATION_CLASSES = ("short", "medium", "long")
DIGIT_COUNT = 10


class DemoWorld(BaseModel):
    """What is rendered and asked. Two equal worlds give the same plans and the same questions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str = Field(
        "demo", pattern="^[a-z]+$", description="How the ids of its videos begin; worlds used together differ in it."
    )
    seed: int = Field(2025, ge=0, description="Seed of every plan and question; a video uses it with its own id.")
    short_videos: int = Field(4, ge=0, description="Number of videos of the class 'short'.")
    medium_videos: int = Field(4, ge=0, description="Number of videos of the class 'medium'.")
    long_videos: int = Field(4, ge=0, description="Number of videos of the class 'long'.")
    short_seconds: int = Field(180, ge=120, description="Length of a 'short' video, in seconds.")
    medium_seconds: int = Field(330, ge=120, description="Length of a 'medium' video, in seconds.")
    long_seconds: int = Field(600, ge=120, description="Length of a 'long' video, in seconds.")
    fps: int = Field(4, ge=1, le=30, description="Frames per second of the rendered videos.")
    frame_size: int = Field(128, ge=96, le=512, multiple_of=2, description="Width and height of a frame, in pixels.")
    crf: int = Field(28, ge=0, le=51, description="H.264 constant rate factor; larger is smaller and blurrier.")
    one_moment_questions: int = Field(4, ge=0, description="Questions a video whose answer shows in one short event.")
    two_moments_questions: int = Field(2, ge=0, description="Questions a video that need two events far apart.")
    whole_video_questions: int = Field(2, ge=0, le=4, description="Questions a video about a share of the whole video.")
    decoys: int = Field(
        3, ge=0, description="Decoys a video: a long plain look-alike of an asked event, without its digit."
    )

    @model_validator(mode="after")
    def _enough_digits(self) -> DemoWorld:
        asked = self.one_moment_questions + 2 * self.two_moments_questions
        if asked > DIGIT_COUNT:
            raise ValueError(
                f"one_moment_questions + 2 * two_moments_questions is {asked}, expected at most {DIGIT_COUNT}: "
                "each event of a video carries its own digit. Hint: ask fewer questions a video, or add videos."
            )
        return self


class DemoTraining(BaseModel):
    """How the three demo models are fitted: seed, data, validation targets and caps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(7, ge=0, description="Seed of the rendered training frames and of the initial weights.")
    frames_per_combination: int = Field(
        8, ge=1, description="Training frames rendered for each (colour, shape, digit or none, border colour)."
    )
    empty_frames: int = Field(2600, ge=10, description="Training frames rendered without any event.")
    validation_frames: int = Field(2000, ge=200, description="Held-out frames rendered for validation.")
    clip_target: float = Field(
        0.96, gt=0.5, le=1, description="CLIP: the worst question's AUC on validation frames must reach this."
    )
    blip_target: float = Field(
        0.95, gt=0.5, le=1, description="BLIP: the worst question's AUC on validation frames must reach this."
    )
    vision_target: float = Field(
        0.985, gt=0, le=1, description="Answerer: worst accuracy of colour, shape, digit, border from a frame's token."
    )
    vlm_target: float = Field(
        0.92, gt=0.25, le=1, description="Answerer: worst accuracy over question kinds at 8 and 16 frames."
    )
    max_steps: int = Field(6000, ge=1, description="Cap on optimiser steps of each training phase.")
    max_minutes: float = Field(30.0, gt=0, description="Cap on the wall-clock minutes of one model's training.")


class SelectorStart(BaseModel):
    """How the model is fitted that the demo's selector starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(7, ge=0, description="Seed of lists, rendered frames and initial weights.")
    max_steps: int = Field(600, ge=1, description="Optimiser steps on lists of words.")
    target: float = Field(0.9, gt=0, le=1, description="Recall at 8 on lists it has not seen must reach this.")
    frame_steps: int = Field(3000, ge=1, description="Optimiser steps of the projector on rendered frames.")
    frames_per_combination: int = Field(
        4, ge=1, description="Frames rendered for each (colour, shape, digit or none, border colour)."
    )
    empty_frames: int = Field(2600, ge=10, description="Frames rendered without any event.")
    max_minutes: float = Field(15.0, gt=0, description="Cap on the wall-clock minutes.")


ModelName = Literal["clip", "blip", "vlm", "selector_start"]


def class_videos(world: DemoWorld, duration: str) -> int:
    """Number of videos of a duration class."""
    return {"short": world.short_videos, "medium": world.medium_videos, "long": world.long_videos}[duration]


def class_seconds(world: DemoWorld, duration: str) -> int:
    """Length in seconds of a video of a duration class."""
    return {"short": world.short_seconds, "medium": world.medium_seconds, "long": world.long_seconds}[duration]


def video_ids(world: DemoWorld) -> list[str]:
    """Ids of all videos in a fixed order, such as ``demo-short-1``."""
    return [f"{world.prefix}-{name}-{k + 1}" for name in DURATION_CLASSES for k in range(class_videos(world, name))]


def video_class(world: DemoWorld, video_id: str) -> str:
    """Duration class of a video id; an unknown id is an error that lists the known ones."""
    known = video_ids(world)
    if video_id not in known:
        raise ValueError(f"video id is {video_id!r}, expected one of {known}. Hint: ids follow from the world spec.")
    return video_id.split("-")[1]
