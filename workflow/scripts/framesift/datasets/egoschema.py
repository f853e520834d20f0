"""EgoSchema (Mangalam et al., NeurIPS 2023): 5,031 three-minute videos, one five-option question each.

The answers of 500 questions are public: the subset. Those of the others are kept by the benchmark's server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from framesift.datasets import Commit, Dataset, commit, folder, hub_repo, label_file, letter_of, without_letters
from framesift.questions import Question


class EgoSchema(Dataset):
    """The subset by default; for all 5,031 questions set `labels: GENERATION/test-00000-of-00001.parquet`."""

    video_files = ("videos_chunked_*.zip",)

    kind: Literal["egoschema"] = "egoschema"
    data_dir: Path = folder("data/egoschema")
    labels: Path = label_file("Subset/test-00000-of-00001.parquet")
    repo: str | None = hub_repo("lmms-lab/egoschema")
    revision: Commit | None = commit("58350524ea7eb29c47000121f4f4b65eb6b4acb9")

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
