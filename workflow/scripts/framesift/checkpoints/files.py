"""Which files of a checkpoint are needed: told from the names of those there are, in the hub or in a folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatch
from pathlib import Path

from framesift.core.errors import InputError
from framesift.storage.files import read_json

CONFIG = "config.json"
TEMPLATES = "additional_chat_templates"
#: Configuration and texts. All are small; code is not among them, since none is run.
SMALL = ("*.json", "*.jinja", "*.txt", "*.model")
#: Those that transformers reads where a repository has them: without one of these a model may answer otherwise.
READ = (
    *(CONFIG, "generation_config.json", "*processor_config.json", "*.jinja", "chat_template.json"),
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model"),
)
#: Names of weights, of the index of their shards and of these, in the order in which transformers looks for them.
STANDARD = (
    ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"),
)
INDEXES = tuple(index for _, index, _ in STANDARD)
#: What training leaves beside the weights, with the suffixes of weights.
LEFTOVERS = ("training_args.*", "optimizer*", "scheduler*", "rng_state*", "scaler*")


def small_files(names: Iterable[str], patterns: Collection[str] = SMALL) -> list[str]:
    """Configuration, tokenizer, processor and templates: files that are no weights."""
    return sorted(
        name
        for name in names
        if any(fnmatch(name, item) for item in patterns) and ("/" not in name or _is_template(name))
    )


def weight_files(names: Collection[str], folder: Path) -> list[str]:
    """The weights that are loaded of those there are: safetensors before other formats, and one format only.

    Where there are both one file and shards, it is both: transformers reads the first, PLLaVA's checkpoints mean all.

    Parameters
    ----------
    names : collection of str
        All files of the checkpoint.
    folder : path
        Where the index of shards lies, if there is one and it has arrived.

    Returns
    -------
    list of str
        Without a file of all weights every shard that the index names, be it among `names` or not, and the index
        itself where it is not in `folder`; nothing where there are no weights in a format that is read.
    """
    for single, index, pattern in STANDARD:
        if index not in names:
            parts = [name for name in names if fnmatch(name, pattern)]
        else:
            parts = shards(folder / index) if (folder / index).is_file() else [index]
        if single in names:
            return sorted({single, *(name for name in parts if name in names)})
        if parts:
            return sorted(parts)
    for patterns in (("*.safetensors",), ("*.bin", "*.pth")):
        found = [name for name in names if "/" not in name and any(fnmatch(name, item) for item in patterns)]
        if found := sorted(name for name in found if not any(fnmatch(name, item) for item in LEFTOVERS)):
            return found
    return []


def shards(index: Path) -> list[str]:
    """The files that an index of shards names.

    Raises
    ------
    InputError
        For a file that is no such index.
    """
    content = read_json(index)
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) and "/" not in name for name in places.values()):
        raise InputError("is no index of shards", file=index, field="weight_map", expected="file names by weight")
    return sorted(set(places.values()))


def files_in(folder: Path) -> list[str]:
    """Names of the files in the folder of a checkpoint. A link to a file that is gone is none."""
    paths = [*folder.iterdir(), *(folder / TEMPLATES).glob("*.jinja")]
    return sorted(
        path.relative_to(folder).as_posix() for path in paths if path.is_file() and not path.name.startswith(".")
    )


def lacking(folder: Path) -> list[str]:
    """What a folder surely lacks of a checkpoint, told without a list of all its files.

    Returns
    -------
    list of str
        Names, or kinds, of files; empty where nothing is known to be missing.

    Raises
    ------
    InputError
        For a file that is damaged.
    """
    names = files_in(folder)
    if CONFIG not in names:
        return [CONFIG]
    weights = weight_files(names, folder)
    found = [name for name in weights if name not in names] if weights else ["weights"]
    config = read_json(folder / CONFIG)
    reads_texts = "text_config" in config or "vocab_size" in config
    if reads_texts and not small_files(names, ("tokenizer.*", "vocab*", "*.model")):
        found.append("a tokenizer")
    sees = "vision_config" in config or {"image_size", "patch_size"} <= config.keys()
    if sees and not small_files(names, ("*processor_config.json",)):
        found.append("a processor")
    return found


def _is_template(name: str) -> bool:
    return fnmatch(name, f"{TEMPLATES}/*.jinja") and name.count("/") == 1
