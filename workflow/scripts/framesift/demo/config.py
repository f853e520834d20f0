"""Configuration of the demo world.

This module imports nothing heavier than pydantic, so that a workflow can read it while it is planning.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from framesift.core.spec import Frozen

DURATION_CLASSES = ("short", "medium", "long")
DIGIT_COUNT = 10


class DemoWorld(Frozen):
    """The videos and questions of a world. Equal worlds give equal videos and questions."""

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
    """Duration class of a video id; a ValueError lists the known ids for an unknown one."""
    known = video_ids(world)
    if video_id not in known:
        raise ValueError(f"video id is {video_id!r}, expected one of {known}. Hint: ids follow from the world spec.")
    return video_id.split("-")[1]
