"""What a released selector is: its configuration, and whether it matches what is expected of it.

Nothing heavy is imported here, so that what is to be cached where can be told without loading a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from framesift.checkpoints.component import is_folder, model_digest
from framesift.core.errors import InputError, first_problem, invalid
from framesift.scoring.mllm_selector.settings import SelectorSettings, TrainLlm
from framesift.storage.files import read_json

CONFIG = "config.json"


class Release(BaseModel):
    """The content of `config.json`.

    Attributes
    ----------
    n, pool : int
        Frames, and rows of the grid of a frame; as in `settings`, for readers.
    settings : dict
        `SelectorSettings`.
    template_hash : str
    encoder_weights, llm_weights : str
        What identifies the weights that it was trained with: repository and commit, or a digest of a folder.
    vision_width, blocks : int
        Dimensions of a patch, and blocks of the language model that are run.
    trained : str
        What of the language model is saved here: ``none``, its adapters (``lora``), or ``all`` of it.
    llm_config : dict or None
        Its configuration, where it is saved here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["framesift mllm_selector 1"] = "framesift mllm_selector 1"
    n: int
    pool: int
    settings: dict[str, Any]
    template_hash: str
    encoder_weights: str
    llm_weights: str
    vision_width: int
    blocks: int
    trained: TrainLlm
    llm_config: dict[str, Any] | None = None


def read_release(folder: str | Path) -> Release:
    """What the selector in a folder is.

    Raises
    ------
    InputError
        For a folder with something else.
    """
    file = Path(folder) / CONFIG
    try:
        return Release.model_validate(read_json(file))
    except ValidationError as error:
        problem = first_problem(error)
        raise InputError(
            f"is not the configuration of an M-LLM selector ({problem.place}: {problem.message})",
            file=file,
            expected="a folder that train_selector.py made",
        ) from None


def settings_of(
    folder: str | Path,
    *,
    n: int | None = None,
    encoder: str | None = None,
    llm: str | None = None,
    template: str | None = None,
    text: str | None = None,
) -> tuple[Release, SelectorSettings]:
    """What the selector in a folder is, checked against what is expected of it.

    Parameters
    ----------
    folder : path
    n : int, optional
        Frames.
    encoder, llm : str, optional
        Checkpoint of the vision encoder and of the language model: a repository, or the folder in which it lies here.
    template : str, optional
        Text around a question.
    text : str, optional
        What of a question is shown.

    Raises
    ------
    InputError
        Where one of them does not match, or the weights in a folder are not those that it was trained with.
    """
    release = read_release(folder)
    file = Path(folder) / CONFIG
    given = {key: dict(part) if isinstance(part, dict) else part for key, part in release.settings.items()}
    for field_, name, expected in (("vision", "encoder", encoder), ("llm", "llm", llm)):
        if expected is None:
            continue
        if is_folder(expected):
            given[field_] |= {"model": expected, "revision": None}
        elif given[field_]["model"] != expected:
            raise _mismatch(file, name, given[field_]["model"], expected)
    try:
        settings = SelectorSettings.model_validate(given)
    except ValidationError as error:
        raise invalid(error, file, "settings") from None
    if n is not None and n != settings.n:
        raise _mismatch(file, "n", settings.n, n)
    for name, wanted in (("template", template), ("text", text)):
        if wanted is not None and wanted != getattr(settings, name):
            raise _mismatch(file, name, getattr(settings, name), wanted)
    if settings.template_hash != release.template_hash:
        raise _mismatch(file, "template_hash", release.template_hash, settings.template_hash)
    _check_weights(file, "encoder", settings.vision, release.encoder_weights)
    if release.trained != "all":
        _check_weights(file, "llm", settings.llm, release.llm_weights)
    return release, settings


def _mismatch(file: Path, field_: str, found: object, expected: object) -> InputError:
    return InputError(
        "does not match", file=file, field=field_, value=found, expected=repr(expected),
        hint="a selector works with what it was trained with; train it anew for anything else",
    )  # fmt: skip


def _check_weights(file: Path, name: str, part: Any, trained_with: str) -> None:
    if is_folder(part.model) and not Path(part.model).is_dir():
        raise InputError(
            "is not here",
            file=file,
            field=name,
            value=part.model,
            expected="a folder",
            hint=f"say where it lies: {name}: FOLDER",
        )
    if (found := model_digest(part.model, part.revision)) != trained_with:
        raise _mismatch(file, f"{name} (weights of {part.model})", trained_with, found)
