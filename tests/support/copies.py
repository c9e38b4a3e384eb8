"""Augmented copies computed a second time: by plain Pillow, from what docs/preprocessing.md says.

Nothing of the product is imported here.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageStat


def drawn(seed: int, data: bytes, number: int, what: str) -> float:
    """From 0 to below 1: the first 53 bits of a SHA-256."""
    image_id = hashlib.sha256(data).hexdigest()
    digest = hashlib.sha256(f"{seed}:{image_id}:{number}:{what}".encode()).hexdigest()
    return int(bin(int("1" + digest, 16))[3:56], 2) / 2**53


def expected(data: bytes, fields: Mapping[str, Any], number: int, side: int = 224) -> np.ndarray:
    """What `augment` with these fields and a resize make of a picture in RGB: uint8 [side, side, 3].

    number: of the copy; 0 is the picture as it is.
    """
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    if number:
        image = _copy(image, fields, lambda what: drawn(fields.get("seed", 0), data, number, what))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))


def _copy(image: Image.Image, fields: Mapping[str, Any], chance: Any) -> Image.Image:
    if least := fields.get("crop"):
        width = max(1, int((least + (1 - least) * chance("width")) * image.width))
        height = max(1, int((least + (1 - least) * chance("height")) * image.height))
        left = int(chance("left") * (image.width - width + 1))
        top = int(chance("top") * (image.height - height + 1))
        image = Image.fromarray(np.asarray(image)[top : top + height, left : left + width])
    if (way := fields.get("flip")) and chance("flip") < 0.5:
        pixels = np.asarray(image)
        image = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1] if way == "horizontal" else pixels[::-1]))
    if most := fields.get("rotate"):
        image = image.rotate(-most + 2 * most * chance("rotate"), resample=Image.Resampling.BILINEAR)
    if share := fields.get("brightness"):
        factor = 1 - share + 2 * share * chance("brightness")
        image = Image.blend(Image.new("RGB", image.size), image, factor)
    if share := fields.get("contrast"):
        factor = 1 - share + 2 * share * chance("contrast")
        mean = int(ImageStat.Stat(image.convert("L")).mean[0] + 0.5)
        image = Image.blend(Image.new("RGB", image.size, (mean,) * 3), image, factor)
    return image
