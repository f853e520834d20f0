"""VideoMME (Fu et al., CVPR 2025): 900 videos, 2,700 four-option questions. Any dataset in its schema is one too."""

from __future__ import annotations

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
    video_folder,
    without_letters,
)
from framesift.data.questions import Question

#: What lmms-eval's task says before a question, and after its options.
SELECT = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
    "Respond with only the letter (A, B, C, or D) of the correct option.\n"
)
LETTER = "Answer with the option's letter from the given choices directly."


class VideoMME(Dataset):
    """Labels with the columns of VideoMME: `videoID` names the video file, options carry their letters ("A. ...")."""

    title = "Video-MME"
    version = 1
    cites = ("fu2025videomme",)
    lmms_task = LmmsTask(
        yaml="videomme/videomme.yaml",
        prompt={  # that of AKS's release too
            "pre_prompt": "",
            "post_prompt": f"\n{LETTER}",
        },
        # what the task has for single models; that for xcomposer2_4khd holds a chat template, and is left out
        variants={
            "gpt4v": {"pre_prompt": "", "post_prompt": "Answer the question with A, B, C, or D."},
            "llava_vid": {"pre_prompt": "", "post_prompt": "The best answer is:"},
            "qwen3_vl": {
                "format": "qwen3_vl",
                "pre_prompt": "Question: ",
                "post_prompt": "Answer with the option letter only.",
            },
        },
        metric="videomme_perception_score",
        prediction="pred_answer",
        target="answer",
        maximum=100,
        columns=(
            *("question_id", "videoID", "question", "options", "answer"),
            *("duration", "domain", "sub_category", "task_type"),
        ),
    )
    video_files = ("videos_chunked_*.zip",)
    subtitle_files = ("subtitle.zip",)
    example: ClassVar = {
        "question_id": "001-1",
        "video_id": "001",
        "videoID": "short1",
        "question": "Which?",
        "options": ["A. a", "B. b", "C. c", "D. d"],
        "answer": "A",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "x",
        "task_type": "OCR",
        "url": "",
    }
    asked: ClassVar = {
        "default": f"{SELECT}Which?\nA. a\nB. b\nC. c\nD. d\n\n{LETTER}",
        "gpt4v": f"{SELECT}Which?\nA. a\nB. b\nC. c\nD. d\nAnswer the question with A, B, C, or D.",
        "llava_vid": f"{SELECT}Which?\nA. a\nB. b\nC. c\nD. d\nThe best answer is:",
        "qwen3_vl": "Question: Which?\nOptions:\nA. a\nB. b\nC. c\nD. d\nAnswer with the option letter only.",
    }

    kind: Literal["videomme"] = "videomme"
    data_dir: Path = folder("data/videomme")
    labels: Path = label_file("videomme/test-00000-of-00001.parquet")
    videos: Path = video_folder("data")

    repo: str | None = hub_repo("lmms-lab/Video-MME")
    revision: Commit | None = commit("ead1408f75b618502df9a1d8e0950166bf0a2a0b")

    def question(self, record: dict[str, Any]) -> Question:
        return Question(
            question_id=str(record["question_id"]),
            video_id=str(record["videoID"]),
            question=str(record["question"]),
            options=without_letters(record["options"]),
            answer=str(record["answer"]).strip().upper(),
            groups={
                "duration": str(record["duration"]),
                "domain": str(record["domain"]),
                "task_type": str(record["task_type"]),
            },
            subtitles=f"{record['videoID']}.srt",
        )
