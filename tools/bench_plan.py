"""Measure what planning costs: a dry run of full VideoMME, and of a dataset of 100,000 videos.

Each is VideoMME's schema with made-up records (three questions a video), 8 methods at 3 budgets for 4 answerers, in a
copy of the project. Videos are files of a few bytes: a dry run opens none. A second dry run asks for one file alone,
which is what every job on a cluster does first. CPU seconds and peak memory are those of Snakemake's process.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "rules", "envs", "config", "report", "workflow")

TABLE = "results/tables/videomme.csv"
SELECTORS = ("uniform", "random", "topk", "nms", "mmr", "aks", "bolt", "adaptive")
ANSWERERS = ("llava_onevision_7b", "qwen2_vl_7b", "qwen2_5_vl_7b", "internvl3_8b")
BUDGETS = (8, 32, 64)
LENGTHS = ("short", "medium", "long")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, nargs="+", default=[900, 100_000], metavar="N")
    options.add_argument("--shards", type=int, default=8)
    options.add_argument("--chunks", type=int, default=4)
    options.add_argument("--downloaded", action="store_true", help="as if the videos had come from the hub")
    options.add_argument("--json", action="store_true", help="the same for programs")
    options.add_argument("--keep", metavar="DIR", help="leave the made project there")
    args = options.parse_args()

    found = []
    with tempfile.TemporaryDirectory() as temporary:
        for videos in args.videos:
            folder = Path(args.keep or temporary) / str(videos)
            make_project(folder, videos, args)
            found.append(measured(folder, videos))
            if not args.json:
                show(found[-1])
    if args.json:
        print(json.dumps(found, indent=1))


def make_project(folder: Path, videos: int, args: argparse.Namespace) -> None:
    """A copy of the project with a made-up dataset."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / part)
    # In a process of its own: Linux counts the memory of the parent towards the peak of what it starts.
    making = multiprocessing.get_context("spawn").Process(
        target=make_dataset, args=(folder / "data" / "videomme", videos, args.downloaded)
    )
    making.start()
    making.join()
    dataset = {"download": args.downloaded, "shards": args.shards, "chunks": args.chunks}
    table = {"answerers": list(ANSWERERS), "selectors": list(SELECTORS), "budgets": list(BUDGETS)}
    config = {"datasets": {"videomme": dataset}, "tables": {"videomme": table}}
    (folder / "bench.yaml").write_text(yaml.safe_dump(config))


def make_dataset(folder: Path, videos: int, downloaded: bool) -> None:
    """Labels and video files, in the layout of VideoMME's repository."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = folder / "videomme" / "test-00000-of-00001.parquet"
    labels.parent.mkdir(parents=True)
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(list(records(videos))), labels)
    for number in range(videos):
        file = folder / "data" / f"{name_of(number)}.mp4"
        file.write_bytes(b"made up")
        if downloaded:
            write_download_record(folder, file)
    if downloaded:
        write_download_record(folder, labels)


def records(videos: int) -> Iterator[dict[str, Any]]:
    """Questions in VideoMME's schema."""
    for number in range(videos):
        for question in range(3):
            yield {
                "video_id": f"{number + 1:03d}",
                "duration": LENGTHS[number * len(LENGTHS) // videos],
                "domain": "Knowledge",
                "sub_category": "Made up",
                "url": "",
                "videoID": name_of(number),
                "question_id": f"{number + 1:03d}-{question + 1}",
                "task_type": "Counting Problem",
                "question": f"How often is number {question} seen in video {number}?",
                "options": ["A. Never.", "B. Once.", "C. Twice.", "D. More often."],
                "answer": "ABCD"[(number + question) % 4],
            }


def name_of(number: int) -> str:
    """Eleven letters, as of a site of videos."""
    return f"video{number:06d}"


def write_download_record(folder: Path, file: Path) -> None:
    from framesift.data import download_records as notes

    stat = file.stat()
    note = {"repo": "made/up", "revision": "0" * 40, "source": {}, "sha256": "0" * 64}
    notes.write_download_record(
        folder, file, notes.DownloadRecord(**note, size=stat.st_size, mtime_ns=stat.st_mtime_ns)
    )


def measured(folder: Path, videos: int) -> dict[str, Any]:
    """What dry runs in a project cost."""
    found: dict[str, Any] = {"videos": videos}
    for what, target in (("table", TABLE), ("one job", "results/labels/videomme.json")):
        log = folder / "bench.log"
        command = [sys.executable, "-m", "snakemake", target, "--dry-run", "--cores", "1", "--configfile", "bench.yaml"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        start = time.perf_counter()
        with open(log, "w") as output:
            running = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=environment)
            _, status, usage = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        text = log.read_text()
        if running.returncode:
            sys.exit(text)
        counts = re.search(r"^job +count\n-+ +-+\n(.*?)^total", text, flags=re.DOTALL | re.MULTILINE)
        jobs = dict(line.split() for line in counts[1].strip().splitlines()) if counts else {}
        found[what] = {
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
            "wall_s": round(wall, 2),
            "peak_mb": round(usage.ru_maxrss / 1024),
            "jobs": {name: int(count) for name, count in jobs.items()},
        }
    return found


def show(found: dict[str, Any]) -> None:
    for what in ("table", "one job"):
        one = found[what]
        jobs = sum(one["jobs"].values())
        print(
            f"{found['videos']:7,} videos, {what:7}: {one['cpu_s']:6.1f} s CPU, {one['wall_s']:6.1f} s wall,"
            f" {one['peak_mb']:5} MB, {jobs} jobs",
            flush=True,
        )


if __name__ == "__main__":
    main()
