"""What the answerers that run the `llava` package of LLaVA-NeXT share: loading it, and giving it frames.

Everything comes from the checkpoint, at the commit it is pinned to. `llava` by itself would first build the vision
tower that the checkpoint was trained from, from the newest files of another repository, and then load the checkpoint's
own weights over it; and it would ask the hub for a tokenizer that no model here uses.
"""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from framesift.answering.answerers import AnswerRequest, Given, LoadedAnswerer, LocalAnswerer, Reply, given
from framesift.answering.answerers._network import Watched
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint
from framesift.core.errors import InputError

#: Stands for the video in a request: model classes want a path. It is never opened.
VIDEO = "<the selected frames>"
#: Where the video goes in a prompt of `llava`.
PLACE = "<image>"
#: What `llava` takes for the name of a model to find its architecture, whatever the checkpoint's folder is called.
ARCHITECTURE = "llava_qwen"
TOWER = "model.vision_tower.vision_tower.vision_model."


class LlavaAnswerer(LocalAnswerer):
    """A checkpoint of LLaVA-NeXT with a Qwen2 language model and a SigLIP vision tower, both in safetensors files."""

    chat: ClassVar[bool] = False
    env: ClassVar[str] = "llava"
    libraries: ClassVar[tuple[str, ...]] = (*LocalAnswerer.libraries, "llava")

    conv_template: Literal["qwen_1_5", "chatml_direct", "vicuna_v1"] = Field(
        default="qwen_1_5",
        description="Conversation template of the llava package: system prompt, roles and separators. The checkpoints"
        " were trained with qwen_1_5.",
    )

    def load(self, device: str) -> LoadedAnswerer:
        library = _imported(self.kind)
        with loading(self, "a checkpoint of LLaVA-NeXT, such as LLaVA-Video or LLaVA-OneVision"):
            folder = local_checkpoint(self)
            weights = _weights(Path(folder))
            with _of_checkpoint_only(library, weights, device):
                model = self._made(folder, device)
        lacking = {name for name in model.model.state_dict() if name not in weights}
        if model.model.config.tie_word_embeddings:
            lacking -= {"lm_head.weight"}
        if lacking:
            raise InputError("lacks weights", file=folder, field=min(lacking))
        return model

    @abstractmethod
    def _made(self, folder: str, device: str) -> Any:
        """The model of a module of lmms-eval, its checkpoint in `folder`."""


class WatchedLlava(Watched):
    """To be inherited before a model class of lmms-eval that calls `load_video` for a path, and then `generate`."""

    def ready(self) -> None:
        """Called once the network is loaded."""
        self._image_processor: Any = _Preparing(self._image_processor, self._noting)
        network = self.model  # type: ignore[attr-defined]
        network.generate = _without_keywords_of_many_tokens(network.generate)
        _refuse_to_cut(network)
        self.watch(network)

    def answer(self, asked: AnswerRequest) -> Reply:
        if PLACE in asked.text:
            raise InputError(f"a question may not contain {PLACE!r}, which stands for the video", value=asked.text)
        request = copy.copy(asked.request)
        text, generation, _, *rest = request.arguments
        request.arguments = (text, generation, lambda document: [VIDEO], *rest)
        return super().answer(replace(asked, request=request))

    def shown(self, video: Any) -> tuple[Frames, np.ndarray]:
        """The frames of the question, where a model class would decode `video`; also as one array.

        Returns
        -------
        Frames
        uint8 array, shape (K, height, width, 3)
        """
        with self._noting():
            if video not in (VIDEO, [VIDEO]) or self._asked is None:
                raise ValueError(f"the model would read {video!r} instead of the selected frames")
            frames = self._asked.frames
            return frames, np.stack([np.asarray(frame) for frame in frames])

    def given(self, frames: Frames, inputs: dict[str, Any]) -> Given:
        if self._failure:  # while the video was prepared
            raise self._failure
        images = inputs.get("images")
        if inputs.get("modalities") not in ("video", ["video"]) or not images or len(images) != 1:
            raise RuntimeError("the network was not given one video")
        return given(frames, images[0])

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """The model classes catch what goes wrong while a video is prepared, and answer all the same."""
        try:
            yield
        except Exception as error:
            self._failure = error
            raise


class _Preparing:
    """An image processor whose failures are noted."""

    def __init__(self, processor: Any, noting: Callable[[], Any]) -> None:
        self._processor = processor
        self._noting = noting

    def preprocess(self, *arguments: Any, **options: Any) -> Any:
        with self._noting():
            return self._processor.preprocess(*arguments, **options)


def _without_keywords_of_many_tokens(generate: Callable[..., Any]) -> Callable[..., Any]:
    """`generate` without stopping criteria that fail.

    `KeywordsStoppingCriteria` of LLaVA-NeXT can compare the last token with a keyword of one token only. That of
    vicuna_v1 ("</s>") is several of Qwen2's; generation ends at the network's own end token anyway.
    """

    def called(*arguments: Any, stopping_criteria: Any = (), **inputs: Any) -> Any:
        usable = [one for one in stopping_criteria if all(len(word) == 1 for word in one.keyword_ids)]
        return generate(*arguments, stopping_criteria=usable, **inputs)

    return called


def _refuse_to_cut(network: Any) -> None:
    """Make the network raise where it would silently leave out the end of the prompt, which is the question."""
    longest = getattr(network.config, "tokenizer_model_max_length", None)
    network.config.tokenizer_model_max_length = None
    prepare = network.prepare_inputs_labels_for_multimodal

    def prepared(*arguments: Any, **options: Any) -> Any:
        made = prepare(*arguments, **options)
        embeddings = made[4]  # none for the tokens of the answer
        if longest and embeddings is not None and embeddings.shape[1] > longest:
            raise InputError(
                "frames and question are longer than what the model reads",
                value=f"{embeddings.shape[1]} tokens",
                expected=f"at most {longest}",
                hint="choose a smaller budget",
            )
        return made

    network.prepare_inputs_labels_for_multimodal = prepared


def _imported(kind: str) -> Any:
    """The module of lmms-eval that is called `kind`, or an error that says where LLaVA-NeXT is."""
    try:
        with _without_other_tokenizers():
            for name in ("llava.model.language_model.llava_qwen", "llava.conversation"):
                import_module(name)
            return import_module(f"lmms_eval.models.simple.{kind}")
    except ImportError as error:
        raise InputError(
            f"the package llava of LLaVA-NeXT cannot be imported here: {error}",
            field="kind",
            value=kind,
            expected="the environment envs/llava.yaml",
            hint="let Snakemake make the environments (--software-deployment-method conda); `make llava` makes this one"
            " in .venv-llava",
        ) from None


@contextmanager
def _without_other_tokenizers() -> Iterator[None]:
    """Importing `llava.conversation` asks the hub for the tokenizer of Llama 3, and does without it where it fails."""
    from transformers import AutoTokenizer

    def refused(name: str, **options: Any) -> Any:
        raise OSError(f"{name} is not needed")

    with _replaced(AutoTokenizer, "from_pretrained", refused):
        yield


@contextmanager
def _of_checkpoint_only(library: Any, weights: dict[str, tuple[int, ...]], device: str) -> Iterator[None]:
    """Let `llava` load a checkpoint on one device, with the vision tower that the checkpoint holds.

    A device is not chosen by `device_map`: with any but "auto", `llava` moves the tower to a GPU in half precision.
    """
    import torch
    from transformers import PreTrainedModel

    encoder = import_module("llava.model.multimodal_encoder.siglip_encoder")
    config = encoder.SigLipVisionConfig(**_tower_shape(weights))

    def tower(name: str, **options: Any) -> PreTrainedModel:
        made = encoder.SigLipVisionModel(config)
        if next(made.parameters()).device.type != "meta":
            raise RuntimeError("the vision tower is made after the weights of the checkpoint were loaded")
        return made

    memory: dict[Any, int] = {"cpu": 1 << 60}
    if device != "cpu":
        index = torch.device(device).index or 0
        memory = {index: torch.cuda.get_device_properties(index).total_memory}
    with ExitStack() as stack:
        stack.enter_context(_replaced(encoder.SigLipVisionModel, "from_pretrained", tower))
        load = partial(library.load_pretrained_model, max_memory=memory)
        stack.enter_context(_replaced(library, "load_pretrained_model", load))
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute of a class or module for a time."""
    own = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def _weights(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of a checkpoint, by name.

    Raises
    ------
    InputError
        Where it is none that these answerers can load.
    """
    from safetensors import safe_open

    file = folder / "config.json"
    config = json.loads(file.read_text())
    if config.get("architectures") != ["LlavaQwenForCausalLM"]:
        raise InputError(
            "is no LLaVA-NeXT model with Qwen2",
            file=file,
            field="architectures",
            value=config.get("architectures"),
            expected="['LlavaQwenForCausalLM']",
            hint="checkpoints whose names end in -hf are for llava_onevision_hf",
        )
    name = str(config.get("mm_vision_tower"))
    if "siglip" not in name or Path(name).exists():  # llava builds a CLIP for any path that exists
        raise InputError(
            "must be the name of a SigLIP, as the checkpoint was published with, and no path; nothing is read from it",
            file=file,
            field="mm_vision_tower",
            value=name,
            expected="google/siglip-so400m-patch14-384",
        )
    shapes: dict[str, tuple[int, ...]] = {}
    for part in sorted(folder.glob("*.safetensors")):
        with safe_open(part, "numpy") as tensors:
            shapes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    return shapes


def _tower_shape(weights: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """The shape of the vision tower in a checkpoint, before `llava` takes off its last layer."""
    layers = f"{TOWER}encoder.layers."
    try:
        return {
            "hidden_size": weights[f"{TOWER}embeddings.patch_embedding.weight"][0],
            "intermediate_size": weights[f"{layers}0.mlp.fc1.weight"][0],
            "num_hidden_layers": 2 + max(int(name[len(layers) :].split(".")[0]) for name in weights if layers in name),
        }
    except KeyError as error:
        raise InputError(
            "the checkpoint does not hold its vision tower",
            field="model",
            value=error.args[0],
            expected="a checkpoint whose vision tower was trained with it, as those of LLaVA-Video and LLaVA-OneVision",
        ) from None
