"""ActivityNet-QA (Yu et al., AAAI 2019): 800 test videos, 8,000 open questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from framesift.datasets import GIVEN, Dataset
from framesift.questions import Question
from framesift.spec import not_in_spec

#: What the numbers in `type` stand for (the paper's question types).
TYPES = ("motion", "spatial", "temporal", "yes_no", "color", "object", "location", "number", "other")


class ActivityNetQA(Dataset):
    """Labels of lmms-eval's copy. Answers are open: they have no letter, and judging them takes a language model."""

    video_files = ("*.zip",)

    kind: Literal["activitynetqa"] = "activitynetqa"
    data_dir: Path = Field(
        default=Path("data/activitynetqa"), description="Folder that holds the dataset.", json_schema_extra=GIVEN
    )
    labels: Path = Field(
        default=Path("data/test-00000-of-00001.parquet"),
        description="Label file (parquet or JSON), relative to `data_dir`.",
        json_schema_extra=GIVEN,
    )
    videos: Path = Field(
        default=Path("all_test"), description="Folder of the videos, relative to `data_dir`.", json_schema_extra=GIVEN
    )
    repo: str | None = Field(
        default="lmms-eval/ActivityNetQA",
        description="Dataset repository on the Hugging Face hub.",
        json_schema_extra=not_in_spec(),
    )

    def question(self, record: dict[str, Any]) -> Question:
        text, kind = str(record["question"]).strip(), str(record["type"])
        known = kind.isdecimal() and int(kind) < len(TYPES)
        return Question(
            question_id=str(record["question_id"]),
            video_id=str(record["video_name"]),
            question=f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith("?") else "?"),
            answer=str(record["answer"]).strip(),
            groups={"type": TYPES[int(kind)] if known else kind},
        )

    def file_name(self, video_id: str) -> str:
        return f"v_{video_id}"
