"""VideoMME (Fu et al., CVPR 2025): 900 videos, 2,700 four-option questions. Any dataset in its schema is one too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from framesift.datasets import Dataset, LmmsTask, Question
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

    kind: Literal["videomme"] = "videomme"
    data_dir: Path = Field(
        default=Path("data/videomme"),
        description="Folder that holds the dataset.",
        json_schema_extra=not_in_spec(given_file=True),
    )
    labels: Path = Field(
        default=Path("videomme/test-00000-of-00001.parquet"),
        description="Label file (parquet or JSON), relative to `data_dir`.",
        json_schema_extra=not_in_spec(given_file=True),
    )
    videos: Path = Field(
        default=Path("data"),
        description="Folder of the videos, relative to `data_dir`.",
        json_schema_extra=not_in_spec(given_file=True),
    )

    def question(self, record: dict[str, Any]) -> Question:
        options = []
        for position, option in enumerate(record["options"]):
            letter = chr(ord("A") + position)
            match = re.fullmatch(r"\s*([A-Z])[.:)]\s*(.*?)\s*", str(option), flags=re.DOTALL)
            if not match or match[1] != letter:
                raise ValueError(f"field 'options': found {option!r}, expected an option that starts with '{letter}. '")
            options.append(match[2])
        answer = str(record["answer"]).strip().upper()
        if len(answer) != 1 or not 0 <= ord(answer) - ord("A") < len(options):
            raise ValueError(f"field 'answer': found {record['answer']!r}, expected one of the {len(options)} letters")
        return Question(
            question_id=str(record["question_id"]),
            video_id=str(record["videoID"]),
            question=str(record["question"]),
            options=tuple(options),
            answer=answer,
            groups={"duration": str(record["duration"]), "task_type": str(record["task_type"])},
        )
