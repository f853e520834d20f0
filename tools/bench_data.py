"""Measure what many videos cost the jobs that come after planning: labels, the table of videos, look-ups in a cache.

Records are those of bench_plan.py. Each figure is of a process of its own: CPU seconds, and its peak memory.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_plan import name_of, records
from framesift.data.benchmarks import reader_of
from framesift.data.labels import convert
from framesift.data.questions import read_questions
from framesift.storage.files import write_json
from framesift.video.table import Video, read_videos, write_videos

LENGTH = {"fps": 25.0, "duration": 1000.0, "n_frames": 25_000}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--videos", type=int, default=100_000, help="of the labels, three questions each, and the cache"
    )
    options.add_argument("--table", type=int, default=5_000, help="videos of the table of videos")
    options.add_argument("--candidates", type=int, default=1_000, help="candidate frames of each of them")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        alone(write_labels, folder / "labels.parquet", args.videos)
        alone(write_table, folder / "videos.parquet", args.table, args.candidates)
        for what, step in (
            (f"convert_labels, {3 * args.videos:,} questions", (to_json, folder)),
            ("reading them in each later job", (read_questions, folder / "labels.json")),
            (
                f"reading {args.table:,} videos of {args.candidates:,} candidates",
                (read_videos, folder / "videos.parquet"),
            ),
            (f"looking up {args.videos:,} files of one folder", (look_up, folder / "cache", args.videos)),
        ):
            seconds, peak = alone(*step)
            print(f"{what:50} {seconds:7.2f} s CPU {peak:7.0f} MB", flush=True)
        print(f"the converted labels take {(folder / 'labels.json').stat().st_size / 1e6:.0f} MB")


def alone(function: Callable[..., Any], *arguments: object) -> tuple[float, float]:
    """CPU seconds and peak MB of a call in a new process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(theirs, function, *arguments))
    process.start()
    found = ours.recv()
    process.join()
    return found


def _measured(pipe: Any, function: Callable[..., Any], *arguments: object) -> None:
    start = time.process_time()
    function(*arguments)
    pipe.send((time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def write_labels(path: Path, videos: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(records(videos))), path)


def to_json(folder: Path) -> None:
    write_json(
        folder / "labels.json", convert(reader_of({"kind": "videomme"}), folder / "labels.parquet"), checked=True
    )


def write_table(path: Path, videos: int, candidates: int) -> None:
    frames = [25 * i for i in range(candidates)]
    made = (
        Video(
            video_id=name_of(number), path=f"{name_of(number)}.mp4", error=None, reason="", digest=f"{number:064x}",
            codec="h264", width=1280, height=720, complete=True, frames=frames, stamps=[512 * i for i in frames],
            times=[frame / 25 for frame in frames], keyframes=frames[::10], **LENGTH,
        )
        for number in range(videos)
    )  # fmt: skip
    write_videos(path, made, {})


def look_up(folder: Path, files: int) -> None:
    folder.mkdir()
    for number in range(files):
        (folder / f"{number:064x}.safetensors").touch()
    start = time.process_time()
    for number in range(files):
        os.path.isfile(folder / f"{number:064x}.safetensors")
    print(f"{1e6 * (time.process_time() - start) / files:.1f} microseconds of CPU a look-up")


if __name__ == "__main__":
    main()
