"""An image as validate and resize judge it: its pixels before any resizing, or the reason that both give."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits

LIMITS = Limits()


def rgb(image: Image.Image) -> np.ndarray:
    """A preprocessing that only turns the image upright. Returns uint8 [height, width, 3]."""
    return np.asarray(images.to_rgb(images.upright(image)))


def decoded(data: bytes) -> np.ndarray:
    """The pixels of an image that both accept: uint8 [height, width, 3]."""
    images.inspect(data, LIMITS)
    return images.decode(data, LIMITS, rgb).pixels


def why(data: bytes) -> tuple[str, str]:
    """The reason and its detail, which inspecting and decoding agree on."""
    with pytest.raises(Rejected) as inspected:
        images.inspect(data, LIMITS)
    with pytest.raises(Rejected) as refused:
        images.decode(data, LIMITS, rgb)
    assert refused.value.reason == inspected.value.reason
    return str(inspected.value.reason), inspected.value.detail
