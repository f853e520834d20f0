"""Prepare frames for a model in two steps: Pillow resizes, the model's device does the rest.

Resizing is Pillow's, as in the processors that made the released scores (transformers now uses torchvision by default,
which differs by a grey level or two). Only resized bytes go from the decoding process to the one that runs the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framesift.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Pictures:
    """How to prepare frames for a model.

    Attributes
    ----------
    shortest : int or None
        Resize so that the shorter edge has this many pixels; None to resize any shape to `resized`.
    resized : (int, int)
        Height and width to resize to, if `shortest` is None.
    crop : (int, int) or None
        Height and width to cut out of the centre.
    resample : int
        Filter, by Pillow's number.
    scale : float
        Factor of each byte.
    mean, std : tuple of float
        Of each channel, after scaling.

    Examples
    --------
    >>> import numpy as np
    >>> pictures = Pictures(224, (0, 0), (224, 224), 3, 1 / 255, (0.5,) * 3, (0.5,) * 3)
    >>> pictures.prepare(np.zeros((360, 640, 3), np.uint8)).shape
    (224, 224, 3)
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
        """The settings of an image processor of transformers.

        Raises
        ------
        InputError
            If the processor does anything but resize, crop, scale and normalise.
        """
        size, crop = processor.size, getattr(processor, "crop_size", None)
        shortest = size.get("shortest_edge")
        if shortest is None and ("height" not in size or "width" not in size):
            raise InputError("has an unknown size", field="preprocessor_config.json: size", value=dict(size))
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
        """Height, width and channels of a prepared frame.

        Raises
        ------
        InputError
            If it depends on the shape of the video.
        """
        if self.crop is None and self.shortest is not None:
            raise InputError("prepares frames in the shape of the video", field="preprocessor_config.json: crop_size")
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
        """Prepared frames as the input of a model.

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
