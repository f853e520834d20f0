"""From a frame to a model's input, in two steps: Pillow resizes, the model's device does the rest.

The resize is Pillow's, as in the processors that the released scores were made with (transformers' own, by default,
is torchvision's by now, and differs by a grey level or two). Only small bytes travel from the process that decodes to
the one that runs the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framesift.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Pictures:
    """How a model wants its pictures.

    Attributes
    ----------
    shortest : int or None
        Resize so that the shorter edge has so many pixels; None to resize to `resized` whatever the shape.
    resized : (int, int)
        Height and width to resize to, where `shortest` is None.
    crop : (int, int) or None
        Height and width that are cut out of the middle.
    resample : int
        Filter, by Pillow's number.
    scale : float
        What a byte is multiplied with.
    mean, std : tuple of float
        Of each channel, after scaling.
    """

    shortest: int | None
    resized: tuple[int, int]
    crop: tuple[int, int] | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, processor: Any) -> Pictures:
        """What an image processor of transformers says.

        Raises
        ------
        InputError
            For one that asks for something else than resizing, cropping, scaling and normalising.
        """
        size, crop = processor.size, getattr(processor, "crop_size", None)
        shortest = size.get("shortest_edge")
        if shortest is None and ("height" not in size or "width" not in size):
            raise InputError("asks for an unknown size", field="preprocessor_config.json: size", value=dict(size))
        return cls(
            shortest=shortest,
            resized=(size.get("height") or 0, size.get("width") or 0),
            crop=(crop["height"], crop["width"]) if crop and processor.do_center_crop else None,
            resample=int(processor.resample),
            scale=float(processor.rescale_factor) if processor.do_rescale else 1.0,
            mean=tuple(processor.image_mean) if processor.do_normalize else (0.0,) * 3,
            std=tuple(processor.image_std) if processor.do_normalize else (1.0,) * 3,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a prepared picture.

        Raises
        ------
        InputError
            Where it differs from frame to frame.
        """
        if self.crop is None and self.shortest is not None:
            raise InputError("asks for pictures of the shape of the video", field="preprocessor_config.json: crop_size")
        return (*(self.crop or self.resized), 3)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize and crop one frame.

        Parameters
        ----------
        image : ndarray of uint8, shape (height, width, 3)

        Returns
        -------
        ndarray of uint8, of `shape`
        """
        import numpy as np
        from PIL import Image

        height, width = image.shape[:2]
        if self.shortest is None:
            new_height, new_width = self.resized
        elif height <= width:
            new_height, new_width = self.shortest, int(self.shortest * width / height)
        else:
            new_height, new_width = int(self.shortest * height / width), self.shortest
        resized = Image.fromarray(image).resize((new_width, new_height), resample=Image.Resampling(self.resample))
        return self._cropped(np.asarray(resized))

    def _cropped(self, image: np.ndarray) -> np.ndarray:
        import numpy as np

        if self.crop is None:
            return image
        (height, width), (rows, columns) = image.shape[:2], self.crop
        # a crop wider than the picture is filled with black, as transformers does
        canvas = np.zeros((max(rows, height), max(columns, width), 3), dtype=np.uint8)
        top, left = (canvas.shape[0] - height + 1) // 2, (canvas.shape[1] - width + 1) // 2
        canvas[top : top + height, left : left + width] = image
        top, left = (canvas.shape[0] - rows) // 2, (canvas.shape[1] - columns) // 2
        return canvas[top : top + rows, left : left + columns]

    def normalised(self, images: np.ndarray, device: Any) -> Any:
        """Prepared pictures as a model's input.

        Parameters
        ----------
        images : ndarray of uint8, shape (batch, height, width, 3)

        Returns
        -------
        tensor of float32 on `device`, shape (batch, 3, height, width)
        """
        import torch

        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous().float() * self.scale
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (pixels - mean) / std
