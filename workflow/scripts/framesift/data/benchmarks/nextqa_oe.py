"""NExT-OE: the open questions of NExT-QA (Xiao et al., CVPR 2021), about the same videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from framesift.data.benchmarks import Dataset, LmmsTask, folder, hub_repo, label_file, video_folder
from framesift.data.benchmarks.nextqa import KINDS
from framesift.data.questions import Question


class NExTOE(Dataset):
    """Labels of lmms-eval's copy: `answer` is a text, `additional_ref_answer` another right one, or nothing."""

    title = "NExT-QA (open-ended)"
    version = 1
    cites = ("xiao2021nextqa",)
    lmms_task = LmmsTask(
        yaml="nextqa/nextqa_oe_test.yaml",
        prompt={"pre_prompt": "", "post_prompt": "\nAnswer a question using a short phrase or sentence."},
        metric="WUPS",
        maximum=100,
        open=True,
        columns=("question", "answer", "type", "additional_ref_answer"),
    )
    video_files = ("*.zip",)
    example: ClassVar = {
        "video": 4010069381,
        "frame_count": 369,
        "width": 640,
        "height": 480,
        "qid": 1,
        "type": "DL",
        "question": "where is this ",
        "answer": "studio",
        "additional_ref_answer": None,
    }
    asked: ClassVar = {"default": "where is this\nAnswer a question using a short phrase or sentence."}

    kind: Literal["nextqa_oe"] = "nextqa_oe"
    data_dir: Path = folder("data/nextqa")
    labels: Path = label_file("OE/test-00000-of-00001.parquet")
    videos: Path = video_folder("NExTVideo")
    repo: str | None = hub_repo("lmms-eval/NExTQA")

    def question(self, record: dict[str, Any]) -> Question:
        kind = str(record["type"])
        return Question(
            question_id=f"{record['video']}-{record['qid']}",  # `qid` starts anew with each video
            video_id=str(record["video"]),
            question=str(record["question"]).strip(),
            answer=str(record["answer"]).strip(),
            groups={"type": kind, "kind": KINDS.get(kind[:1], "other")},
        )

    def references(self, record: Mapping[str, Any], question: Question) -> tuple[str, ...]:
        other = str(record.get("additional_ref_answer") or "").strip()
        return (*super().references(record, question), *([other] if other else []))
