"""EgoSchema (Mangalam et al., NeurIPS 2023): 5,031 three-minute videos, one five-option question each.

The answers of 500 questions are public: the subset. Those of the others are kept by the benchmark's server.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from framesift.data.benchmarks import (
    Commit,
    Dataset,
    LmmsTask,
    commit,
    folder,
    hub_repo,
    label_file,
    letter_of,
    optional,
    without_letters,
)
from framesift.data.questions import Question

#: The task sets this itself, whatever `post_prompt` says.
LETTER = "\nAnswer with the option's letter from the given choices directly."
#: What is asked of the example.
QUESTION = "Why?\nA. A text\nB. B text\nC. C text\nD. D text\nE. E text"


class EgoSchema(Dataset):
    """The subset by default; for all 5,031 questions set `labels: GENERATION/test-00000-of-00001.parquet`."""

    title = "EgoSchema"
    version = 1
    cites = ("mangalam2023egoschema",)
    lmms_task = LmmsTask(
        yaml="egoschema/egoschema_subset.yaml",  # that of all questions asks the same, and has no metric but a file
        prompt={"pre_prompt": "", "post_prompt": LETTER},
        variants={"aria": {"pre_prompt": "Please answer the question about the video:\n", "post_prompt": LETTER}},
        metric="score",
        prediction="pred",
        target="ground_truth",
        columns=("question", "option", "video_idx", "answer"),
    )
    video_files = ("videos_chunked_*.zip",)
    example: ClassVar = {
        "question_idx": "0",
        "video_idx": "0a-1",
        "question": "Why?",
        "option": [f"{letter}. {letter} text" for letter in "ABCDE"],
        "answer": "3",
    }
    asked: ClassVar = {
        "default": QUESTION + LETTER,
        "aria": f"Please answer the question about the video:\n{QUESTION}{LETTER}",
    }

    kind: Literal["egoschema"] = "egoschema"
    data_dir: Path = folder("data/egoschema")
    labels: Path = label_file("Subset/test-00000-of-00001.parquet")
    repo: str | None = hub_repo("lmms-lab/egoschema")
    revision: Commit | None = commit("58350524ea7eb29c47000121f4f4b65eb6b4acb9")

    def question(self, record: dict[str, Any]) -> Question:
        options = without_letters(record["option"])
        answer = optional(record, "answer")  # null where the benchmark keeps it
        return Question(
            # not `question_idx`, which counts the rows of a file: the subset's and the full set's differ
            question_id=str(record["video_idx"]),
            video_id=str(record["video_idx"]),
            question=str(record["question"]),
            options=options,
            answer=None if answer in (None, "", "None") else letter_of(int(answer), options, "answer"),
        )


def submission(parsed: Mapping[str, str | None]) -> dict[str, int]:
    """What the benchmark's server marks: a number from 0 for each video.

    Parameters
    ----------
    parsed : dict
        Letter by question id; none where no option was understood.

    Returns
    -------
    dict
        -1 stands for no option, as in the files that lmms-eval writes.
    """
    return {video: -1 if letter is None else ord(letter) - ord("A") for video, letter in parsed.items()}
