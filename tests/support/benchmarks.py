"""Every benchmark in small, in the layout of its real hub repository. Videos are a few random bytes."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

SRT = b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
    return buffer.getvalue()


def parquet(records: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), buffer)
    return buffer.getvalue()


def video(name: str, size: int = 40_000) -> bytes:
    """Bytes that belong to a name and cannot be compressed."""
    return random.Random(name).randbytes(size)


def parts(data: bytes, count: int) -> list[bytes]:
    step = -(-len(data) // count)
    return [data[start : start + step] for start in range(0, len(data), step)]


def videomme() -> dict[str, bytes]:
    common = {"domain": "Knowledge", "sub_category": "x", "url": "", "task_type": "OCR", "answer": "A"}
    records = [
        {
            **common,
            "video_id": f"{number:03d}",
            "duration": duration,
            "videoID": f"{duration}{number}",
            "question_id": f"{number:03d}-{k}",
            "question": "Which?",
            "options": ["A. a", "B. b", "C. c", "D. d"],
        }
        for number, duration in enumerate(("short", "short", "medium", "long"), start=1)
        for k in (1, 2)
    ]
    names = [f"{duration}{number}" for number, duration in enumerate(("short", "short", "medium", "long"), start=1)]
    return {
        "README.md": b"Video-MME",
        "videomme/test-00000-of-00001.parquet": parquet(records),
        "videos_chunked_01.zip": zipped({f"data/{name}.mp4": video(name) for name in names[:2]}),
        "videos_chunked_02.zip": zipped({f"data/{name}.mp4": video(name) for name in names[2:]}),
        "subtitle.zip": zipped(
            {f"subtitle/{name}.srt": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n" for name in names}
        ),
    }


def longvideobench() -> dict[str, bytes]:
    records = [
        {
            "video_id": f"@channel-{name}",
            "question": "What?",
            "question_wo_referring_query": "What?",
            "candidates": ["a", "b", "c", "d", "e"][:n],
            "correct_choice": n - 1,
            "position": list(range(10, 10 + n)),
            "topic_category": "NP",
            "question_category": "S2E",
            "level": "L1-Perception",
            "id": f"@channel-{name}_0",
            "video_path": f"{name}.mp4",
            "subtitle_path": f"{name}_en.json",
            "duration_group": 15,
            "starting_timestamp_for_subtitles": 0,
            "duration": 12.5,
            "view_count": 1,
        }
        for name, n in (("one", 3), ("two", 4), ("three", 5))
    ]
    videos = {f"videos/{name}.mp4": video(name) for name in ("zero", "one", "other", "two", "three", "test")}
    pieces = parts(tarred(videos), 3)
    return {
        "lvb_val.json": json.dumps(records).encode(),
        **{f"videos.tar.part.a{letter}": piece for letter, piece in zip("abc", pieces, strict=True)},
        "subtitles.tar": tarred({f"subtitles/{name}_en.json": b"[]" for name in ("one", "two", "three", "test")}),
    }


def mlvu() -> dict[str, bytes]:
    records = [
        {
            "video_name": f"{name}.mp4",
            "duration": 12.5,
            "question": "What?\n(A) a\n(B) b\n(C) c\n(D) d\n",
            "candidates": ["a", "b", "c", "d"],
            "answer": "B",
            "task_type": task,
            "question_id": f"Q{number}",
        }
        for number, (name, task) in enumerate((("needle_1", "needle"), ("order_7", "order"), ("ego_3", "ego")))
    ]
    return {
        "mlvu/test-00000-of-00001.parquet": parquet(records),
        "video_part_1.zip": zipped({f"{name}.mp4": video(name) for name in ("needle_1", "order_7")}),
        "video_part_2.zip": zipped({"ego_3.mp4": video("ego_3")}),
    }


def lvbench() -> dict[str, bytes]:
    records = [
        {
            "key": name,
            "video_path": f"{name}.mp4",
            "uid": str(number),
            "type": "cartoon",
            "question": "What year?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633",
            "question_type": ["reasoning", "event understanding"],
            "answer": "D",
            "time_reference": "59:58-1:00:02",
        }
        for number, name in enumerate(("Cm73ma6Ibcs", "t-RtDI2RWQs"))
    ]
    return {
        "data/train-00000-of-00001.parquet": parquet(records),
        "video_chunks/videos_chunk_001.zip": zipped({"Cm73ma6Ibcs.mp4": video("Cm73ma6Ibcs")}),
        "video_chunks/videos_chunk_002.zip": zipped({"t-RtDI2RWQs.mp4": video("t-RtDI2RWQs")}),
    }


def egoschema() -> dict[str, bytes]:
    records = [
        {
            "question_idx": str(number),
            "question": "Why?",
            "video_idx": name,
            "option": [f"{letter}. {letter} text" for letter in "ABCDE"],
            "answer": answer,
        }
        for number, (name, answer) in enumerate((("0a-1", "3"), ("0b-2", "0"), ("0c-3", None)))
    ]
    return {
        "Subset/test-00000-of-00001.parquet": parquet(records[:2]),
        "GENERATION/test-00000-of-00001.parquet": parquet([{**record, "answer": None} for record in records]),
        "videos_chunked_01.zip": zipped({f"videos/{name}.mp4": video(name) for name in ("0a-1", "0b-2", "0c-3")}),
    }


def nextqa() -> dict[str, bytes]:
    records = [
        {
            "video": 4010069381 + number,
            "frame_count": 369,
            "width": 640,
            "height": 480,
            "question": "how do the two man play the instrument",
            "answer": number,
            "qid": 6,
            "type": kind,
            **{f"a{k}": f"option {k}" for k in range(5)},
        }
        for number, kind in enumerate(("CH", "TN", "DO"))
    ]
    return {
        "MC/test-00000-of-00001.parquet": parquet(records),
        "OE/test-00000-of-00001.parquet": parquet([{"video": 1}]),
        "videos.zip": zipped({f"NExTVideo/{row['video']}.mp4": video(str(row["video"])) for row in records}),
    }


def activitynetqa() -> dict[str, bytes]:
    records = [
        {
            "video_name": name,
            "question_id": f"v_{name}_1",
            "question": "is the person outdoors",
            "answer": "yes",
            "type": kind,
        }
        for name, kind in (("1QIUV7WYKXg", "3"), ("-abc_d", "7"))
    ]
    return {
        "data/test-00000-of-00001.parquet": parquet(records),
        "videos_chunked_01.zip": zipped({"all_test/v_1QIUV7WYKXg.mp4": video("1QIUV7WYKXg")}),
        "videos_chunked_02.zip": zipped({"all_test/v_-abc_d.mkv": video("-abc_d"), "all_test/v_x.mp4": video("x")}),
    }


REPOSITORIES = {
    "videomme": videomme,
    "longvideobench": longvideobench,
    "mlvu": mlvu,
    "lvbench": lvbench,
    "egoschema": egoschema,
    "nextqa": nextqa,
    "activitynetqa": activitynetqa,
}
