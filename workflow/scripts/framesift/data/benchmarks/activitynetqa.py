"""ActivityNet-QA (Yu et al., AAAI 2019): 800 test videos, 8,000 open questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from framesift.data.benchmarks import Dataset, LmmsTask, folder, hub_repo, label_file, video_folder
from framesift.data.questions import Question

#: What the numbers in `type` stand for (the paper's question types).
TYPES = ("motion", "spatial", "temporal", "yes_no", "color", "object", "location", "number", "other")


class ActivityNetQA(Dataset):
    """Labels of lmms-eval's copy. Answers are open: they have no letter, and judging them takes a language model."""

    title = "ActivityNet-QA"
    version = 1
    cites = ("yu2019activitynetqa",)
    lmms_task = LmmsTask(
        yaml="activitynetqa/activitynetqa_generation.yaml",
        prompt={"pre_prompt": "", "post_prompt": " Answer the question using a single word or phrase."},
        metric="gpt_eval_accuracy",
        maximum=100,
        open=True,
        offline=False,
        columns=("question",),
    )
    video_files = ("*.zip",)
    example: ClassVar = {
        "question_id": "v_1QIUV7WYKXg_1",
        "video_name": "1QIUV7WYKXg",
        "question": "is the person outdoors",
        "answer": "yes",
        "type": "3",
    }
    asked: ClassVar = {"default": "Is the person outdoors? Answer the question using a single word or phrase."}

    kind: Literal["activitynetqa"] = "activitynetqa"
    data_dir: Path = folder("data/activitynetqa")
    labels: Path = label_file("data/test-00000-of-00001.parquet")
    videos: Path = video_folder("all_test")
    repo: str | None = hub_repo("lmms-eval/ActivityNetQA")

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
