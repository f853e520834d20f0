"""What asking costs beside the model: frames decoded ahead, and everything else the harness does for a question.

A model that takes a given time stands in for a video LLM, so that what is left is the harness. Each pair of arms asks
the same questions about the same made video, in turn: with frames decoded while the model answers, and one after the
other.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_extract import made_clip
from framesift.answering import asker as answering
from framesift.answering.answerers import Answerer, AnswerRequest, Given, LoadedAnswerer, Reply
from framesift.answering.lmms.task import ID_COLUMN, frames_visual
from framesift.video import prefetch
from framesift.video.grid import CandidateGrid
from framesift.video.table import Video, describe_video


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=90, help="length of the video, 720p")
    options.add_argument("--frames", type=int, default=64, help="frames a question")
    options.add_argument("--questions", type=int, default=12)
    options.add_argument("--model-seconds", type=float, default=2.0, help="what the model takes for a question")
    options.add_argument("--decoders", type=int, default=1, help="processes that decode ahead")
    options.add_argument("--pairs", type=int, default=3)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = describe_video(("made", made_clip(Path(folder), args.seconds)), CandidateGrid())
        runs = [[run(video, args, Path(folder), ahead) for ahead in (True, False)] for _ in range(args.pairs)]
    print(f"{args.questions} questions, {args.frames} frames of 720p each, a model of {args.model_seconds:g} s")
    for name, arm in (("decoded ahead", 0), ("one after the other", 1)):
        timings = [pair[arm] for pair in runs]
        waiting = statistics.median(one.waiting / one.total for one in timings)
        rest = statistics.median((one.total - one.waiting - one.model) / one.asked for one in timings)
        print(f"{name:20} waiting for frames {waiting:6.1%} of the time, {1000 * rest:4.0f} ms a question for the rest")
    ratios = [pair[1].total / pair[0].total for pair in runs]
    print(
        f"one after the other / decoded ahead: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def run(video: Video, args: argparse.Namespace, folder: Path, ahead: bool) -> answering.Timing:
    """Ask every question once; the frames of each are another draw of the video's candidates."""
    rng = random.Random(0)
    wanted, put = {}, []
    for number in range(args.questions):
        places = sorted(rng.sample(range(len(video.frames)), args.frames))
        frames, stamps, times = ([column[i] for i in places] for column in (video.frames, video.stamps, video.times))
        wanted[str(number)] = prefetch.FrameRequest(
            video.path, video.digest, video.fps, video.n_frames, frames, times, stamps, video.keyframes
        )
        put.append(
            answering.LmmsRequest(
                Request(("?", frames_only_messages, {}, number, "task", "test")), DOCUMENTS, chat=True
            )
        )
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        asker = answering.Asker(Sleeper(seconds=args.model_seconds), Path(cache), "bench", "cpu", args.decoders)
        decoding = answering.decoded_ahead
        if not ahead:
            answering.decoded_ahead = one_after_the_other
        try:
            asker.ask(put, wanted)
        finally:
            answering.decoded_ahead = decoding
    return asker.timing


def one_after_the_other(items: Iterable, workers: int) -> Iterator:
    """What `decoded_ahead` replaces: the model waits for every frame."""
    for item, wanted in items:
        start = time.monotonic()
        pictures = prefetch.decode(wanted)
        yield item, pictures, time.monotonic() - start


@dataclass
class Request:
    """What is used of a request of lmms-eval."""

    arguments: tuple

    @property
    def args(self) -> tuple:
        return self.arguments


DOCUMENTS = {"task": {"test": [{ID_COLUMN: str(number)} for number in range(1000)]}}


def frames_only_messages(document: dict) -> list[dict]:
    return [{"role": "user", "content": frames_visual(document)}]


class Sleeper(Answerer):
    """A model that only takes its time, and looks at what it is given."""

    kind: str = "sleeper"
    seconds: float
    libraries: ClassVar[tuple[str, ...]] = ()

    @property
    def module(self) -> str:
        return answering.__name__

    def weights(self) -> str:
        return "none"

    def load(self, device: str) -> LoadedAnswerer:
        return Sleeping(self.seconds)


class Sleeping(LoadedAnswerer):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def answer(self, asked: AnswerRequest) -> Reply:
        frames = asked.frames
        assert all(picture.size == (1280, 720) for picture in frames)
        time.sleep(self.seconds)
        return Reply("A", Given(list(frames.frames), list(frames.times), ""))


if __name__ == "__main__":
    main()
