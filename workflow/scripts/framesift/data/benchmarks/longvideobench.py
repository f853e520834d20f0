"""LongVideoBench (Wu et al., NeurIPS 2024): 753 videos, 1,337 validation questions of two to five options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from framesift.data.benchmarks import Commit, Dataset, LmmsTask, commit, folder, hub_repo, label_file, letter_of
from framesift.data.questions import Evidence, Question

#: What the parquet form writes for an option that a question does not have.
ABSENT = "N/A"
MAX_OPTIONS = 5
#: The question categories that ask about one scene, event or object; all others relate several (paper, section 3.1).
PERCEPTION = ("S2E", "S2O", "S2A", "E2O", "O2E", "T2E", "T2O", "T2A")


class LongVideoBench(Dataset):
    """Either form of its labels: `lvb_val.json`, which alone has evidence (`position`), or the parquet of lmms-eval."""

    title = "LongVideoBench (validation)"
    version = 1
    cites = ("wu2024longvideobench",)
    lmms_task = LmmsTask(
        yaml="longvideobench/longvideobench_val_v.yaml",
        prompt={"pre_prompt": "", "post_prompt": "Answer with the option's letter from the given choices directly.\n"},
        metric="lvb_acc",
        prediction="parsed_pred",
        target="answer",
        columns=(
            *("id", "question", "correct_choice", "duration_group", "question_category"),
            *(f"option{i}" for i in range(MAX_OPTIONS)),
        ),
    )
    video_files = ("videos.tar.part.*",)
    subtitle_files = ("subtitles.tar",)
    subtitle_suffixes = (".json",)
    evidence_tolerance = 1.0  # `position` names single frames
    example: ClassVar = {
        "id": "@channel-one_0",
        "video_id": "@channel-one",
        "video_path": "one.mp4",
        "subtitle_path": "one_en.json",
        "question": "What?",
        "question_wo_referring_query": "What?",
        "candidates": ["a", "b", "c"],
        "correct_choice": 2,
        "position": [10, 11, 12],
        "topic_category": "NP",
        "question_category": "S2E",
        "level": "L1-Perception",
        "duration_group": 15,
        "duration": 12.5,
        "starting_timestamp_for_subtitles": 0,
        "view_count": 1,
    }
    asked: ClassVar = {
        "default": "What?\nA. a\nB. b\nC. c\nAnswer with the option's letter from the given choices directly.\n"
    }

    kind: Literal["longvideobench"] = "longvideobench"
    data_dir: Path = folder("data/longvideobench")
    labels: Path = label_file("lvb_val.json")
    repo: str | None = hub_repo("longvideobench/LongVideoBench")
    revision: Commit | None = commit("60d1c89c1919a198b73be39c2babb213b29d6a5c")

    def question(self, record: dict[str, Any]) -> Question:
        options = self._options(record)
        frames = tuple(int(frame) for frame in record.get("position") or ())
        category = str(record["question_category"])
        return Question(
            question_id=str(record["id"]),
            # not `video_id`, which for some videos is the name of a channel and another one than their file's
            video_id=PurePosixPath(record["video_path"]).stem,
            question=str(record["question"]),
            options=options,
            answer=letter_of(int(record["correct_choice"]), options, "correct_choice"),
            groups={
                "duration": str(record["duration_group"]),
                "level": "L1-Perception" if category in PERCEPTION else "L2-Relation",
                "question_category": category,
                "topic_category": str(record["topic_category"]),
            },
            seconds=float(record["duration"]),
            subtitles=str(record["subtitle_path"]),
            evidence=Evidence.of_moments(frames=frames) if frames else None,
        )

    def document(self, record: Mapping[str, Any], question: Question) -> dict[str, Any]:
        options = [*question.options, *[ABSENT] * MAX_OPTIONS]
        return {**record, **{f"option{i}": options[i] for i in range(MAX_OPTIONS)}}

    @staticmethod
    def _options(record: Mapping[str, Any]) -> tuple[str, ...]:
        if "candidates" in record:
            return tuple(str(option) for option in record["candidates"])
        options = [str(record[f"option{i}"]) for i in range(MAX_OPTIONS)]
        while options and options[-1] == ABSENT:
            options.pop()
        return tuple(options)
