"""PLLaVA (Xu et al., "PLLaVA: Parameter-free LLaVA Extension from Images to Videos", 2024): ermu2001/pllava-7b, -13b.

PLLaVA is LLaVA-NeXT without its tiles: CLIP and the projector see every frame by itself, the projected features of all
frames are averaged into a block of fixed size (time, height, width), and the language model, trained with LoRA, reads
the block in place of one image.

Written anew from the released code (github.com/magic-research/PLLaVA, commit 6f49fd2), of which these facts are read:
order of projector and pooling, prompts, preparation of frames, names of weights, LoRA's alpha of 4 where models are
evaluated (they were trained with 32), greedy decoding. Run with random weights in the same files; no released weight
has been run here. It differs in adding LoRA to the weights beforehand, where the original adds its outputs in each
layer: equal up to rounding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt

from framesift.answering.answerers import AnswerRequest, Given, LoadedAnswerer, LocalAnswerer, given
from framesift.answering.answerers._transformers import TransformersModel
from framesift.answering.lmms.task import Frames
from framesift.checkpoints.component import loading, local_checkpoint
from framesift.core.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL import Image

IMAGE_TOKEN = "<image>"
#: What PEFT puts before the names of the language model's weights, and what they are without it.
PEFT_PREFIX = ("language_model.base_model.model.", "language_model.")


class Pllava(LocalAnswerer):
    """PLLaVA 7B or 13B, given its frames as one video of K pictures.

    However many frames it is given, the language model reads `pooling_shape` tokens (16 x 12 x 12 = 2304). With the
    original's flag `num_frames` set to K, as here, any K is averaged into the 16 steps of time: fewer frames are
    repeated, of more, neighbours are averaged, and each frame counts. (Left at 16, the original repeats frames until
    it has 16 and forgets the last ones: it sees 6 of 8. More than 16 it refuses.)

    Each frame is the square in its middle (336 x 336 pixels; the sides of a wide video are cut off). The model knows
    the order of its frames, not their times.
    """

    title = "PLLaVA"
    cites = ("xu2024pllava",)
    version = 1

    kind: Literal["pllava"] = "pllava"
    pooling_shape: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(16, 12, 12), description="Time, height and width of what the language model reads of a video."
    )
    lora_alpha: float = Field(
        default=4.0,
        ge=0,
        description="Strength of the LoRA weights, divided by their rank (128); nothing if they are merged.",
    )
    system: str = Field(
        default="", description="Text before the conversation; the original has one for each benchmark."
    )
    video_alone: bool = Field(
        default=False,
        description="Whether the video is a turn of its own, as the original asks multiple-choice questions (MVBench).",
    )
    answer_start: str = Field(
        default="", description="First words of the answer, put into the model's mouth (for MVBench 'Best option:(')."
    )

    def load(self, device: str) -> LoadedAnswerer:
        from transformers import AutoTokenizer

        folder = Path(local_checkpoint(self))
        with loading(self, "a PLLaVA checkpoint of 7B or 13B, in the format of ermu2001/pllava-7b"):
            tokenizer = AutoTokenizer.from_pretrained(folder)
            if "<|im_start|>" in tokenizer.get_vocab():
                raise InputError(
                    "is asked in another format than Vicuna's",
                    field="model",
                    value=self.model,
                    expected="PLLaVA of 7B or 13B",
                )
            settings = json.loads((folder / "preprocessor_config.json").read_text())
            network = _network(self, folder, device)
        return _Pllava(self, network, tokenizer, settings)

    def prompt(self, text: str) -> str:
        """The conversation around the text of a question; `IMAGE_TOKEN` marks the video."""
        before = f"{self.system} " if self.system else ""
        turn = " USER: " if self.video_alone else " "
        return f"{before}USER: {IMAGE_TOKEN}\n{turn}{text} ASSISTANT:{self.answer_start}"


class _Pllava(TransformersModel):
    def __init__(self, answerer: Pllava, network: Any, tokenizer: Any, settings: Mapping[str, Any]) -> None:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        super().__init__(network, tokenizer)
        self.answerer = answerer
        self.side = settings["size"]["shortest_edge"]
        used = ("size", "crop_size", "resample", "rescale_factor", "image_mean", "image_std")
        self.processor = CLIPImageProcessorPil(**{name: settings[name] for name in used if name in settings})

    def inputs(self, asked: AnswerRequest) -> dict[str, Any]:
        import torch

        # One token stands for the video, and is repeated after the text has been divided into tokens.
        tokens = self.tokenizer(self.answerer.prompt(asked.text))["input_ids"]
        video = self.network.config.image_token_id
        if tokens.count(video) != 1:
            raise RuntimeError(f"a question must not contain {IMAGE_TOKEN!r}: {asked.text!r}")
        time, height, width = self.answerer.pooling_shape
        place = tokens.index(video)
        ids = torch.tensor([tokens[:place] + [video] * (time * height * width) + tokens[place + 1 :]])
        pixels = self.processor([reduced(picture, self.side) for picture in asked.frames], return_tensors="pt")
        end = self.tokenizer.eos_token_id
        return {
            "input_ids": ids.to(self.network.device),
            "attention_mask": torch.ones_like(ids).to(self.network.device),
            "pixel_values": pixels["pixel_values"].to(self.network.device, self.network.dtype),
            "eos_token_id": end,
            "pad_token_id": end,
        }

    def given(self, frames: Frames, inputs: Mapping[str, Any]) -> Given:
        return given(frames, inputs["pixel_values"])


def reduced(picture: Image.Image, side: int, longest: int = 640) -> Image.Image:
    """What PLLaVA does with a picture first; the resizing and cropping of CLIP follow.

    The longer edge becomes at most `longest` pixels, unless the shorter one would fall below `side`.
    """
    from PIL import Image

    short, long = sorted(picture.size)
    edge = max(min(short, int(min(long, longest) / (long / short))), side)
    reached = int(edge * long / short)
    resized = picture.resize(
        (edge, reached) if picture.width <= picture.height else (reached, edge), Image.Resampling.BICUBIC
    )
    # The original cuts to a length that it computes in another order, which can be one pixel less.
    length = min(reached, int(edge * (long / short)))
    return resized.crop((0, 0, min(resized.width, length), min(resized.height, length)))


def pooled(features: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Average the features of frames into a block of fixed size.

    Parameters
    ----------
    features : tensor, shape (frames, positions, dimensions)
        Positions are those of a square grid, row by row.
    shape : tuple of int
        Time, height and width of the block. Cell i of n along an axis of m is the mean of the entries from
        floor(i m / n) to ceil((i + 1) m / n), so every entry counts, and m may be less than n.

    Returns
    -------
    tensor, shape (time * height * width, dimensions)
    """
    import torch

    side = round(features.shape[1] ** 0.5)
    video = features.unflatten(1, (side, side)).permute(3, 0, 1, 2)
    return torch.nn.functional.adaptive_avg_pool3d(video, shape).flatten(1).T


def merged(weights: Mapping[str, torch.Tensor], alpha: float) -> dict[str, torch.Tensor]:
    """Weights without LoRA (Hu et al. 2022): W + alpha / r * B A, computed in float32, under the names of LLaVA.

    Weights that have been merged before, or never had LoRA, are returned as they are.
    """
    plain = {
        name.replace(*PEFT_PREFIX, 1).replace(".base_layer.", "."): weight
        for name, weight in weights.items()
        if ".lora_" not in name
    }
    for name, down in weights.items():
        if ".lora_A." in name:
            up = weights[name.replace(".lora_A.", ".lora_B.")]
            changed = name.replace(*PEFT_PREFIX, 1).split(".lora_A.")[0] + ".weight"
            added = alpha / len(down) * (up.float() @ down.float())
            plain[changed] = (plain[changed].float() + added).to(plain[changed].dtype)
    return plain


def _network(answerer: Pllava, folder: Path, device: str) -> Any:
    """LLaVA of transformers with the weights of a folder, and pooling after its projector."""
    import torch
    from safetensors.torch import load_file
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    weights: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights |= load_file(file)
    weights.pop("image_newline", None)  # left over from LLaVA-NeXT, whose tiles need it
    network, report = LlavaForConditionalGeneration.from_pretrained(
        None,
        config=LlavaConfig.from_pretrained(folder),
        state_dict=merged(weights, answerer.lora_alpha),
        dtype=answerer.dtype,
        attn_implementation=answerer.attn_implementation,
        output_loading_info=True,
    )
    wrong = sorted(report["missing_keys"]) + sorted(report["unexpected_keys"])
    if wrong:
        raise InputError(
            f"{len(wrong)} weights are missing or unknown, such as {wrong[0]}",
            field="model",
            value=answerer.model,
            expected="all weights of a PLLaVA model",
            hint="PLLaVA's training saves only what it trained; such a folder is not enough",
        )

    class Pooling(torch.nn.Module):
        """A projector, then the average: (frames, positions, dimensions) -> (1, tokens, dimensions)."""

        def __init__(self, projector: torch.nn.Module) -> None:
            super().__init__()
            self.projector = projector

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return pooled(self.projector(features), answerer.pooling_shape)[None]

    network.model.multi_modal_projector = Pooling(network.model.multi_modal_projector)
    return network.to(device).eval()
