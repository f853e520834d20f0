"""Check on this machine's GPU what tests without one cannot show, and measure what a GPU brings.

  precision  scores in 16 bits, and on the GPU, against those in 32 bits on the same frames: do they rank frames alike?
  feeding    decoding processes from one to many: frames a second, how long the model waits, the same scores to the bit
  memory     a batch for which there is no room, and answers for which there is none: what falls back gives the same
  lease      processes that want one GPU at the same time: one after the other, also when one is killed
  answers    the demo's video LLM on the GPU and on the CPU: the same answers
  speed      bench_extract.py on this device

What disagrees by more than the bound beside it makes the exit status 1; where torch finds no GPU it is 2. With --device
cpu everything but the device is exercised: the demo's checkpoints, and memory that only seems too small.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_extract import made_clip, made_model, warm_up
from framesift.answering.asker import Asker
from framesift.answering.evaluate import PromptSettings, evaluate, frame_requests
from framesift.answering.protocols import Presentation
from framesift.checkpoints import gpu_lease as gpus
from framesift.checkpoints.component import device_name, pick_device
from framesift.core.code_digest import SCRIPTS
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data.benchmarks.videomme import VideoMME
from framesift.data.labels import convert
from framesift.data.questions import Question, read_questions
from framesift.program.cli import log, run
from framesift.provenance.environment import machine
from framesift.scoring.score_videos import LoadedEncoder, VideoScorer, model_of
from framesift.selection.select_frames import Selected
from framesift.storage.files import write_json
from framesift.video.grid import CandidateGrid
from framesift.video.table import Video, describe_video

if TYPE_CHECKING:
    import numpy as np

#: Two demo videos of two minutes, twelve questions.
WORLD = {"short_videos": 2, "medium_videos": 0, "long_videos": 0, "short_seconds": 120, "one_moment_questions": 2}
DEMO = SCRIPTS.parents[1] / "resources" / "demo"
TRAINED = {
    "demo clip": {"kind": "clip", "model": str(DEMO / "clip")},
    "demo blip_itm": {
        "kind": "blip_itm", "model": str(DEMO / "blip"), "first_token": "cls", "text_cleaning": "none"
    },
}  # fmt: skip
#: Networks of the real size with random weights: what they say of a frame means nothing, but costs the real thing.
RANDOM = ("clip", "siglip", "blip_itm", "blip_itc", "blip2_itm")
TOP = 8
#: Of trained networks: least mean of Kendall's tau over the questions, and least mean share of the same best frames.
TAU, OVERLAP = {"float32": 0.999, "float16": 0.98, "bfloat16": 0.9}, {"float32": 0.99, "float16": 0.95, "bfloat16": 0.8}
#: Largest difference of a score, as a share of the range of that network's scores.
DIFFERENCE = {"float32": 5e-3, "float16": 2e-2, "bfloat16": 1e-1}
#: Largest difference between scores that were computed in batches of different sizes.
BATCHES = 1e-4


@dataclass(frozen=True)
class Finding:
    """What one check found; `agrees` is None where there was nothing to judge."""

    check: str
    what: str
    figures: dict[str, Any]
    bound: str = ""
    agrees: bool | None = None


@dataclass(frozen=True)
class CheckWorld:
    """What is scored and asked about, and where."""

    device: str
    folder: Path
    videos: list[Video]
    records: list[dict[str, Any]]
    questions: list[Question]
    workers: list[int]
    options: argparse.Namespace
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options.add_argument("--checks", default=",".join(CHECKS), help="those to run (default: all)")
    options.add_argument(
        "--networks", choices=["demo", "real"], help="real: also random ones of real size (default on a GPU)"
    )
    options.add_argument("--workers", help="numbers of decoding processes (default: 1, 2, 4 ... to the cores)")
    options.add_argument("--copies", type=int, default=2, help="of each video, for `feeding`, a process")
    options.add_argument("--pairs", type=int, default=3, help="of bench_extract.py")
    options.add_argument("--seconds", type=int, default=60, help="length of the clip that bench_extract.py makes")
    options.add_argument("--folder", type=Path, default=Path("results/gpu_check"), help="keeps videos and weights")
    options.add_argument("--json", type=Path, help="(default: gpu_check.json in the folder)")
    args = options.parse_args()
    if unknown := set(args.checks.split(",")) - CHECKS.keys():
        options.error(f"there is no check {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    log.setLevel(logging.WARNING)
    try:
        pick_device(args.device)
    except InputError as error:
        print(f"gpu_check.py: {error}\n  --device cpu exercises the checks without one", file=sys.stderr)
        sys.exit(2)
    args.networks = args.networks or ("real" if args.device == "cuda" else "demo")
    world = made_world(args)
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        if name in args.checks.split(","):
            start = time.monotonic()
            with (args.folder / "gpu_check.log").open("a") as text, redirect_stderr(text):  # bars of libraries
                findings += check(world)
            print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    report(world, findings)
    sys.exit(any(finding.agrees is False for finding in findings))


def made_world(args: argparse.Namespace) -> CheckWorld:
    folder = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    spec, labels = json.dumps(WORLD), folder / "labels.parquet"
    program("make_demo_labels.py", "--spec", spec, "--labels", labels, "--evidence", folder / "evidence.json")
    records = convert(VideoMME(), labels)
    write_json(folder / "labels.json", records)
    questions = read_questions(folder / "labels.json")
    videos = []
    for name in sorted({question.video_id for question in questions}):
        path = folder / "videos" / f"{name}.mp4"
        if not path.is_file():
            program("make_demo_video.py", "--spec", spec, "--video", name, "--out", path)
        videos.append(describe_video((name, path), CandidateGrid()))
    networks = dict(TRAINED)
    if args.networks == "real":
        for kind in RANDOM:
            fields = {"text_cleaning": "none"} if "blip" in kind else {}
            fields |= {"first_token": "cls"} if kind == "blip_itm" else {}
            weights = "blip_itm" if kind == "blip_itc" else kind
            networks[kind] = {"kind": kind, "model": str(made_model(folder, weights)), **fields}
    cores = os.cpu_count() or 1
    workers = [2**n for n in range(cores.bit_length()) if 2**n < cores] + [cores]
    if args.workers:
        workers = [int(number) for number in args.workers.split(",")]
    return CheckWorld(args.device, folder, videos, records, questions, workers, args, networks)


def program(name: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(SCRIPTS / name), *map(str, arguments)], check=True)


# Scoring


@dataclass(frozen=True)
class Scored:
    """Scores of every question, in order, and where the time went."""

    scores: list[np.ndarray]
    frames: int
    seconds: float
    busy: float


def scored(world: CheckWorld, model: LoadedEncoder, videos: list[Video], workers: int = 1) -> Scored:
    """Score videos with an empty cache, for the questions of the demo video that each is a copy of; else for all."""
    asked = {}
    for video in videos:
        own = [question for question in world.questions if question.video_id == Path(video.path).stem]
        asked[video.video_id] = [
            question.model_copy(update={"video_id": video.video_id, "question_id": f"{video.video_id}/{number}"})
            for number, question in enumerate(own or world.questions)
        ]
    start = time.perf_counter()
    rows = VideoScorer([model], decoder="pyav", workers=workers, timeout=120).score(videos, asked)
    found = {row.question_id: row for some in rows for row in some}
    seconds = time.perf_counter() - start
    for row in found.values():
        if row.error:
            raise InputError(row.error, field=f"video {row.video_id}")
    import numpy as np

    scores = [np.asarray(found[name].scores) for name in sorted(found)]
    return Scored(scores, sum(len(video.frames) for video in videos), seconds, model.seconds / seconds)


@contextmanager
def network(spec: dict[str, Any], device: str, cls: type[LoadedEncoder] = LoadedEncoder) -> Iterator[LoadedEncoder]:
    """A loaded network with an empty cache; its memory is free again afterwards."""
    import torch

    with tempfile.TemporaryDirectory() as cache:
        made = model_of(build("scorers", spec), {"rule": "index"}, "pyav", Path(cache), device)
        model = cls(made.encoder, made.cache, device)
        assert model.form  # loads
        yield model
        model.__dict__.pop("loaded", None)
    torch.cuda.empty_cache()


def precision(world: CheckWorld) -> Iterator[Finding]:
    arms = [("float32", "cpu")]
    arms += [("float32", world.device)] if world.device != "cpu" else []
    arms += [("float16", world.device), ("bfloat16", world.device)]
    for name, spec in world.networks.items():
        reference: Scored | None = None
        for dtype, device in arms:
            with network(spec | {"dtype": dtype}, device) as model:
                run = scored(world, model, world.videos)
            if reference is None:
                reference = run
                continue
            figures = agreement(reference.scores, run.scores)
            bound = f"share of range <= {DIFFERENCE[dtype]:g}"
            agrees = figures["share of range"] <= DIFFERENCE[dtype]
            if name in TRAINED:
                bound += f", tau >= {TAU[dtype]:g}, top {TOP} >= {OVERLAP[dtype]:g}"
                agrees &= figures["tau"] >= TAU[dtype] and figures[f"top {TOP}"] >= OVERLAP[dtype]
            where = f"{dtype} on {device} to float32 on cpu"
            yield Finding("precision", f"{name}: {where}", figures, bound, bool(agrees))


def agreement(reference: list[np.ndarray], other: list[np.ndarray]) -> dict[str, float]:
    """How alike two sets of scores rank frames: means over the questions, and the largest difference of a score."""
    import numpy as np
    from scipy.stats import kendalltau

    taus = [kendalltau(one, two).statistic for one, two in zip(reference, other, strict=True)]
    overlaps = [len(best(one) & best(two)) / TOP for one, two in zip(reference, other, strict=True)]
    difference = max(float(np.abs(one - two).max()) for one, two in zip(reference, other, strict=True))
    return {
        "tau": float(np.mean(taus)),
        "least tau": float(np.min(taus)),
        f"top {TOP}": float(np.mean(overlaps)),
        "largest difference": difference,
        "share of range": difference / float(np.ptp(np.concatenate(reference))),
    }


def best(scores: np.ndarray) -> set[int]:
    return set((-scores).argsort(kind="stable")[:TOP].tolist())


def feeding(world: CheckWorld) -> Iterator[Finding]:
    name = "clip" if world.options.networks == "real" else "demo clip"
    seen = world.videos
    if world.options.networks == "real":  # 720p
        clip = made_clip(world.folder, world.options.seconds)
        seen = [describe_video(("clip", clip), CandidateGrid())]
    first: Scored | None = None
    number = world.options.copies * max(world.workers)
    videos = [copy_of(video, n) for n in range(number) for video in seen]
    for workers in world.workers:
        with network(world.networks[name] | {"dtype": "float32"}, world.device) as model:
            warm_up(model)
            run = scored(world, model, videos, workers)
        first = first or run
        same = all((one == two).all() for one, two in zip(first.scores, run.scores, strict=True))
        figures = {"frames/s": run.frames / run.seconds, "model waits, %": 100 * (1 - run.busy), "identical": same}
        yield Finding("feeding", f"{name}, {len(videos)} videos, {workers} decoding", figures, "identical", same)


def copy_of(video: Video, number: int) -> Video:
    """The same file as another video, so that the cache does not know it."""
    return Video(**(vars(video) | {"video_id": f"{video.video_id}-{number}", "digest": f"{number:03d}{video.digest}"}))


# Memory


class Cramped(LoadedEncoder):
    """A model that seems to have room for three frames."""

    def _see(self, images: np.ndarray, texts: list[str]) -> np.ndarray:
        import torch

        if len(images) > 3:
            raise torch.OutOfMemoryError("out of memory, as it were")
        return super()._see(images, texts)


def memory(world: CheckWorld) -> Iterator[Finding]:
    yield too_large_a_batch(world)
    yield from too_long_a_question(world)


def too_large_a_batch(world: CheckWorld) -> Finding:
    """Random pictures, in a batch that fits, then in one that does not, in what room there is or seems to be."""
    import numpy as np

    on_gpu = world.device == "cuda"
    name = "clip" if "clip" in world.networks else "demo clip"
    count, small = (1024, 32) if on_gpu else (32, 2)
    text = [world.questions[0].question]
    with network(world.networks[name], world.device, LoadedEncoder if on_gpu else Cramped) as model:
        images = np.random.default_rng(0).integers(0, 256, (count, *model.form.shape), dtype=np.uint8)
        model.batch_size = small
        plenty = np.concatenate(model.see(images, text))
        model.batch_size = count
        with hardly_any_memory(model, images, small, count) as left:
            little = np.concatenate(model.see(images, text))
        halved = model.batch_size
    difference = float(np.abs(plenty - little).max())
    figures = {"free, MB": left, "frames a batch": halved, "largest difference": difference}
    bound = f"fewer than {count} frames a batch, difference <= {BATCHES:g}"
    return Finding(
        "memory", f"{name}, {count} frames at once", figures, bound, halved < count and difference <= BATCHES
    )


@contextmanager
def hardly_any_memory(model: LoadedEncoder, images: np.ndarray, small: int, count: int) -> Iterator[int | None]:
    """Fill the GPU up to a quarter of what the whole batch would take; yields the free megabytes."""
    import torch

    if model.device != "cuda":
        yield None
        return
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    model._see(images[:small], ["what"])
    room = (torch.cuda.max_memory_allocated() - before) * count // small // 4
    torch.cuda.empty_cache()
    ballast = []
    while (free := torch.cuda.mem_get_info()[0]) > room:
        ballast.append(torch.empty(max(2 << 20, min(free - room, 1 << 30)), dtype=torch.uint8, device="cuda"))
    yield free >> 20
    del ballast
    torch.cuda.empty_cache()


def too_long_a_question(world: CheckWorld) -> Iterator[Finding]:
    """The demo's video LLM, whose memory seems too small at the first call of each question, and at the second."""
    from unittest.mock import patch

    import torch
    from transformers.generation.utils import GenerationMixin

    generate = GenerationMixin.generate
    failures = 2 if world.device == "cuda" else 1  # what is tried after the second needs a GPU
    calls = []

    def cramped(self: Any, *arguments: Any, **inputs: Any) -> Any:
        calls.append(inputs.get("cache_implementation"))
        if len(calls) % (failures + 1):
            raise torch.OutOfMemoryError("out of memory, as it were")
        return generate(self, *arguments, **inputs)

    plenty = answers_on(world, world.device)
    with patch.object(GenerationMixin, "generate", cramped):
        little = answers_on(world, world.device)
    yield compared(
        "memory", f"demo vlm, memory too small {failures} times a question", plenty, little, {"calls": len(calls)}
    )


# Answers


def answers(world: CheckWorld) -> Iterator[Finding]:
    yield compared(
        "answers", f"demo vlm on {world.device} to cpu", answers_on(world, "cpu"), answers_on(world, world.device), {}
    )


def compared(check: str, what: str, one: dict[str, str], two: dict[str, str], figures: dict[str, Any]) -> Finding:
    same = sum(one[name] == two[name] for name in one)
    figures = {"questions": len(one), "the same answer": same, **figures}
    return Finding(check, what, figures, "all the same", same == len(one) == len(two))


def answers_on(world: CheckWorld, device: str) -> dict[str, str]:
    """What the demo's video LLM says to every question, with eight frames spread over the video."""
    videos = {video.video_id: video for video in world.videos}
    chosen = {}
    for question in world.questions:
        video = videos[question.video_id]
        places = range(0, len(video.frames), -(-len(video.frames) // TOP))
        frames, times = [video.frames[i] for i in places], [video.times[i] for i in places]
        chosen[question.question_id] = Selected(
            video_id=question.video_id, frames=frames, times=times, candidates=len(video.frames)
        )
    wanted, excluded = frame_requests(world.questions, chosen, videos, Presentation.of({"protocol": "fair"}))
    answerer = build("answerers", {"kind": "llava_onevision_hf", "model": str(DEMO / "vlm"), "dtype": "float32"})
    with tempfile.TemporaryDirectory() as cache:
        asker = Asker(answerer, Path(cache), "gpu_check", device)
        given = evaluate(VideoMME(), PromptSettings(), world.records, world.questions, asker, wanted, excluded)
    return {name: answer.response for name, answer in given.items()}


# The lease

HOLD = """
import logging, sys, time
from framesift.checkpoints import gpu_lease as gpus
logging.basicConfig(level=logging.INFO, format="%(message)s")
gpus.EVERY = 0.05
gpu = gpus.lease()
start = time.monotonic()
same = True
if sys.argv[1] == "cuda":
    import torch
    torch.zeros(1, device="cuda")
    seen = str(torch.cuda.get_device_properties(0).uuid)
    same = torch.cuda.device_count() == 1 and (gpu.startswith("MIG") or gpu.endswith(seen))
print("holds", flush=True)
time.sleep(float(sys.argv[2]))
print(start, time.monotonic(), same)
"""


def lease(world: CheckWorld) -> Iterator[Finding]:
    """One process takes the GPU, two more wait for it; the first is killed, and they get it in turn."""
    what = "three processes, one GPU, the first is killed"
    with tempfile.TemporaryDirectory() as folder:
        # Locks and a choice of its own: the GPU that this process has taken stays taken.
        env = os.environ | {gpus.LOCKS: folder, "PYTHONPATH": str(SCRIPTS)}
        if world.device == "cpu":
            env |= {"PATH": f"{made_nvidia_smi(folder)}{os.pathsep}{os.environ['PATH']}"}
            env.pop(gpus.VISIBLE, None)
        elif not gpus.visible_gpus():
            yield Finding("lease", "nvidia-smi lists no GPU, so there is nothing to lend", {})
            return
        else:  # named twice: what is named once would be taken as given
            env[gpus.VISIBLE] = ",".join(2 * gpus.visible_gpus()[:1])
        killed = holder(world, env, 600)
        killed.stdout.readline()
        others = [holder(world, env, 0.3) for _ in range(2)]
        waited = sum("waiting for a GPU" in other.stderr.readline() for other in others)
        killed.kill()
        killed.communicate()
        ends = [other.communicate()[0].split() for other in others]
    held = sorted((float(end[1]), float(end[2])) for end in ends if len(end) == 4)
    figures = {
        "waited": waited,
        "got it then": len(held),
        "at the same time": sum(end > start for (_, end), (start, _) in pairwise(held)),
        "and saw no other": sum(end[-1:] == ["True"] for end in ends),
    }
    yield Finding("lease", what, figures, "2, 2, 0, 2", [*figures.values()] == [2, 2, 0, 2])


def holder(world: CheckWorld, env: dict[str, str], seconds: float) -> Any:
    command = [sys.executable, "-c", HOLD, world.device, str(seconds)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def made_nvidia_smi(folder: str) -> str:
    path = Path(folder) / "nvidia-smi"
    path.write_text("#!/bin/sh\necho 'GPU 0: none, for a check without one (UUID: GPU-0)'\n")
    path.chmod(0o755)
    return folder


# Speed


def speed(world: CheckWorld) -> Iterator[Finding]:
    """bench_extract.py as it would be used here; what it compares must do the same, or it fails."""
    dtype = "bfloat16" if world.device == "cuda" else "float32"
    out, args = world.folder / "speed.json", world.options
    workers = max(world.workers)
    command = [
        sys.executable,
        str(Path(__file__).with_name("bench_extract.py")),
        "--arms",
        "ROW",
        "--device",
        world.device,
    ]
    command += ["--dtype", dtype, "--workers", str(workers), "--copies", str(workers * args.copies)]
    command += ["--pairs", str(args.pairs), "--seconds", str(args.seconds), "--folder", str(world.folder)]
    done = subprocess.run([*command, "--json", str(out)], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        yield Finding("speed", "bench_extract.py", {"failed": " ".join(done.stderr.split()[-30:])}, "runs", False)
        return
    figures = json.loads(out.read_text())["figures"]
    medians = {name: statistics.median(values) for name, values in figures.items()}
    yield Finding("speed", f"bench_extract.py, clip, {dtype}, {workers} decoding", medians, "its own", True)


CHECKS: dict[str, Callable[[CheckWorld], Iterable[Finding]]] = {
    "precision": precision,
    "feeding": feeding,
    "memory": memory,
    "lease": lease,
    "answers": answers,
    "speed": speed,
}

# What is told


def report(world: CheckWorld, findings: list[Finding]) -> None:
    import torch

    out = world.options.json or world.folder / "gpu_check.json"
    record = {
        "device": device_name(world.device),
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda},
        "agrees": not any(finding.agrees is False for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }
    write_json(out, record)
    print(f"{record['device']}, torch {torch.__version__}")
    words = {True: "agrees", False: "DISAGREES", None: "-"}
    for finding in findings:
        bound = f"   ({finding.bound})" if finding.bound else ""
        print(f"{finding.check:10} {words[finding.agrees]:10} {finding.what}{bound}")
        for name, value in finding.figures.items():
            print(f"{'':22}{name:24} {shown(value)}")
    print(f"Written to {out}.", "All agrees." if record["agrees"] else "Not all agrees.")


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"
    return str(value)


if __name__ == "__main__":
    run(main)
