"""Chains of transforms computed a second time: from torchvision's rules, with plain Pillow for the filters and NumPy.

Nothing of the product is imported here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageOps

STRETCH: list[Any] = [{"resize": {"size": [224, 224]}}]
CROP = [{"resize": {"shortest_edge": 256, "interpolation": "bilinear"}}, {"center_crop": {"size": [224, 224]}}]
LETTERBOX = [{"resize": {"longest_edge": 224}}, {"pad": {"size": [224, 224], "fill": [124, 116, 104]}}]
GREY = [{"resize": {"size": [224, 224], "interpolation": "lanczos"}}, "grayscale"]
FOUR = {"stretch": STRETCH, "shortest edge and crop": CROP, "letterbox": LETTERBOX, "grayscale": GREY}

PILLOWS_NUMBER = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def expected(image: Image.Image, preprocess: list[Any]) -> np.ndarray:
    """What the chain makes of a decoded picture: uint8 [height, width, 3]. The chain has no `alpha`."""
    pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    for entry in preprocess:
        ((name, fields),) = (entry if isinstance(entry, dict) else {entry: {}}).items()
        pixels = RULES[name](pixels, **fields)
    return pixels


def random_chains(count: int, seed: int, longest: int = 400) -> list[tuple[int, int, list[Any]]]:
    """(height, width, preprocess) of random pictures, some a pixel wide, and chains that end at 224 × 224."""
    random = np.random.default_rng(seed)
    filters = list(PILLOWS_NUMBER)

    def resize(**how: Any) -> dict[str, Any]:
        return {"resize": {**how, "interpolation": filters[random.integers(len(filters))]}}

    found = []
    for _ in range(count):
        height, width = (np.exp(random.uniform(0, np.log(longest), 2)).astype(int) + random.integers(0, 2, 2)).tolist()
        edge = int(random.integers(200, 300))
        ways: list[list[Any]] = [
            [resize(size=[224, 224])],
            [resize(longest_edge=int(random.integers(1, 225))), {"pad": {"size": [224, 224], "fill": edge % 256}}],
            [resize(size=[edge, 224]), {"center_crop": {"size": [224, 224]}}],
            [{"crop": {"width": edge, "height": 300}}, resize(longest_edge=224), {"pad": {"size": [224, 224]}}],
        ]
        if max(height, width) <= 100 * min(height, width):
            ways.append([resize(shortest_edge=edge), {"center_crop": {"size": [224, 224]}}])
        if min(height, width) > 20:
            ways.append([{"crop": {"x": 7, "y": 19, "width": 100, "height": 90}}, resize(size=[224, 224])])
        preprocess = ways[random.integers(len(ways))]
        for more in ({"flip": {"direction": "horizontal"}}, {"flip": {"direction": "vertical"}}, "grayscale"):
            if random.random() < 0.3:
                preprocess.insert(int(random.integers(0, len(preprocess) + 1)), more)
        found.append((height, width, preprocess))
    return found


def resize(
    pixels: np.ndarray,
    size: list[int] | None = None,
    shortest_edge: int | None = None,
    longest_edge: int | None = None,
    interpolation: str = "bicubic",
) -> np.ndarray:
    """torchvision.transforms.v2.functional._compute_resized_output_size, and Pillow's resize."""
    h, w, _ = pixels.shape
    short, long = (w, h) if w <= h else (h, w)
    if size:
        new_h, new_w = size
    else:
        if shortest_edge:
            new_short, new_long = shortest_edge, int(shortest_edge * long / short)
        else:
            assert longest_edge
            new_short, new_long = max(int(longest_edge * short / long), 1), longest_edge
        new_w, new_h = (new_short, new_long) if w <= h else (new_long, new_short)
    filtered = Image.fromarray(pixels).resize((new_w, new_h), Image.Resampling(PILLOWS_NUMBER[interpolation]))
    return np.asarray(filtered)


def center_crop(pixels: np.ndarray, size: list[int]) -> np.ndarray:
    """torchvision.transforms.functional.center_crop: black around what is too small, then the middle."""
    crop_h, crop_w = size
    h, w, _ = pixels.shape
    if crop_w > w or crop_h > h:
        left, right = ((crop_w - w) // 2, (crop_w - w + 1) // 2) if crop_w > w else (0, 0)
        top, bottom = ((crop_h - h) // 2, (crop_h - h + 1) // 2) if crop_h > h else (0, 0)
        pixels = np.pad(pixels, ((top, bottom), (left, right), (0, 0)))
        h, w, _ = pixels.shape
    top, left = int(round((h - crop_h) / 2.0)), int(round((w - crop_w) / 2.0))  # noqa: RUF046 - as it stands there
    return pixels[top : top + crop_h, left : left + crop_w]


def crop(pixels: np.ndarray, width: int, height: int, x: int = 0, y: int = 0) -> np.ndarray:
    made = np.zeros((height, width, 3), np.uint8)
    part = pixels[y : y + height, x : x + width]
    made[: part.shape[0], : part.shape[1]] = part
    return made


def pad(pixels: np.ndarray, size: list[int], fill: list[int] | int = 0) -> np.ndarray:
    h, w, _ = pixels.shape
    made = np.empty((*size, 3), np.uint8)
    made[:] = fill
    top, left = (size[0] - h) // 2, (size[1] - w) // 2
    made[top : top + h, left : left + w] = pixels
    return made


def flip(pixels: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    return pixels[:, ::-1] if direction == "horizontal" else pixels[::-1]


def grayscale(pixels: np.ndarray) -> np.ndarray:
    """ITU-R 601-2 luma in 16 fractional bits, rounded."""
    luma = (pixels.astype(np.int64) @ [19595, 38470, 7471] + 0x8000) >> 16
    return np.repeat(luma[..., None], 3, axis=2).astype(np.uint8)


RULES = {
    "resize": resize, "center_crop": center_crop, "crop": crop, "pad": pad, "flip": flip, "grayscale": grayscale,
}  # fmt: skip
