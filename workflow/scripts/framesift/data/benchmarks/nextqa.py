"""NExT-QA (Xiao et al., CVPR 2021), multiple choice: five options, causal, temporal and descriptive questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from framesift.data.benchmarks import Dataset, LmmsTask, folder, hub_repo, label_file, letter_of, video_folder
from framesift.data.questions import Question

#: The first letter of a question's `type` (paper, section 3.2).
KINDS = {"C": "causal", "T": "temporal", "D": "descriptive"}
#: What is asked of the example.
QUESTION = "how do the two man play the instrument\nA. option 0\nB. option 1\nC. option 2\nD. option 3\nE. option 4"


class NExTQA(Dataset):
    """Labels with the columns of NExT-QA: options `a0` to `a4`, `answer` the number of the right one."""

    title = "NExT-QA (multiple choice)"
    version = 1
    cites = ("xiao2021nextqa",)
    lmms_task = LmmsTask(
        yaml="nextqa/nextqa_mc_test.yaml",
        prompt={},  # the question and its options, nothing else
        variants={
            # in the words of the tasks of VideoMME and EgoSchema
            "letter": {
                "pre_prompt": "",
                "post_prompt": "\nAnswer with the option's letter from the given choices directly.",
            }
        },
        metric="exact_match",
        columns=("question", *(f"a{number}" for number in range(5)), "answer"),
    )
    video_files = ("*.zip",)
    example: ClassVar = {
        "video": 4010069381,
        "frame_count": 369,
        "width": 640,
        "height": 480,
        "qid": 6,
        "type": "CH",
        "question": "how do the two man play the instrument",
        "answer": 0,
        **{f"a{k}": f"option {k}" for k in range(5)},
    }
    asked: ClassVar = {
        "default": QUESTION,
        "letter": f"{QUESTION}\nAnswer with the option's letter from the given choices directly.",
    }

    kind: Literal["nextqa"] = "nextqa"
    data_dir: Path = folder("data/nextqa")
    labels: Path = label_file("MC/test-00000-of-00001.parquet")
    videos: Path = video_folder("NExTVideo")
    repo: str | None = hub_repo("lmms-eval/NExTQA")

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

    def document(self, record: Mapping[str, Any], question: Question) -> dict[str, Any]:
        return {**record, "answer": int(record["answer"])}  # a CSV holds it as text
