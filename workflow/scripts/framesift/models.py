"""Checkpoints: where they come from, what identifies them, and where they run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from framesift.components import Component


class Checkpoint(Component):
    """A component that runs a pretrained model."""

    model: str = Field(description="Checkpoint: a folder, or a repository on the Hugging Face hub.")
    revision: str | None = Field(
        default=None,
        validate_default=True,
        description="Commit of the hub repository (40 hexadecimal digits); none for a folder.",
    )

    def files(self) -> list[str]:
        """Files of weights besides the checkpoint's own."""
        return []

    @field_validator("revision")
    @classmethod
    def _pinned(cls, revision: str | None, info: Any) -> str | None:
        return check_source(info.data.get("model"), revision)


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
    return Path(model).is_dir() or model.startswith((".", "/", "~")) or model.count("/") > 1


def model_digest(model: str, revision: str | None) -> str:
    """What identifies the weights: the hub commit, or a digest of the folder's files."""
    from framesift.errors import InputError
    from framesift.files import tree_digest

    if revision:
        return f"{model}@{revision}"
    if not Path(model).is_dir():
        raise InputError("there is no such folder", field="model", value=model, expected="a folder with a checkpoint")
    return tree_digest(model)


def local_checkpoint(component: Checkpoint) -> str:
    """The folder of a checkpoint, fetched first where it is one of the hub.

    For libraries that look at the newest commit of a repository whatever revision they are given.
    """
    from framesift.errors import InputError

    if is_folder(component.model):
        return component.model
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(
            component.model,
            revision=component.revision,
            allow_patterns=["*.json", "*.jinja", "*.model", "*.safetensors", "*.txt"],
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be fetched: {str(error).splitlines()[0]}",
            field="model",
            value=f"{component.model}@{component.revision}",
            hint="check the network, HF_HUB_OFFLINE and HF_TOKEN",
        ) from error


@contextmanager
def loading(component: Checkpoint, expected: str) -> Iterator[None]:
    """Turn what libraries raise for an unsuitable checkpoint into one clear error."""
    from framesift.errors import InputError

    try:
        yield
    except (OSError, ValueError, KeyError) as error:  # KeyError: a type of model that the library does not know
        if isinstance(error, InputError):
            raise
        text = str(error).strip() or repr(error)
        raise InputError(
            f"cannot be loaded: {type(error).__name__}: {text.splitlines()[0]}",
            field="model",
            value=component.model,
            expected=expected,
        ) from error


def pick_device(device: str) -> str:
    """``auto`` becomes ``cuda`` where there is a GPU, else ``cpu``."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def pretrained(cls: Any, model: str, revision: str | None, **options: Any) -> Any:
    """``cls.from_pretrained`` for a folder or a pinned hub checkpoint, with an error that says what to do."""
    from framesift.errors import InputError

    try:
        return cls.from_pretrained(model, revision=revision or "main", **options)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be loaded: {str(error).splitlines()[0]}",
            field="model",
            value=model,
            hint="for a hub checkpoint check the network, HF_HUB_OFFLINE and HF_TOKEN; for a folder, its files",
        ) from error
