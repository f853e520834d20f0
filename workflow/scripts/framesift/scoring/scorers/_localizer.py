"""The weights of SeViLA's localizer, from LAVIS's names to those of transformers."""

from __future__ import annotations

import pickle
from typing import Any

import torch

from framesift.core.errors import InputError

#: Beginnings of the names of the localizer's weights: in SeViLA's checkpoint, and in transformers' BLIP-2.
NAMES = {
    "ln_vision_loc.": "vision_model.post_layernorm.",
    "query_tokens_loc": "query_tokens",
    "Qformer_loc.bert.embeddings.LayerNorm.": "qformer.layernorm.",
    "Qformer_loc.bert.encoder.": "qformer.encoder.",
    "t5_proj_loc.": "language_projection.",
}
LOCALIZER = ("ln_vision_loc.", "query_tokens_loc", "Qformer_loc.", "t5_proj_loc.")
#: Numbers 0, 1, 2 ... that LAVIS saves beside the weights.
POSITIONS = "Qformer_loc.bert.embeddings.position_ids"


def load_localizer(model: Any, path: str) -> None:
    """Put the localizer of a checkpoint of SeViLA in the place of the model's own Q-Former.

    The rest of that checkpoint (vision model, language model, SeViLA's answerer) is left alone.

    Parameters
    ----------
    model : Blip2ForConditionalGeneration
    path : str
        A file of torch.save with the weights under the key ``model``.

    Raises
    ------
    InputError
        For a file that is no such checkpoint, or one whose localizer does not fit the model.
    """
    given = {name: tensor for name, tensor in _read(path).items() if name.startswith(LOCALIZER) and name != POSITIONS}
    own = model.state_dict()
    expected = {theirs: name for name in own if (theirs := _of_lavis(name))}
    if missing := sorted(expected.keys() - given.keys()):
        raise _unfit(f"lacks {len(missing)} weights of the localizer", path, missing, "SeViLA's sevila_pretrained.pth")
    if unknown := sorted(given.keys() - expected.keys()):
        raise _unfit(f"has {len(unknown)} weights of a localizer that the model has no place for", path, unknown)
    wrong = [
        f"{name}: {tuple(given[name].shape)}, not {tuple(own[expected[name]].shape)}"
        for name in sorted(expected)
        if given[name].shape != own[expected[name]].shape
    ]
    if wrong:
        raise _unfit(f"has {len(wrong)} weights of another shape than the model", path, wrong)
    model.load_state_dict({expected[name]: tensor for name, tensor in given.items()}, strict=False)


def _read(path: str) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", field="scorers: localizer", value=path) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise InputError(
            f"is no checkpoint of torch ({(str(error) or repr(error)).splitlines()[0]})",
            field="scorers: localizer",
            value=path,
            expected="SeViLA's sevila_pretrained.pth",
        ) from None
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise InputError(
            "has no weights under the key 'model'",
            field="scorers: localizer",
            value=path,
            expected="SeViLA's sevila_pretrained.pth",
        )
    return weights


def _of_lavis(name: str) -> str | None:
    """LAVIS's name of a weight of the localizer; None for one of another part of the model."""
    for theirs, ours in NAMES.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours).replace("attention.attention.", "attention.self.")
    return None


def _unfit(problem: str, path: str, names: list[str], expected: str | None = None) -> InputError:
    shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return InputError(f"{problem}: {shown}", field="scorers: localizer", value=path, expected=expected)
