"""NExT-QA (Xiao et al., CVPR 2021), multiple choice: five options, causal, temporal and descriptive questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from framesift.datasets import GIVEN, Dataset, letter_of
from framesift.questions import Question
from framesift.spec import not_in_spec

#: The first letter of a question's `type` (paper, section 3.2).
KINDS = {"C": "causal", "T": "temporal", "D": "descriptive"}


class NExTQA(Dataset):
    """Labels with the columns of NExT-QA: options `a0` to `a4`, `answer` the number of the right one."""

    video_files = ("*.zip",)

    kind: Literal["nextqa"] = "nextqa"
    data_dir: Path = Field(
        default=Path("data/nextqa"), description="Folder that holds the dataset.", json_schema_extra=GIVEN
    )
    labels: Path = Field(
        default=Path("MC/test-00000-of-00001.parquet"),
        description="Label file (parquet or CSV), relative to `data_dir`.",
        json_schema_extra=GIVEN,
    )
    videos: Path = Field(
        default=Path("NExTVideo"), description="Folder of the videos, relative to `data_dir`.", json_schema_extra=GIVEN
    )
    repo: str | None = Field(
        default="lmms-eval/NExTQA",
        description="Dataset repository on the Hugging Face hub.",
        json_schema_extra=not_in_spec(),
    )

    def question(self, record: dict[str, Any]) -> Question:
        options = tuple(str(record[f"a{number}"]).strip() for number in range(5))
        kind = str(record["type"])
        return Question(
            question_id=f"{record['video']}-{record['qid']}",  # `qid` starts anew with each video
            video_id=str(record["video"]),
            question=str(record["question"]).strip(),
            options=options,
            answer=letter_of(int(record["answer"]), options, "answer"),
            groups={"type": kind, "kind": KINDS.get(kind[:1], "other")},
        )
