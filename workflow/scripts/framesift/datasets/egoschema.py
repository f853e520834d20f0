"""EgoSchema (Mangalam et al., NeurIPS 2023): 5,031 three-minute videos, one five-option question each.

The answers of 500 questions are public: the subset. Those of the others are kept by the benchmark's server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from framesift.datasets import GIVEN, Commit, Dataset, letter_of, without_letters
from framesift.questions import Question
from framesift.spec import not_in_spec


class EgoSchema(Dataset):
    """The subset by default; for all 5,031 questions set `labels: GENERATION/test-00000-of-00001.parquet`."""

    video_files = ("videos_chunked_*.zip",)

    kind: Literal["egoschema"] = "egoschema"
    data_dir: Path = Field(
        default=Path("data/egoschema"), description="Folder that holds the dataset.", json_schema_extra=GIVEN
    )
    labels: Path = Field(
        default=Path("Subset/test-00000-of-00001.parquet"),
        description="Label file (parquet or JSON), relative to `data_dir`.",
        json_schema_extra=GIVEN,
    )
    videos: Path = Field(
        default=Path("videos"), description="Folder of the videos, relative to `data_dir`.", json_schema_extra=GIVEN
    )
    repo: str | None = Field(
        default="lmms-lab/egoschema",
        description="Dataset repository on the Hugging Face hub.",
        json_schema_extra=not_in_spec(),
    )
    revision: Commit | None = Field(
        default="58350524ea7eb29c47000121f4f4b65eb6b4acb9",
        description="Commit of the repository (40 hexadecimal digits).",
        json_schema_extra=not_in_spec(),
    )

    def question(self, record: dict[str, Any]) -> Question:
        options = without_letters(record["option"])
        answer = record["answer"]
        return Question(
            # not `question_idx`, which counts the rows of a file: the subset's and the full set's differ
            question_id=str(record["video_idx"]),
            video_id=str(record["video_idx"]),
            question=str(record["question"]),
            options=options,
            answer=None if answer in (None, "", "None") else letter_of(int(answer), options, "answer"),
        )
