"""The configuration in a selector's checkpoint, and whether it matches what is expected.

This module imports nothing heavy: a job finds its cache without loading a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from framesift.checkpoints.component import is_folder, model_digest
from framesift.core.errors import InputError, first_problem, validated
from framesift.core.spec import Frozen
from framesift.scoring.mllm_selector.settings import SelectorSettings, TrainLlm
from framesift.storage.files import read_json

CONFIG = "config.json"


class SelectorConfig(Frozen):
    """The content of `config.json`.

    Attributes
    ----------
    n, pool : int
        Frames, and rows of the grid of a frame; copied from `settings` for human readers.
    settings : dict
        `SelectorSettings`.
    template_hash : str
    encoder_weights, llm_weights : str
        Identify the weights used in training: repository and commit, or a digest of a folder.
    vision_width, blocks : int
        Dimensions of a patch, and blocks of the language model that run.
    trained : str
        The part of the language model that is saved here: ``none``, its adapters (``lora``), or ``all`` of it.
    llm_config : dict or None
        The configuration of the language model, if it is saved here.
    """

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


def read_config(folder: str | Path) -> SelectorConfig:
    """The configuration of the selector in a folder.

    Raises
    ------
    InputError
        If the folder is not a selector.
    """
    file = Path(folder) / CONFIG
    try:
        return SelectorConfig.model_validate(read_json(file))
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
) -> tuple[SelectorConfig, SelectorSettings]:
    """Configuration and settings of the selector in a folder, checked against what is expected.

    Parameters
    ----------
    folder : path
    n : int, optional
        Frames.
    encoder, llm : str, optional
        Checkpoint of the vision encoder and of the language model: a repository, or a local folder.
    template : str, optional
        Text around a question.
    text : str, optional
        Whether the prompt has the question alone or its options too.

    Raises
    ------
    InputError
        If one of them does not match, or the weights in a folder are not those used in training.
    """
    config = read_config(folder)
    file = Path(folder) / CONFIG
    given = {key: dict(part) if isinstance(part, dict) else part for key, part in config.settings.items()}
    for field_, name, expected in (("vision", "encoder", encoder), ("llm", "llm", llm)):
        if expected is None:
            continue
        if is_folder(expected):
            given[field_] |= {"model": expected, "revision": None}
        elif given[field_]["model"] != expected:
            raise _mismatch(file, name, given[field_]["model"], expected)
    settings = validated(SelectorSettings, given, file, "settings")
    if n is not None and n != settings.n:
        raise _mismatch(file, "n", settings.n, n)
    for name, expected_value in (("template", template), ("text", text)):
        if expected_value is not None and expected_value != getattr(settings, name):
            raise _mismatch(file, name, getattr(settings, name), expected_value)
    if settings.template_hash != config.template_hash:
        raise _mismatch(file, "template_hash", config.template_hash, settings.template_hash)
    _check_weights(file, "encoder", settings.vision, config.encoder_weights)
    if config.trained != "all":
        _check_weights(file, "llm", settings.llm, config.llm_weights)
    return config, settings


def _mismatch(file: Path, field_: str, found: object, expected: object) -> InputError:
    return InputError(
        "does not match", file=file, field=field_, value=found, expected=repr(expected),
        hint="a selector works only with what it was trained with; train another one for anything else",
    )  # fmt: skip


def _check_weights(file: Path, name: str, part: Any, trained_with: str) -> None:
    if is_folder(part.model) and not Path(part.model).is_dir():
        raise InputError(
            "does not exist here",
            file=file,
            field=name,
            value=part.model,
            expected="a folder",
            hint=f"name the folder: {name}: FOLDER",
        )
    if (found := model_digest(part.model, part.revision)) != trained_with:
        raise _mismatch(file, f"{name} (weights of {part.model})", trained_with, found)
