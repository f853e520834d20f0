"""Pictures are prepared exactly as transformers' Pillow processors prepare them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    BitImageProcessorPil,
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
)

from framesift.core.errors import InputError
from framesift.video.pictures import Pictures

PROCESSORS = {
    "CLIP": CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
    "a crop larger than the picture": CLIPImageProcessorPil(
        size={"shortest_edge": 30}, crop_size={"height": 41, "width": 64}
    ),
    "no crop": CLIPImageProcessorPil(size={"height": 40, "width": 48}, do_center_crop=False),
    "BLIP": BlipImageProcessorPil(size={"height": 48, "width": 48}),
    "SigLIP": SiglipImageProcessorPil(size={"height": 48, "width": 48}),
    "DINO": BitImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 56, "width": 56}),
    "bilinear": ViTImageProcessorPil(size={"height": 32, "width": 32}, resample=2),
    "not normalised": SiglipImageProcessorPil(size={"height": 32, "width": 32}, do_normalize=False),
    "not rescaled": SiglipImageProcessorPil(size={"height": 32, "width": 32}, do_rescale=False),
}


@pytest.mark.parametrize("name", PROCESSORS)
@settings(max_examples=25, deadline=None)
@given(height=st.integers(8, 130), width=st.integers(8, 130), seed=st.integers(0, 1000))
def test_pictures_are_those_of_the_processor(name, height, width, seed):
    processor = PROCESSORS[name]
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    form = Pictures.of(processor)
    prepared = form.prepare(image)
    assert prepared.shape == form.shape
    assert prepared.dtype == np.uint8
    ours = form.normalised(np.stack([prepared]), "cpu").numpy()
    theirs = processor(images=[image], return_tensors="np")["pixel_values"]
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() <= 1e-6 * max(1.0, np.abs(theirs).max())


def test_a_processor_that_keeps_the_shape_of_the_video_is_refused():
    with pytest.raises(InputError, match="prepares frames in the shape of the video"):
        _ = Pictures.of(CLIPImageProcessorPil(size={"shortest_edge": 56}, do_center_crop=False)).shape
    with pytest.raises(InputError, match="has an unknown size"):
        Pictures.of(ViTImageProcessorPil(size={"longest_edge": 100}))
