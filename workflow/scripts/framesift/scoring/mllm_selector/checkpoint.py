"""The checkpoint of a selector: a folder, the same on disk and on the Hugging Face hub.

`selector.safetensors` holds projector, score query and head (and the language model, if all of it was trained);
`adapter_model.safetensors` and `adapter_config.json` the LoRA adapter, as peft writes it; `config.json` the
configuration. Beside them are the tokenizer, the record of the training and a model card. The vision encoder and a
frozen language model are not copied: the configuration names their commits.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from framesift.checkpoints.component import checkpoint_folder, model_digest, pretrained
from framesift.core.errors import InputError
from framesift.core.spec import spec_of
from framesift.scoring.mllm_selector.checkpoint_config import CONFIG, SelectorConfig, settings_of
from framesift.scoring.mllm_selector.model_card import model_card
from framesift.scoring.mllm_selector.network import SelectorNetwork
from framesift.scoring.mllm_selector.settings import Lora, SelectorSettings, TrainLlm
from framesift.storage.checksums import verify_checksum
from framesift.storage.files import atomic_write, read_json, write_json, write_text
from framesift.storage.untrusted import read_text

WEIGHTS, TRAINING, CURVES = "selector.safetensors", "training.json", "curves.csv"
#: Prefix of the names of the language model's weights, if they are saved.
TRUNK = "trunk."


@dataclass
class TrainedSelector:
    """A selector in memory: settings, network, tokenizer, configuration, and the record of its training."""

    settings: SelectorSettings
    network: SelectorNetwork
    tokenizer: Any
    config: SelectorConfig
    stages: list[dict[str, Any]] = field(default_factory=list)
    curves: str = ""


def new_selector(settings: SelectorSettings, *, seed: int, dtype: torch.dtype, replies: bool) -> TrainedSelector:
    """A selector with fresh projector, query and head around a pretrained language model.

    Parameters
    ----------
    settings : SelectorSettings
    seed : int
        Of the fresh weights.
    dtype : torch dtype
        Of the language model.
    replies : bool
        Whether it follows instructions, which needs all blocks of the language model.
    """
    from transformers import AutoConfig

    vision, llm = settings.vision, settings.llm
    seeing = pretrained(AutoConfig, vision.model, vision.revision)
    width = getattr(seeing, "vision_config", seeing).hidden_size
    trunk, lm_head, blocks = _load_trunk(settings, dtype, replies)
    torch.manual_seed(seed)
    network = SelectorNetwork(settings, trunk, blocks, width, lm_head)
    config = SelectorConfig(
        n=settings.n,
        pool=vision.pool,
        settings=spec_of(settings),
        template_hash=settings.template_hash,
        encoder_weights=model_digest(vision.model, vision.revision),
        llm_weights=model_digest(llm.model, llm.revision),
        vision_width=width,
        blocks=blocks,
        trained="none",
    )
    return TrainedSelector(settings, network, _tokenizer(llm.model, llm.revision), config)


def add_adapters(selector: TrainedSelector, lora: Lora) -> None:
    """Add LoRA adapters to the language model, unless it has some."""
    from peft import LoraConfig, get_peft_model

    if selector.config.trained == "lora":
        return
    config = LoraConfig(r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=list(lora.targets))
    selector.network.trunk = get_peft_model(selector.network.trunk, config)


# Saving


def save_pretrained(selector: TrainedSelector, folder: str | Path, *, trained: TrainLlm, dtype: torch.dtype) -> None:
    """Write a selector as a folder, in one step, replacing the folder if it exists.

    Parameters
    ----------
    selector : TrainedSelector
    folder : path
    trained : str
        The part of the language model that was trained, and is therefore saved.
    dtype : torch dtype
        Of the saved language model, with ``all``.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _write(selector, made, trained, dtype)
        for file in made.iterdir():
            file.chmod(0o644)  # safetensors writes files that only their owner can read
        made.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(selector: TrainedSelector, folder: Path, trained: TrainLlm, dtype: torch.dtype) -> None:
    from safetensors.torch import save_file

    network, llm = selector.network, selector.settings.llm
    weights = network.own_state()
    update: dict[str, Any] = {"trained": trained}
    if trained == "lora":
        (adapter,) = network.trunk.peft_config.values()
        adapter.base_model_name_or_path, adapter.revision = llm.model, llm.revision
        network.trunk.save_pretrained(folder, save_embedding_layers=False)
    elif trained == "all":
        llm_config = _ending_at(network.trunk.config, network.blocks)
        saved = _empty_trunk(llm_config).state_dict()
        state = network.trunk.state_dict()
        weights |= {TRUNK + name: state[name].to(dtype) for name in saved}
        form = {key: value for key, value in llm_config.to_diff_dict().items() if key != "_name_or_path"}
        update["llm_config"] = selector.config.llm_config or form
    selector.config = selector.config.model_copy(update=update)
    with atomic_write(folder / WEIGHTS, checked=True) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary)
    selector.tokenizer.save_pretrained(folder)
    write_json(folder / CONFIG, selector.config.model_dump(mode="json"), checked=True)
    write_json(folder / TRAINING, selector.stages, checked=True)
    write_text(folder / CURVES, selector.curves, checked=True)
    write_text(folder / "README.md", model_card(selector.settings, selector.config.trained, selector.stages))


# Loading


def from_pretrained(
    model: str,
    revision: str | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    replies: bool = False,
    **expected: Any,
) -> TrainedSelector:
    """A selector from a folder, or from a pinned commit of the hub.

    Parameters
    ----------
    model, revision : str
    dtype : torch dtype
        Of the language model; the rest is float32.
    replies : bool
        Whether it follows instructions (see `new_selector`).
    **expected
        See `settings_of`.

    Raises
    ------
    InputError
        If the folder is not a selector, or does not match what is expected.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(checkpoint_folder(model, revision))
    config, settings = settings_of(folder, **expected)
    if config.trained == "all" and replies:
        raise InputError(
            "was saved without the last blocks of its language model, so it cannot follow instructions",
            file=folder / CONFIG,
            expected="a stage with importance as its only task",
        )
    try:
        verify_checksum(folder / WEIGHTS)
        weights = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot be read ({error})", file=folder / WEIGHTS) from None
    of_trunk = {name.removeprefix(TRUNK): weights.pop(name) for name in list(weights) if name.startswith(TRUNK)}
    if config.trained == "all":
        trunk, lm_head = _saved_trunk(config, of_trunk, dtype), None
    else:
        trunk, lm_head, _ = _load_trunk(settings, dtype, replies)
    if config.trained == "lora":
        from peft import PeftModel

        trunk = PeftModel.from_pretrained(trunk, folder, is_trainable=True)
    network = SelectorNetwork(settings, trunk, config.blocks, config.vision_width, lm_head)
    own = network.own_state()
    if wrong := sorted(own.keys() ^ weights.keys()) or [k for k in own if own[k].shape != weights[k].shape]:
        raise InputError("does not fit its configuration", file=folder / WEIGHTS, field=wrong[0])
    network.load_state_dict(weights, strict=False)
    curves = read_text(folder / CURVES) if (folder / CURVES).is_file() else ""
    stages = read_json(folder / TRAINING) if (folder / TRAINING).is_file() else []
    return TrainedSelector(settings, network.eval(), _tokenizer(str(folder), None), config, stages, curves)


# The language model


def _tokenizer(model: str, revision: str | None) -> Any:
    """The tokenizer of tokenizer.json; AutoTokenizer would use the default of the model type instead."""
    from transformers import PreTrainedTokenizerFast

    return pretrained(PreTrainedTokenizerFast, model, revision)


def _load_trunk(settings: SelectorSettings, dtype: torch.dtype, replies: bool) -> tuple[Any, Any, int]:
    """The language model without its head, the head (with `replies`), and the number of blocks up to the read-out."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    llm = settings.llm
    config = pretrained(AutoConfig, llm.model, llm.revision)
    blocks = config.num_hidden_layers + 1 + settings.read_out
    if blocks < 1:
        raise InputError(
            f"{llm.model} has {config.num_hidden_layers} blocks", field="selector: read_out", value=settings.read_out
        )
    with _quiet():
        if replies:
            config.tie_last_hidden_states = False
            model = pretrained(AutoModelForCausalLM, llm.model, llm.revision, config=config, dtype=dtype)
            return model.base_model, model.get_output_embeddings(), blocks
        config = _ending_at(config, blocks)
        return pretrained(AutoModel, llm.model, llm.revision, config=config, dtype=dtype), None, blocks


def _saved_trunk(config: SelectorConfig, weights: dict[str, torch.Tensor], dtype: torch.dtype) -> Any:
    from transformers import AutoConfig

    assert config.llm_config is not None
    trunk = _empty_trunk(_ending_at(AutoConfig.for_model(**config.llm_config), config.blocks))
    trunk.load_state_dict({name: tensor.to(dtype) for name, tensor in weights.items()}, assign=True)
    return trunk


def _ending_at(config: Any, blocks: int) -> Any:
    """The configuration of a language model that ends after `blocks` blocks, without a final norm."""
    config = type(config).from_dict(config.to_dict())
    config.num_hidden_layers = blocks
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:blocks]
    config.tie_last_hidden_states = False
    return config


def _empty_trunk(config: Any) -> Any:
    from transformers import AutoModel

    return AutoModel.from_config(config)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning about unused weights of blocks: they are left out on purpose."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
