"""VideoMME (Fu et al., CVPR 2025): 900 videos, 2,700 four-option questions. Any dataset in its schema is one too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from framesift.datasets import GIVEN, Commit, Dataset, LmmsTask, without_letters
from framesift.questions import Question
from framesift.spec import not_in_spec


class VideoMME(Dataset):
    """Labels with the columns of VideoMME: `videoID` names the video file, options carry their letters ("A. ...")."""

    lmms_task: ClassVar[LmmsTask] = LmmsTask(
        yaml="videomme/videomme.yaml",
        split="test",
        metric="videomme_perception_score",
        prediction="pred_answer",
        prompt={"pre_prompt": "", "post_prompt": "\nAnswer with the option's letter from the given choices directly."},
        columns=(
            *("question_id", "videoID", "question", "options", "answer"),
            *("duration", "domain", "sub_category", "task_type"),
        ),
    )
    video_files = ("videos_chunked_*.zip",)
    subtitle_files = ("subtitle.zip",)

    kind: Literal["videomme"] = "videomme"
    data_dir: Path = Field(
        default=Path("data/videomme"), description="Folder that holds the dataset.", json_schema_extra=GIVEN
    )
    labels: Path = Field(
        default=Path("videomme/test-00000-of-00001.parquet"),
        description="Label file (parquet or JSON), relative to `data_dir`.",
        json_schema_extra=GIVEN,
    )
    videos: Path = Field(
        default=Path("data"), description="Folder of the videos, relative to `data_dir`.", json_schema_extra=GIVEN
    )

    repo: str | None = Field(
        default="lmms-lab/Video-MME",
        description="Dataset repository on the Hugging Face hub.",
        json_schema_extra=not_in_spec(),
    )
    revision: Commit | None = Field(
        default="ead1408f75b618502df9a1d8e0950166bf0a2a0b",
        description="Commit of the repository (40 hexadecimal digits).",
        json_schema_extra=not_in_spec(),
    )

    def question(self, record: dict[str, Any]) -> Question:
        return Question(
            question_id=str(record["question_id"]),
            video_id=str(record["videoID"]),
            question=str(record["question"]),
            options=without_letters(record["options"]),
            answer=str(record["answer"]).strip().upper(),
            groups={
                "duration": str(record["duration"]),
                "domain": str(record["domain"]),
                "task_type": str(record["task_type"]),
            },
            subtitles=f"{record['videoID']}.srt",
        )
