"""A VLM inspects single frames: it captions each, and judges whether the frame helps to answer a question."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np

from framesift.core.errors import VideoError, about
from framesift.data.questions import Question
from framesift.program.cli import log
from framesift.scoring.mllm_selector import label_prompts as prompts
from framesift.scoring.mllm_selector.label_prompts import LabelRequest
from framesift.scoring.mllm_selector.label_settings import LabelSettings
from framesift.training.labels.combine import labelled_positions
from framesift.training.labels.labeller import Labeller, ModelReply
from framesift.training.labels.reply_cache import ReplyCache
from framesift.training.labels.true_or_false import truth_probability, without_verdict
from framesift.video.prefetch import FrameRequest, decoded_ahead
from framesift.video.table import Video

#: By video id.
Questions = Mapping[str, Sequence[Question]]

#: Frames of a video that are decoded and inspected together.
TOGETHER = 16


class FrameQuestions:
    """The requests about frames, and the replies in the cache.

    Parameters
    ----------
    settings : LabelSettings
    cache_of : callable
        Opens the reply cache of a video.
    """

    def __init__(self, settings: LabelSettings, cache_of: Callable[[Video], ReplyCache]) -> None:
        self.settings, self.cache_of = settings, cache_of

    def frames(self, video: Video) -> list[int]:
        """Indices of the frames to label."""
        settings = self.settings
        return [video.frames[i] for i in labelled_positions(len(video.frames), settings.n, settings.n_label)]

    def caption(self, frame: int) -> LabelRequest:
        return prompts.caption(self.settings.prompts, frame, self.settings.caption_tokens)

    def explanation(self, question: Question, frame: int) -> LabelRequest:
        text = prompts.question_text(question, self.settings.text)
        return prompts.explanation(self.settings.prompts, text, frame, self.settings.explanation_tokens)

    def verdict(self, cache: ReplyCache, question: Question, frame: int) -> LabelRequest | None:
        """The request for a verdict; None before there is an explanation."""
        request = self.explanation(question, frame)
        reply = cache.get(request)
        return prompts.verdict(request, without_verdict(reply.text)) if reply else None

    def captions(self, cache: ReplyCache, video: Video) -> list[str]:
        """Captions of the labelled frames."""
        return [cache[self.caption(frame)].text for frame in self.frames(video)]

    def spatial(self, cache: ReplyCache, video: Video, question: Question) -> np.ndarray:
        """Probability that each labelled frame helps to answer a question; NaN without a verdict."""

        def value(reply: ModelReply) -> float:
            found = truth_probability(reply.log_true, reply.log_false)
            return math.nan if found is None else found

        requests = [self.verdict(cache, question, frame) for frame in self.frames(video)]
        return np.array([value(cache[request]) for request in requests if request])

    def inspect(
        self, labeller: Labeller, videos: Sequence[Video], questions: Questions, workers: int, timeout: float
    ) -> dict[str, str]:
        """Ask everything about the frames of videos that the cache does not have.

        Returns
        -------
        dict
            Why a video cannot be labelled, by video id.
        """
        errors: dict[str, str] = {}
        counts = Counter[str]()
        items = self._to_decode(videos, questions, errors)
        with closing(decoded_ahead(items, workers, timeout)) as decoded:
            for (video, frames), pictures, _ in decoded:
                if isinstance(pictures, VideoError):
                    if errors.setdefault(video.video_id, str(pictures)) == str(pictures):
                        log.warning("video %s is left out: %s", video.video_id, pictures)
                elif video.video_id not in errors:
                    scaled = {
                        frame: scaled_down(picture, self.settings.max_side)
                        for frame, picture in zip(frames, pictures, strict=True)
                    }
                    with closing(self.cache_of(video)) as cache, about(f"video {video.video_id}"):
                        counts += self._ask(labeller, cache, scaled, questions[video.video_id])
                    log.info("video %s: frames %d to %d are inspected", video.video_id, frames[0], frames[-1])
        if counts:
            log.info("frames were inspected: %s", ", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
        return errors

    def _ask(
        self, labeller: Labeller, cache: ReplyCache, frames: Mapping[int, np.ndarray], questions: Sequence[Question]
    ) -> Counter[str]:
        captions = [self.caption(frame) for frame in frames] if self.settings.captions else []
        pairs = [(question, frame) for question in questions for frame in frames] if self.settings.spatial else []
        counts = cache.ask(labeller, [*captions, *(self.explanation(*pair) for pair in pairs)], frames)
        verdicts = [request for pair in pairs if (request := self.verdict(cache, *pair))]
        return counts + cache.ask(labeller, verdicts, frames)

    def _to_decode(
        self, videos: Sequence[Video], questions: Questions, errors: Mapping[str, str]
    ) -> Iterator[tuple[tuple[Video, list[int]], FrameRequest]]:
        """Frames with open requests, some of a video at a time."""
        for video in videos:
            frames = self.frames(video)
            with closing(self.cache_of(video)) as cache:
                for start in range(0, len(frames), TOGETHER):
                    if video.video_id in errors:
                        break
                    some = frames[start : start + TOGETHER]
                    unfinished = [frame for frame in some if self._is_open(cache, frame, questions[video.video_id])]
                    if unfinished:
                        yield (video, unfinished), _frame_request(video, unfinished)

    def _is_open(self, cache: ReplyCache, frame: int, questions: Sequence[Question]) -> bool:
        if self.settings.captions and cache.get(self.caption(frame)) is None:
            return True
        verdicts = (self.verdict(cache, question, frame) for question in questions if self.settings.spatial)
        return any(request is None or cache.get(request) is None for request in verdicts)


def scaled_down(picture: np.ndarray, max_side: int | None) -> np.ndarray:
    """A picture whose longest side has at most `max_side` pixels; uint8, shape (height, width, 3).

    Examples
    --------
    >>> scaled_down(np.zeros((480, 640, 3), np.uint8), max_side=320).shape
    (240, 320, 3)
    """
    from PIL import Image

    height, width = picture.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _frame_request(video: Video, frames: Sequence[int]) -> FrameRequest:
    seconds = dict(zip(video.frames, video.times, strict=True))
    return FrameRequest(
        path=video.path,
        digest=video.digest,
        fps=video.fps,
        n_frames=video.n_frames,
        frames=list(frames),
        times=[seconds[frame] for frame in frames],
        stamps=video.stamps_of(frames),
        keyframes=video.keyframes,
    )
