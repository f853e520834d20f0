"""Checkpoints: where they come from, what identifies them, and where they run."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar

from pydantic import Field, field_validator

from framesift.core.components import CheckpointForm, Component
from framesift.core.errors import InputError
from framesift.core.spec import Frozen
from framesift.program.cli import log
from framesift.storage.cached_values import cached_digest
from framesift.storage.checksums import file_digest
from framesift.storage.resources import find

#: Digests of files of so many bytes are remembered; those of smaller ones are made as fast as looked up.
LARGE = 64 << 20
#: Seconds for which a file must have been left alone: one that is being written may change within its date.
SETTLED = 10.0


class Pretrained(Frozen):
    """Where a checkpoint is: a folder, or a pinned commit of the hub."""

    model: str = Field(description="Checkpoint: a folder, or a repository on the Hugging Face hub.")
    revision: str | None = Field(
        default=None,
        validate_default=True,
        description="Commit of the hub repository (40 hexadecimal digits); none for a folder.",
    )

    @field_validator("revision")
    @classmethod
    def _pinned(cls, revision: str | None, info: Any) -> str | None:
        return check_source(info.data.get("model"), revision)


class Checkpoint(Pretrained, Component):
    """A component that runs a pretrained model."""

    checkpoint: ClassVar[CheckpointForm] = "transformers"

    def files(self) -> list[str]:
        """Files of weights besides the checkpoint's own."""
        return []


def check_source(model: str | None, revision: str | None) -> str | None:
    """Refuse a hub checkpoint without a pinned commit, and a folder with one."""
    if model is None:  # the model field is wrong itself and reported first
        return revision
    if is_folder(model):
        if revision is not None:
            raise ValueError("a folder has no revision: leave it out")
    elif revision is None or not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError(
            f"checkpoint {model!r} is no folder here, so it is taken from the hub, and needs the full commit it is"
            " pinned to (40 hexadecimal digits)"
        )
    return revision


def is_folder(model: str) -> bool:
    """Whether a checkpoint is a folder on this machine (decided by its form where the folder is missing)."""
    return os.path.isdir(model) or model.startswith((".", "/", "~")) or model.count("/") > 1


def model_digest(model: str, revision: str | None) -> str:
    """What identifies the weights: the hub commit, or a digest of the names and contents of the folder's files."""
    if revision:
        return f"{model}@{revision}"
    folder = local_folder(model)
    digest = hashlib.sha256()
    for file in sorted(item for item in folder.rglob("*") if item.is_file() and not item.name.startswith(".")):
        digest.update(f"{file.relative_to(folder).as_posix()} {weight_digest(file)}\n".encode())
    return digest.hexdigest()


def weight_digest(file: Path) -> str:
    """SHA-256 of a file of weights. That of a large one is remembered between jobs, by path, size and date."""
    stat = file.stat()
    if stat.st_size >= LARGE and time.time() - stat.st_mtime > SETTLED:
        try:
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            return cached_digest(file, cache / "framesift" / "digests")
        except (OSError, RuntimeError):  # nowhere to write to
            pass
    return file_digest(file)


def local_checkpoint(component: Checkpoint) -> str:
    """The folder of a component's checkpoint; see `checkpoint_folder`."""
    return checkpoint_folder(component.model, component.revision)


def checkpoint_folder(model: str, revision: str | None) -> str:
    """The folder with a checkpoint: the one given, or one with the files of a commit of the hub.

    Those are fetched where they are nowhere on this machine. Libraries are given this folder, never a repository and
    a revision: some look at its newest commit all the same, and most ask the hub something even for files they have.

    Raises
    ------
    InputError
        Where there is no such folder, or the files cannot be fetched.
    """
    if is_folder(model):
        return str(local_folder(model))
    from framesift.checkpoints.fetch import find_or_fetch

    assert revision is not None  # `check_source` pins what is not a folder
    return str(find_or_fetch(model, revision))


def local_folder(model: str) -> Path:
    """The folder of a checkpoint that is given by its path: the user's, or one that comes with Framesift.

    Parameters
    ----------
    model : str
        A path; a relative one is looked up in the working folder, then among the files of Framesift.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if Path(model).is_dir():
        return Path(model)
    try:
        folder = find(model)
    except InputError:
        folder = Path(model)
    if not folder.is_dir():
        raise InputError("there is no such folder", field="model", value=model, expected="a folder with a checkpoint")
    return folder


@contextmanager
def loading(component: Checkpoint, expected: str) -> Iterator[None]:
    """Turn what libraries raise for an unsuitable checkpoint into one clear error; none of its code runs."""
    from safetensors import SafetensorError

    from framesift.checkpoints.no_remote_code import no_code

    try:
        with no_code():
            yield
    # KeyError: a type of model that is not known
    except (OSError, ValueError, KeyError, SafetensorError, UnpicklingError) as error:
        if isinstance(error, InputError):
            raise
        text = str(error).strip() or repr(error)
        raise InputError(
            f"cannot be loaded: {type(error).__name__}: {text.splitlines()[0]}",
            field="model",
            value=component.model,
            expected=expected,
        ) from error


def device_name(device: str) -> str:
    """What a result says it was computed on: ``cpu``, or the name of the GPU."""
    if device == "cpu":
        return device
    import torch

    return str(torch.cuda.get_device_name())


def pick_device(device: str) -> str:
    """``auto`` becomes ``cuda`` where there is a GPU, else ``cpu``; one GPU of several is taken for this process.

    Raises
    ------
    InputError
        For ``cuda`` where torch cannot use it.
    """
    if device not in ("auto", "cuda"):
        return device
    import torch

    from framesift.checkpoints import gpu_lease

    leased = gpu_lease.lease() if torch.version.cuda else None  # before torch looks for GPUs
    if torch.cuda.is_available():
        if leased is None and torch.cuda.device_count() > 1:
            log.warning("nvidia-smi lists no GPUs to choose from; this process takes the first, as others will")
        return "cuda"
    gpu_lease.give_back()
    if device == "cuda":
        raise InputError(
            "torch finds no GPU that it can use", field="--device", value=device, hint="nvidia-smi tells what is there"
        )
    if leased:
        log.warning("nvidia-smi lists GPU %s, but torch cannot use it; working on the CPU", leased)
    return "cpu"


def decoders_beside(device: str, threads: int) -> int:
    """How many of the threads decode frames: on a GPU all, else half of them. torch gets the others."""
    import torch

    decoders = threads if device == "cuda" else max(1, threads // 2)
    torch.set_num_threads(max(1, threads - decoders))
    return decoders


def pretrained(cls: Any, model: str, revision: str | None, **options: Any) -> Any:
    """``cls.from_pretrained`` for a folder or a pinned hub checkpoint, with an error that says what to do.

    None of the checkpoint's code runs.
    """
    from safetensors import SafetensorError

    from framesift.checkpoints.no_remote_code import no_code

    folder = checkpoint_folder(model, revision)
    try:
        with no_code():
            return cls.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, SafetensorError, UnpicklingError) as error:
        raise InputError(
            f"cannot be loaded: {(str(error) or repr(error)).splitlines()[0]}",
            field="model",
            value=model,
            expected=f"the files of a {cls.__name__} in {folder}",
        ) from error
