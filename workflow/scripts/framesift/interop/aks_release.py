"""The score files that the authors of AKS released, at a pinned commit; each is verified by its git blob id."""

from __future__ import annotations

import os
import shutil
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from framesift.core.errors import InputError
from framesift.data.benchmarks import reader_of
from framesift.data.labels import convert
from framesift.data.questions import NORMALISED, Question
from framesift.interop.aks_scores import from_lists
from framesift.program.cli import log
from framesift.remote.hub import content_digest
from framesift.scoring.score_table import QuestionScores
from framesift.scoring.scorers.aks_outscores import LABELS
from framesift.video.table import Video

COMMIT = "46675011a0ad67ad65559ac98235f2ce82102a2e"
SOURCE = f"https://raw.githubusercontent.com/ncTimTang/AKS/{COMMIT}"
#: Files of the commit and their git blob ids.
BLOBS = {
    "datasets/longvideobench/include_frame_idx.json": "47394b850676ce71ef26873d48c31482e22aec5e",
    "datasets/videomme/videomme.json": "f92cdb1f20d8fb0e728b15229c6f7532d0b578e5",
    "outscores/longvideobench/blip/frames.json": "cbee1eaca340703a6dfbb7ffa1bbcbb38a7d23ce",
    "outscores/longvideobench/blip/scores.json": "70fc36242f0c3f588667763320be4a17cc1a2594",
    "outscores/longvideobench/clip/frames.json": "d2b6e5caeff9709f39e4f7a3fa01cca0eac9447b",
    "outscores/longvideobench/clip/scores.json": "06392dd9ced6670b44c48730c772c2d5b61fb6a7",
    "outscores/longvideobench/sevila/frames.json": "d2b6e5caeff9709f39e4f7a3fa01cca0eac9447b",
    "outscores/longvideobench/sevila/scores.json": "8b0f2b3617701eb9863cd92f5970ad298729f939",
    "outscores/videomme/blip/frames.json": "2f49e7f2320500a9b8a8abdf4cfffb39585cca09",
    "outscores/videomme/blip/scores.json": "5621488af36d14e955fdf5b3e06d1f85be246688",
    "outscores/videomme/clip/frames.json": "2f49e7f2320500a9b8a8abdf4cfffb39585cca09",
    "outscores/videomme/clip/scores.json": "47a70c04c079e4f24c5ad2ecbc935acbd02263f1",
    "outscores/videomme/sevila/frames.json": "2f49e7f2320500a9b8a8abdf4cfffb39585cca09",
    "outscores/videomme/sevila/scores.json": "f79760355a4655cca48214897b1a7506582c06d1",
}


def released_file(name: str, folder: Path, source: str = SOURCE, blobs: Mapping[str, str] = BLOBS) -> Path:
    """One file of the release, downloaded if it is not in `folder`, and verified.

    Raises
    ------
    InputError
        If it cannot be downloaded, or is not the file of the commit.
    """
    path = folder / name
    if not path.is_file():
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise InputError("is missing and cannot be downloaded, since HF_HUB_OFFLINE is set", file=path)
        _fetch(f"{source}/{name}", path)
    found = content_digest(path, "git:")
    if found != f"git:{blobs[name]}":
        raise InputError(
            "is not the released file",
            file=path,
            value=found,
            expected=f"git:{blobs[name]}",
            hint=f"remove it to download it again from {source}/{name}",
        )
    return path


def _fetch(address: str, path: Path) -> None:
    log.info("fetching %s", address)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except OSError as error:
        raise InputError(
            f"cannot be fetched ({error})", file=address, hint=f"put the file at {path}, or try again later"
        ) from None
    part.rename(path)


def released_scores(
    dataset: str, scores: str, folder: Path, source: str = SOURCE, blobs: Mapping[str, str] = BLOBS
) -> dict[str, QuestionScores]:
    """Scores by question id.

    Parameters
    ----------
    dataset : str
        Kind of dataset: ``longvideobench`` or ``videomme``.
    scores : str
        Which: ``blip``, ``clip`` or ``sevila``.
    folder : path
        Folder of the files, with the layout of the release.
    """
    if dataset not in LABELS:
        raise InputError(
            "AKS released no scores for this dataset", value=dataset, expected=f"one of {', '.join(LABELS)}"
        )
    labels = released_file(LABELS[dataset], folder, source, blobs)
    values, frames = (
        released_file(f"outscores/{dataset}/{scores}/{name}.json", folder, source, blobs)
        for name in ("scores", "frames")
    )
    records = convert(reader_of({"kind": dataset}), str(labels))
    return from_lists(values, frames, [Question(**record[NORMALISED]) for record in records])


def fitting(row: QuestionScores, video: Video) -> QuestionScores:
    """The row if it scores the candidates of this video file; otherwise an excluded row that says what differs."""
    error = row.error or video.error
    if error is None and row.frames != video.frames:
        error = (
            f"the released scores are of {_described(row.frames)}; this video file has {_described(video.frames)}:"
            " it is another file than the authors had"
        )
    return row if error is None else QuestionScores(row.question_id, row.video_id, error, [], [])


def _described(frames: list[int]) -> str:
    stride = frames[1] - frames[0] if len(frames) > 1 else 0
    return f"{len(frames)} candidate frames, {stride} apart"
