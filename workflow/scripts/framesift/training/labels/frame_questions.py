"""A VLM looks at single frames: what it says of each, and whether the frame helps to answer a question."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np

from framesift.core.errors import VideoError
from framesift.data.questions import Question
from framesift.scoring.mllm_selector import label_prompts as prompts
from framesift.scoring.mllm_selector.label_prompts import Ask
from framesift.scoring.mllm_selector.label_settings import LabelSettings
from framesift.training.labels.combine import labelled_positions
from framesift.training.labels.labeller import Labeller, ModelReply
from framesift.training.labels.records import Records
from framesift.training.labels.verdicts import before_verdict, truth
from framesift.video.prefetch import FrameRequest, decoded_ahead
from framesift.video.table import Video

#: By video id.
Questions = Mapping[str, Sequence[Question]]

log = logging.getLogger("framesift")

#: Frames of a video that are decoded and looked at together.
TOGETHER = 16


class FrameQuestions:
    """The asks about frames, and what is known of them.

    Parameters
    ----------
    settings : LabelSettings
    records_of : callable
        Opens the records of a video.
    """

    def __init__(self, settings: LabelSettings, records_of: Callable[[Video], Records]) -> None:
        self.settings, self.records_of = settings, records_of

    def frames(self, video: Video) -> list[int]:
        """Indices of the frames that are labelled."""
        settings = self.settings
        return [video.frames[i] for i in labelled_positions(len(video.frames), settings.n, settings.n_label)]

    def caption(self, frame: int) -> Ask:
        return prompts.caption(self.settings.prompts, frame, self.settings.caption_tokens)

    def explanation(self, question: Question, frame: int) -> Ask:
        text = prompts.asked_question(question, self.settings.text)
        return prompts.explanation(self.settings.prompts, text, frame, self.settings.explanation_tokens)

    def verdict(self, records: Records, question: Question, frame: int) -> Ask | None:
        """What asks for the verdict; None before there is an explanation."""
        ask = self.explanation(question, frame)
        said = records.get(ask)
        return prompts.verdict(ask, before_verdict(said.text)) if said else None

    def captions(self, records: Records, video: Video) -> list[str]:
        """Captions of the labelled frames."""
        return [records[self.caption(frame)].text for frame in self.frames(video)]

    def spatial(self, records: Records, video: Video, question: Question) -> np.ndarray:
        """Probability that each labelled frame helps to answer a question; NaN where there is no verdict."""

        def value(said: ModelReply) -> float:
            found = truth(said.log_true, said.log_false)
            return math.nan if found is None else found

        asks = [self.verdict(records, question, frame) for frame in self.frames(video)]
        return np.array([value(records[ask]) for ask in asks if ask])

    def look(
        self, labeller: Labeller, videos: Sequence[Video], questions: Questions, workers: int, timeout: float
    ) -> dict[str, str]:
        """Ask whatever is not known yet of the frames of videos.

        Returns
        -------
        dict
            Why a video cannot be labelled, by video id.
        """
        errors: dict[str, str] = {}
        took = Counter[str]()
        items = self._wanted(videos, questions, errors)
        with closing(decoded_ahead(items, workers, timeout)) as decoded:
            for (video, frames), pictures, _ in decoded:
                if isinstance(pictures, VideoError):
                    if errors.setdefault(video.video_id, str(pictures)) == str(pictures):
                        log.warning("video %s is left out: %s", video.video_id, pictures)
                elif video.video_id not in errors:
                    shown = {
                        frame: scaled_down(picture, self.settings.max_side)
                        for frame, picture in zip(frames, pictures, strict=True)
                    }
                    with closing(self.records_of(video)) as records:
                        took += self._ask(labeller, records, shown, questions[video.video_id])
                    log.info("video %s: frames %d to %d are looked at", video.video_id, frames[0], frames[-1])
        if took:
            log.info("frames were looked at: %s", ", ".join(f"{name} {n}" for name, n in sorted(took.items())))
        return errors

    def _ask(
        self, labeller: Labeller, records: Records, shown: Mapping[int, np.ndarray], questions: Sequence[Question]
    ) -> Counter[str]:
        asks = [self.caption(frame) for frame in shown] if self.settings.captions else []
        pairs = [(question, frame) for question in questions for frame in shown] if self.settings.spatial else []
        took = records.ask(labeller, [*asks, *(self.explanation(*pair) for pair in pairs)], shown)
        verdicts = [ask for pair in pairs if (ask := self.verdict(records, *pair))]
        return took + records.ask(labeller, verdicts, shown)

    def _wanted(
        self, videos: Sequence[Video], questions: Questions, errors: Mapping[str, str]
    ) -> Iterator[tuple[tuple[Video, list[int]], FrameRequest]]:
        """Frames of which something is not known, some of a video at a time."""
        for video in videos:
            frames = self.frames(video)
            with closing(self.records_of(video)) as records:
                for start in range(0, len(frames), TOGETHER):
                    if video.video_id in errors:
                        break
                    some = frames[start : start + TOGETHER]
                    lacking = [frame for frame in some if self._lacks(records, frame, questions[video.video_id])]
                    if lacking:
                        yield (video, lacking), _to_decode(video, lacking)

    def _lacks(self, records: Records, frame: int, questions: Sequence[Question]) -> bool:
        if self.settings.captions and records.get(self.caption(frame)) is None:
            return True
        verdicts = (self.verdict(records, question, frame) for question in questions if self.settings.spatial)
        return any(ask is None or records.get(ask) is None for ask in verdicts)


def scaled_down(picture: np.ndarray, max_side: int | None) -> np.ndarray:
    """A picture whose longest side has at most so many pixels; uint8, shape (height, width, 3)."""
    from PIL import Image

    height, width = picture.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _to_decode(video: Video, frames: Sequence[int]) -> FrameRequest:
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
