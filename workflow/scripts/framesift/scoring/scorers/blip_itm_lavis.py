"""BLIP image-text matching (Li et al., ICML 2022), run by LAVIS itself as AKS does, in an environment of its own."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from framesift.checkpoints.component import is_folder
from framesift.core.errors import InputError
from framesift.scoring.scorers._captions import Captioned
from framesift.video.pictures import Pictures

#: Width of an attention head in every BLIP of LAVIS, base or large, for pictures or text.
HEAD_WIDTH = 64
VOCABULARY = "vocab.txt"


class BlipItmLavis(Captioned):
    """Probability that text and frame match (ITM head), as in AKS (feature_extract.py, `blip`), through LAVIS.

    `blip_itm` computes the same through transformers and needs no further environment; this one is for weights as
    LAVIS distributes them, and to check the other against.
    """

    title = "BLIP (image-text matching, by LAVIS)"
    cites = ("li2022blip", "li2023lavis")
    version = 1
    checkpoint = "torch"
    env: ClassVar[str] = "lavis"

    kind: Literal["blip_itm_lavis"] = "blip_itm_lavis"
    model: str = Field(
        description="Checkpoint: a folder with a .pth file of LAVIS (BLIP for retrieval, base or large) and the"
        " vocab.txt of bert-base-uncased."
    )

    @field_validator("model")
    @classmethod
    def _in_folder(cls, model: str) -> str:
        if not is_folder(model):
            raise ValueError(
                f"LAVIS's checkpoints are files, so this scorer takes a folder; {model!r} is none (a folder beside"
                " the Snakefile is written ./name)"
            )
        return model

    def load(self, device: str) -> Any:
        import torch

        blip_itm = _lavis()
        weights = _read(_checkpoint(Path(self.model), blip_itm))
        model = _made_for(weights, _vocabulary(Path(self.model)), blip_itm)
        model = model.eval().to(device, getattr(torch, self.dtype))
        return model, model  # it holds its tokenizer itself

    def pictures(self, loaded: Any) -> Pictures:
        from lavis.processors.blip_processors import BlipImageEvalProcessor
        from PIL import Image

        normalize = BlipImageEvalProcessor().normalize
        return Pictures(
            shortest=None,
            resized=tuple(loaded[0].visual_encoder.patch_embed.img_size),
            crop=None,
            resample=int(Image.Resampling.BICUBIC),
            scale=1 / 255,
            mean=tuple(normalize.mean),
            std=tuple(normalize.std),
        )

    def features(self, loaded: Any, pixels: Any) -> Any:
        model, _ = loaded
        return model.visual_encoder.forward_features(pixels.to(model.device, model.itm_head.weight.dtype))

    def scores(self, loaded: Any, features: Any, texts: list[str]) -> np.ndarray:
        import torch

        model, _ = loaded
        batch = features.shape[0]
        seen = torch.ones(features.shape[:2], dtype=torch.long, device=features.device)
        columns = []
        for text in texts:
            tokens = self.text_tokens(loaded, text)
            tokens["input_ids"][:, 0] = model.tokenizer.enc_token_id
            hidden = model.text_encoder(
                tokens["input_ids"].expand(batch, -1),
                attention_mask=tokens["attention_mask"].expand(batch, -1),
                encoder_hidden_states=features,
                encoder_attention_mask=seen,
                return_dict=True,
            ).last_hidden_state
            columns.append(torch.softmax(model.itm_head(hidden[:, 0]).float(), dim=1)[:, 1])
        return torch.stack(columns, dim=1).cpu().numpy()


def _lavis() -> Any:
    """LAVIS's class, or an error that says where LAVIS is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its old dependencies
            from lavis.models.blip_models.blip_image_text_matching import BlipITM
    except ImportError as error:
        raise InputError(
            f"LAVIS cannot be imported here: {error}",
            field="kind",
            value="blip_itm_lavis",
            expected="the environment envs/lavis.yaml",
            hint="let Snakemake make the environments (--software-deployment-method conda), or use blip_itm",
        ) from None
    return BlipITM


def _checkpoint(folder: Path, blip_itm: Any) -> Path:
    found = sorted(folder.glob("*.pth"))
    if len(found) == 1:
        return found[0]
    from omegaconf import OmegaConf

    source = OmegaConf.load(blip_itm.default_config_path("large")).model.finetuned
    raise InputError(
        "holds no checkpoint" if not found else "holds several checkpoints",
        file=folder,
        field="model",
        value=[file.name for file in found],
        expected="one .pth file",
        hint=f"the one that AKS uses is {source}",
    )


def _vocabulary(folder: Path) -> Path:
    file = folder / VOCABULARY
    if not file.is_file():
        raise InputError(
            "holds no vocabulary",
            file=folder,
            field="model",
            expected=f"{VOCABULARY} beside the .pth file",
            hint=f"it is the {VOCABULARY} of bert-base-uncased on the Hugging Face hub",
        )
    return file


def _read(file: Path) -> dict[str, Any]:
    """The weights in a checkpoint, by LAVIS's names. Nothing in the file is executed."""
    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise InputError(
            f"cannot be read: {(str(error) or repr(error)).splitlines()[0]}",
            file=file,
            hint="fetch the file again, whole",
        ) from None
    weights = content.get("model", content) if isinstance(content, dict) else {}
    if "visual_encoder.cls_token" not in weights or "itm_head.weight" not in weights:
        raise InputError("is no BLIP with an image-text matching head", file=file, expected="a checkpoint of LAVIS")
    return weights


def _made_for(weights: dict[str, Any], vocabulary: Path, blip_itm: Any) -> Any:
    """LAVIS's model with these weights, whose shapes say how large it is."""
    from lavis.common.utils import get_abs_path
    from lavis.models.med import XBertEncoder
    from lavis.models.vit import VisionTransformerEncoder
    from transformers import BertConfig, BertTokenizer

    class WithVocabulary(blip_itm):
        @classmethod
        def init_tokenizer(cls) -> Any:  # LAVIS's own asks the hub
            tokenizer = BertTokenizer(str(vocabulary))
            tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
            tokenizer.enc_token_id = tokenizer.convert_tokens_to_ids("[ENC]")
            return tokenizer

    def shape(name: str) -> tuple[int, ...]:
        if name not in weights:
            raise InputError("lacks weights", file=vocabulary.parent, field=name)
        return tuple(weights[name].shape)

    def layers(prefix: str) -> int:
        return 1 + max(int(name.removeprefix(prefix).split(".")[0]) for name in weights if name.startswith(prefix))

    width, patch = shape("visual_encoder.patch_embed.proj.weight")[::3]
    side = patch * round((shape("visual_encoder.pos_embed")[1] - 1) ** 0.5)
    pictures = VisionTransformerEncoder(
        img_size=side,
        patch_size=patch,
        embed_dim=width,
        depth=layers("visual_encoder.blocks."),
        num_heads=width // HEAD_WIDTH,
    )
    pictures.vision_width = width

    config = BertConfig.from_json_file(get_abs_path("configs/models/med_large_config.json"))
    config.vocab_size, config.hidden_size = shape("text_encoder.embeddings.word_embeddings.weight")
    config.max_position_embeddings = shape("text_encoder.embeddings.position_embeddings.weight")[0]
    config.num_hidden_layers = layers("text_encoder.encoder.layer.")
    config.num_attention_heads = config.hidden_size // HEAD_WIDTH
    config.intermediate_size = shape("text_encoder.encoder.layer.0.intermediate.dense.weight")[0]
    config.encoder_width = width
    texts = XBertEncoder(config=config, add_pooling_layer=False)

    model = WithVocabulary(pictures, texts, embed_dim=shape("vision_proj.weight")[0])
    if len(model.tokenizer) != config.vocab_size:
        raise InputError(
            "does not belong to the checkpoint",
            file=vocabulary,
            value=f"{len(model.tokenizer) - 2} words",
            expected=f"{config.vocab_size - 2} words",
        )
    # Checkpoints hold what training needed besides; what scoring needs must be there.
    try:
        lacking = set(model.load_state_dict(weights, strict=False).missing_keys)
    except RuntimeError as error:
        raise InputError(f"has other shapes than LAVIS's BLIP: {error}", file=vocabulary.parent) from None
    lacking -= {"text_encoder.embeddings.position_ids"}  # 0, 1, 2, ... in every checkpoint
    if lacking:
        raise InputError("lacks weights", file=vocabulary.parent, field=min(lacking))
    return model
