"""Small pictures of chosen frames: made once a video, kept by the video's content, each video in its own process."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from framesift.core.errors import VideoError
from framesift.storage.files import atomic_write
from framesift.video.table import Video
from framesift.video.workers import map_isolated

#: Pixels across, and JPEG quality: some 2 kB a picture.
WIDTH, QUALITY = 128, 55
#: Seconds that one video may take.
TIMEOUT = 1800.0


@dataclass(frozen=True)
class ThumbnailRequest:
    """Frames to show of one file.

    Attributes
    ----------
    path, digest : str
        The video, and the SHA-256 of its content.
    stamps : tuple of int
        Time stamps of the frames, ascending.
    keyframes : tuple of int
    kept : Path
        Zip file of what was made before; pictures are added to it.
    """

    path: str
    digest: str
    stamps: tuple[int, ...]
    keyframes: tuple[int, ...]
    kept: Path


def make_all(videos: Iterable[Video], chosen: Mapping[str, Iterable[int]], cache: Path, workers: int) -> dict[str, str]:
    """Make the pictures of chosen frames that are not kept yet.

    Parameters
    ----------
    videos : iterable of Video
    chosen : mapping
        Frames by video id; those that are no candidates of the video have no known time stamp, and no picture.
    cache : Path
        Folder of pictures made before.
    workers : int
        Processes.

    Returns
    -------
    dict
        Video id -> why pictures of it are missing. It costs nothing else.
    """
    needed: dict[str, set[int]] = {}
    by_digest: dict[str, list[Video]] = {}
    for video in videos:  # one file may stand in the table under several ids
        if stamps := _stamps(video, chosen.get(video.video_id, ())):
            needed.setdefault(video.digest, set()).update(stamps.values())
            by_digest.setdefault(video.digest, []).append(video)
    jobs = []
    for digest, wanted in needed.items():
        kept = _kept(cache, digest)
        if missing := wanted - names_in(kept):
            video = by_digest[digest][0]
            jobs.append(ThumbnailRequest(video.path, digest, tuple(sorted(missing)), tuple(video.keyframes), kept))
    faults: dict[str, str] = {}
    if jobs:
        for job, result in zip(jobs, map_isolated(make, jobs, workers, TIMEOUT), strict=True):
            if result is not None:
                faults |= {video.video_id: str(result) for video in by_digest[job.digest]}
    return faults


def pictures(video: Video, frames: Iterable[int], cache: Path) -> dict[int, bytes]:
    """The pictures of a video that are kept: frame -> JPEG file."""
    stamps = _stamps(video, frames)
    kept = _read(_kept(cache, video.digest), set(stamps.values()))
    return {frame: kept[stamp] for frame, stamp in stamps.items() if stamp in kept}


def _stamps(video: Video, frames: Iterable[int]) -> dict[int, int]:
    """Time stamps of those frames that have one, ascending."""
    if not video.digest or video.error:
        return {}
    known = dict(zip(video.frames, video.stamps, strict=True))
    return {frame: known[frame] for frame in sorted(set(frames)) if frame in known}


def make(wanted: ThumbnailRequest) -> str | None:
    """Decode and shrink what is missing, and add it to what is kept; the error that stopped it, if one did.

    Pictures made before the error are kept.
    """
    import io

    from PIL import Image

    from framesift.video.reader import read_frames

    made: dict[int, bytes] = {}
    error = None
    try:
        for stamp, image in read_frames(wanted.path, wanted.stamps, wanted.keyframes):
            height = max(1, round(WIDTH * image.shape[0] / image.shape[1]))
            small = Image.fromarray(image).resize((WIDTH, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
            file = io.BytesIO()
            small.save(file, "JPEG", quality=QUALITY, optimize=True)
            made[stamp] = file.getvalue()
    except (VideoError, OSError) as found:
        error = str(found)
    if made:
        made |= _read(wanted.kept, names_in(wanted.kept) - set(made))
        with atomic_write(wanted.kept) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as kept:
            for stamp in sorted(made):
                kept.writestr(zipfile.ZipInfo(f"{stamp}.jpg"), made[stamp])  # dated 1980: same pictures, same bytes
    return error


def _kept(cache: Path, digest: str) -> Path:
    return cache / f"{WIDTH}-{QUALITY}" / digest[:2] / f"{digest}.zip"


def names_in(kept: Path) -> set[int]:
    """Time stamps of the pictures that are kept; none of a file that is missing or damaged."""
    try:
        with zipfile.ZipFile(kept) as file:
            return {int(Path(name).stem) for name in file.namelist()}
    except (OSError, zipfile.BadZipFile, ValueError):
        return set()


def _read(kept: Path, stamps: set[int]) -> dict[int, bytes]:
    if not stamps or not kept.is_file():
        return {}
    try:
        with zipfile.ZipFile(kept) as file:
            names = set(file.namelist())
            return {stamp: file.read(f"{stamp}.jpg") for stamp in sorted(stamps) if f"{stamp}.jpg" in names}
    except (OSError, zipfile.BadZipFile):
        return {}
