"""Thumbnails of chosen frames: made once per video in a process of its own, and cached by the content of the video."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from framesift.core.errors import MachineError, VideoError
from framesift.storage.files import atomic_write
from framesift.video.table import Video
from framesift.video.workers import map_isolated

#: Width in pixels and JPEG quality: about 2 kB per thumbnail.
WIDTH, QUALITY = 128, 55
#: Most seconds per video.
TIMEOUT = 1800.0


@dataclass(frozen=True)
class ThumbnailRequest:
    """Frames of one file that need thumbnails.

    Attributes
    ----------
    path, digest : str
        The video, and the SHA-256 of its content.
    stamps : tuple of int
        Time stamps of the frames, ascending.
    keyframes : tuple of int
    archive : Path
        Zip file of the thumbnails of this video; new ones are added to it.
    """

    path: str
    digest: str
    stamps: tuple[int, ...]
    keyframes: tuple[int, ...]
    archive: Path


def make_all(videos: Iterable[Video], chosen: Mapping[str, Iterable[int]], cache: Path, workers: int) -> dict[str, str]:
    """Make the thumbnails of chosen frames that are not in the cache.

    Parameters
    ----------
    videos : iterable of Video
    chosen : mapping
        Frames by video id. Frames outside of the candidates have no known time stamp, and get no thumbnail.
    cache : Path
        Folder of the archives.
    workers : int
        Processes.

    Returns
    -------
    dict
        Why thumbnails are missing, by video id.
    """
    needed: dict[str, set[int]] = {}
    by_digest: dict[str, list[Video]] = {}
    for video in videos:  # several ids may share one file
        if stamps := _stamps(video, chosen.get(video.video_id, ())):
            needed.setdefault(video.digest, set()).update(stamps.values())
            by_digest.setdefault(video.digest, []).append(video)
    jobs = []
    for digest, wanted in needed.items():
        archive = _archive(cache, digest)
        if missing := wanted - names_in(archive):
            video = by_digest[digest][0]
            jobs.append(ThumbnailRequest(video.path, digest, tuple(sorted(missing)), tuple(video.keyframes), archive))
    faults: dict[str, str] = {}
    if jobs:
        for job, result in zip(jobs, map_isolated(make, jobs, workers, TIMEOUT), strict=True):
            if result is not None:
                faults |= {video.video_id: str(result) for video in by_digest[job.digest]}
    return faults


def pictures(video: Video, frames: Iterable[int], cache: Path) -> dict[int, bytes]:
    """The thumbnails of a video that are in the cache, as JPEG files by frame."""
    stamps = _stamps(video, frames)
    cached = _read(_archive(cache, video.digest), set(stamps.values()))
    return {frame: cached[stamp] for frame, stamp in stamps.items() if stamp in cached}


def _stamps(video: Video, frames: Iterable[int]) -> dict[int, int]:
    """Time stamps of those frames that have one, ascending."""
    if not video.digest or video.error:
        return {}
    known = dict(zip(video.frames, video.stamps, strict=True))
    return {frame: known[frame] for frame in sorted(set(frames)) if frame in known}


def make(wanted: ThumbnailRequest) -> str | None:
    """Add the missing thumbnails to the archive of a video.

    Returns
    -------
    str or None
        The error that ended decoding, if any; thumbnails made before it are written.
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
    except (VideoError, MachineError, OSError) as found:  # the report says which pictures it lacks, and why
        error = str(found)
    if made:
        made |= _read(wanted.archive, names_in(wanted.archive) - set(made))
        with atomic_write(wanted.archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for stamp in sorted(made):
                archive.writestr(zipfile.ZipInfo(f"{stamp}.jpg"), made[stamp])  # dated 1980, so that bytes are equal
    return error


def _archive(cache: Path, digest: str) -> Path:
    return cache / f"{WIDTH}-{QUALITY}" / digest[:2] / f"{digest}.zip"


def names_in(archive: Path) -> set[int]:
    """Time stamps of the thumbnails in an archive; none if it is missing or damaged."""
    try:
        with zipfile.ZipFile(archive) as file:
            return {int(Path(name).stem) for name in file.namelist()}
    except (OSError, zipfile.BadZipFile, ValueError):
        return set()


def _read(archive: Path, stamps: set[int]) -> dict[int, bytes]:
    if not stamps or not archive.is_file():
        return {}
    try:
        with zipfile.ZipFile(archive) as file:
            names = set(file.namelist())
            return {stamp: file.read(f"{stamp}.jpg") for stamp in sorted(stamps) if f"{stamp}.jpg" in names}
    except (OSError, zipfile.BadZipFile):
        return {}
