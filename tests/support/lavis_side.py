"""What LAVIS says, told by the Python of its own environment.

Takes a folder that holds images.npy, texts.json and captions.json, and a checkpoint. Writes into the folder what the
scorer gives (scorer.npy), what LAVIS's processors and model give when called as AKS calls them (lavis.npy), and the
captions as LAVIS cleans them (cleaned.json).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from framesift.core.components import build


def by_scorer(made, loaded, images, texts):
    form = made.pictures(loaded)
    pixels = form.normalised(np.stack([form.prepare(image) for image in images]), "cpu")
    return made.scores(loaded, made.features(loaded, pixels), texts)


def by_lavis(model, images, texts):
    """One picture and one text at a time."""
    from lavis.processors.blip_processors import BlipCaptionProcessor, BlipImageEvalProcessor
    from PIL import Image

    see = BlipImageEvalProcessor(image_size=model.visual_encoder.patch_embed.img_size[0])
    read = BlipCaptionProcessor()
    scores = np.zeros((len(images), len(texts)), dtype=np.float32)
    for row, image in enumerate(images):
        for column, text in enumerate(texts):
            sample = {"image": see(Image.fromarray(image))[None], "text_input": read(text)}
            scores[row, column] = torch.softmax(model(sample, match_head="itm"), dim=1)[0, 1]
    return scores


def main(folder: Path, checkpoint: Path) -> None:
    images, texts = np.load(folder / "images.npy"), json.loads((folder / "texts.json").read_text())
    made = build("scorers", {"kind": "blip_itm_lavis", "model": str(checkpoint)})
    loaded = made.load("cpu")
    from lavis.processors.blip_processors import BlipCaptionProcessor

    with torch.inference_mode():
        np.save(folder / "scorer.npy", by_scorer(made, loaded, images, texts))
    (file,) = checkpoint.glob("*.pth")
    loaded[0].load_checkpoint(str(file))  # LAVIS reads the file itself
    with torch.inference_mode():
        np.save(folder / "lavis.npy", by_lavis(loaded[0], images, texts))
    captions = json.loads((folder / "captions.json").read_text())
    (folder / "cleaned.json").write_text(json.dumps([BlipCaptionProcessor()(caption) for caption in captions]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
