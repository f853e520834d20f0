"""LVBench (Wang et al., ICCV 2025): 103 videos of half an hour and more, 1,549 four-option questions."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from framesift.data.benchmarks import Dataset, LmmsTask, folder, hub_repo, label_file
from framesift.data.questions import Evidence, Question, Span, seconds_of

OPTION = re.compile(r"^\(([A-Z])\)[ \t]*(.*?)[ \t]*$", flags=re.MULTILINE)


class LVBench(Dataset):
    """One row a question, as lmms-eval has it: the text ends in the options, `time_reference` is the evidence."""

    title = "LVBench"
    version = 1
    cites = ("wang2025lvbench",)
    lmms_task = LmmsTask(
        yaml="lvbench/lvbench.yaml",
        prompt={"pre_prompt": "", "post_prompt": "\nAnswer the question with the option letter"},
        metric="lvbench_score",
        columns=("question", "answer"),
        optional=("options",),
    )
    video_files = ("video_chunks/*.zip",)
    example: ClassVar = {
        "uid": "0",
        "key": "Cm73ma6Ibcs",
        "video_path": "Cm73ma6Ibcs.mp4",
        "type": "cartoon",
        "question": "What year?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633",
        "question_type": ["reasoning", "event understanding"],
        "answer": "D",
        "time_reference": "59:58-1:00:02",
    }
    asked: ClassVar = {
        "default": "What year?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633\nAnswer the question with the option letter"
    }

    kind: Literal["lvbench"] = "lvbench"
    data_dir: Path = folder("data/lvbench")
    labels: Path = label_file("data/train-00000-of-00001.parquet")
    repo: str | None = hub_repo("lmms-lab/LVBench")

    def question(self, record: dict[str, Any]) -> Question:
        text = str(record["question"])
        found = list(OPTION.finditer(text))
        if [match[1] for match in found] != ["A", "B", "C", "D"]:
            raise ValueError(f"field 'question': found {text!r}, expected lines that start with (A) to (D)")
        span = _span(record.get("time_reference"))
        kinds = record["question_type"]
        return Question(
            question_id=f"{PurePosixPath(record['video_path']).stem}-{record['uid']}",
            video_id=PurePosixPath(record["video_path"]).stem,
            question=text[: found[0].start()].strip(),
            options=tuple(match[2] for match in found),
            answer=str(record["answer"]).strip(),
            # a question may be of several types; a group is one of them, or their combination
            groups={
                "video_type": str(record["type"]),
                "question_type": kinds if isinstance(kinds, str) else " + ".join(sorted(map(str, kinds))),
            },
            evidence=Evidence.of_moments(spans=(span,)) if span else None,
        )


def _span(reference: Any) -> Span | None:
    """``15:02-16:10`` or ``1:00:02-1:01:10`` in seconds; None where there is none or it cannot be read."""
    try:
        start, end = map(seconds_of, str(reference or "").split("-"))
    except ValueError:
        return None
    return (start, end) if start <= end else None
