"""MLVU (Zhou et al., CVPR 2025), dev: 1,122 videos, 2,174 four-option questions of seven tasks."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from framesift.data.benchmarks import Commit, Dataset, LmmsTask, commit, folder, hub_repo, label_file
from framesift.data.questions import Question

#: What a task asks for (paper, section 3.2); its tables average over these.
TASKS = {
    "topic_reasoning": "holistic",
    "anomaly_reco": "holistic",
    "needle": "single_detail",
    "ego": "single_detail",
    "plotQA": "single_detail",
    "order": "multi_detail",
    "count": "multi_detail",
}


class MLVU(Dataset):
    """Labels of lmms-eval's `mlvu_dev`, parquet or JSON. A question's text ends in its options (`candidates`)."""

    title = "MLVU (dev)"
    version = 1
    cites = ("zhou2025mlvu",)
    lmms_task = LmmsTask(
        yaml="mlvu/mlvu_dev.yaml",
        prompt={"pre_prompt": "", "post_prompt": "\nOnly give the best option.\nBest option: ("},
        variants={"plm": {"pre_prompt": "", "post_prompt": "\nOnly give the best option."}},  # lmms-eval's for PLM
        metric="mlvu_percetion_score",  # spelt so
        prediction="pred_answer",
        target="answer",
        maximum=100,
        all_of={"task_type": tuple(TASKS)},
        columns=("question", "task_type", "answer"),
    )
    video_files = ("*.zip",)
    example: ClassVar = {
        "question_id": "Q0",
        "video_name": "needle_1.mp4",
        "duration": 12.5,
        "question": "What?\n(A) a\n(B) b\n(C) c\n(D) d\n",
        "candidates": ["a", "b", "c", "d"],
        "answer": "B",
        "task_type": "needle",
    }
    asked: ClassVar = {
        "default": "What?\n(A) a\n(B) b\n(C) c\n(D) d\n\nOnly give the best option.\nBest option: (",
        "plm": "What?\n(A) a\n(B) b\n(C) c\n(D) d\n\nOnly give the best option.",
    }

    kind: Literal["mlvu"] = "mlvu"
    data_dir: Path = folder("data/mlvu")
    labels: Path = label_file("mlvu/test-00000-of-00001.parquet")
    repo: str | None = hub_repo("sy1998/MLVU_dev")
    revision: Commit | None = commit("96207eb9aa7101e2a495dd147684a7e618c79e12")

    def question(self, record: dict[str, Any]) -> Question:
        options = tuple(str(option) for option in record["candidates"])
        task = str(record["task_type"])
        return Question(
            question_id=str(record["question_id"]),
            video_id=PurePosixPath(record["video_name"]).stem,
            question=_without_options(str(record["question"]), options),
            options=options,
            answer=str(record["answer"]).strip(),
            groups={"task_type": task, "category": TASKS.get(task, "other")},
            seconds=round(float(record["duration"]), 6),  # the two forms differ in the last digit
        )


def _without_options(text: str, options: tuple[str, ...]) -> str:
    """The question alone; scorers are not asked the options unless they are told to be."""
    listed = "".join(f"\n({chr(ord('A') + i)}) {option}" for i, option in enumerate(options))
    return text.rstrip().removesuffix(listed.rstrip()).rstrip()
