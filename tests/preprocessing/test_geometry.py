"""Sizes and places by torchvision's rules: each transform against NumPy, and 200 random chains against plain Pillow."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images, isolation
from imagefeatures.datasets import Dataset
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.models.spec import ModelSpec
from imagefeatures.preprocessing import VERSION, Preprocessing, declared
from imagefeatures.preprocessing.geometry import CenterCrop, Crop, Flip, Pad, Resize
from imagefeatures.preprocessing.shapes import MOST_PIXELS, Shape
from imagefeatures.reasons import Reason
from support import chains
from support.photos import encoded, picture, real_photos, turned
from support.shared import SPEC

LIMITS = Limits()


def chain_of(preprocess: list[Any], spec: ModelSpec = SPEC) -> Preprocessing:
    """The whole chain, as a dataset file declares it."""
    dataset = Dataset.model_validate({"name": "d", "source": "s3://b/", "preprocess": preprocess})
    return declared.settled(dataset.preprocess, spec)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("resize", "height", "width", "size"),
    [
        (Resize(shortest_edge=256), 427, 640, (256, 383)),  # 383.7
        (Resize(shortest_edge=256), 640, 427, (383, 256)),
        (Resize(shortest_edge=256), 300, 300, (256, 256)),
        (Resize(shortest_edge=224), 500, 375, (298, 224)),  # 298.67: others round up
        (Resize(longest_edge=224), 427, 640, (149, 224)),  # 149.45
        (Resize(longest_edge=224), 640, 427, (224, 149)),
        (Resize(longest_edge=224), 5, 5, (224, 224)),
        (Resize(longest_edge=224), 20_000, 1, (224, 1)),  # 0.01: never nothing
        (Resize(longest_edge=1), 3, 7, (1, 1)),
        (Resize(size=(10, 20)), 7, 9, (10, 20)),
    ],
)
def test_the_other_side_is_rounded_as_torchvision_does(
    resize: Resize, height: int, width: int, size: tuple[int, int]
) -> None:
    assert resize.size_of(height, width) == size
    assert Resize.model_validate(resize.model_dump()) == resize


@pytest.mark.parametrize(("side", "start"), [(224, 0), (225, 0), (226, 1), (227, 2), (228, 2), (229, 2), (383, 80)])
def test_half_pixels_before_a_crop_are_rounded_to_the_even_number(side: int, start: int) -> None:
    image = Image.fromarray(noise(side, 224))
    assert np.array_equal(CenterCrop(size=(224, 224))(image), np.asarray(image)[start : start + 224])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 9), (9, 3), (4, 8), (5, 5)])
def test_a_crop_of_a_smaller_picture_has_black_edges_and_the_odd_pixel_behind(height: int, width: int) -> None:
    pixels = noise(height, width)
    made = np.asarray(CenterCrop(size=(6, 6))(Image.fromarray(pixels)))
    assert np.array_equal(made, chains.center_crop(pixels, [6, 6]))
    if (height, width) == (1, 1):
        assert np.argwhere(made.any(-1)).tolist() == [[2, 2]]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_padding_puts_the_odd_pixel_behind_the_picture(mode: str) -> None:
    image = Image.fromarray(noise(3, 4)).convert(mode)
    made = np.asarray(Pad(size=(8, 9), fill=(7, 7, 7))(image))
    expected = np.full_like(made, 7)
    expected[2:5, 2:6] = np.asarray(image)
    assert np.array_equal(made, expected)


def test_a_crop_takes_the_rectangle_and_black_beyond_the_picture() -> None:
    pixels = noise(10, 12)
    for x, y in ((0, 0), (3, 4), (11, 9)):
        made = Crop(x=x, y=y, width=5, height=6)(Image.fromarray(pixels))
        assert np.array_equal(made, chains.crop(pixels, x=x, y=y, width=5, height=6))
    for x, y in ((12, 0), (0, 10)):
        with pytest.raises(Rejected, match=f"TOO_SMALL: the crop begins at x = {x}, y = {y}, .* 12 × 10 pixels"):
            Crop(x=x, y=y, width=5, height=6)(Image.fromarray(pixels))


def test_a_flip_mirrors() -> None:
    pixels = noise(4, 5)
    assert np.array_equal(Flip()(Image.fromarray(pixels)), pixels[:, ::-1])
    assert np.array_equal(Flip(direction="vertical")(Image.fromarray(pixels)), pixels[::-1])


def test_each_shape_is_the_one_that_is_made() -> None:
    cropped, open_ended = Shape(5, 6, 3), Shape(None, None, 3)
    assert Flip().shape(cropped) == cropped
    assert Resize(size=(2, 3)).shape(open_ended) == Shape(2, 3, 3)
    assert Resize(shortest_edge=10).shape(cropped) == Shape(10, 12, 3)
    assert Resize(shortest_edge=10).shape(open_ended) == open_ended
    assert Resize(longest_edge=10).shape(open_ended) == Shape(None, None, 3, 10)
    assert Pad(size=(10, 11)).shape(Shape(None, None, 3, 10)) == Shape(10, 11, 3)
    assert Crop(width=6, height=5).shape(cropped) == cropped
    assert CenterCrop(size=(9, 8)).shape(cropped) == Shape(9, 8, 3)


def test_two_hundred_random_chains_make_the_pixels_of_plain_pillow() -> None:
    used = set()
    for seed, (height, width, preprocess) in enumerate(chains.random_chains(200, 13)):
        pixels = noise(height, width, seed)
        made = chain_of(preprocess)(Image.fromarray(pixels))
        expected = chains.expected(Image.fromarray(pixels), preprocess)
        np.testing.assert_array_equal(made, expected, f"{height} × {width}: {preprocess}")
        used |= {name for entry in preprocess for name in (entry if isinstance(entry, dict) else [entry])}
    assert used == set(chains.RULES)


@pytest.mark.parametrize("chain", chains.FOUR)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_before_anything_else(chain: str, orientation: int) -> None:
    preprocess = [{"crop": {"x": 5, "y": 3, "width": 90, "height": 50}}, *chains.FOUR[chain]]
    data = encoded(picture(97, 61), "PNG", exif=turned(orientation))
    with Image.open(io.BytesIO(data)) as image:
        wanted = chains.expected(image, preprocess)
    assert np.array_equal(images.decode(data, LIMITS, chain_of(preprocess)).pixels, wanted)


WIDE, TALL = encoded(noise(1, 30_000), "PNG"), encoded(noise(20_000, 1), "PNG")


def test_a_picture_of_an_extreme_ratio_is_a_row_before_anything_is_allocated() -> None:
    """In the decode process, which would say OUT_OF_MEMORY if it had tried: 7.9 GB."""
    chain = chain_of([{"resize": {"shortest_edge": 256}}, {"center_crop": {"size": [224, 224]}}])
    batch = isolation.decoder().run([WIDE, encoded(noise(9, 9), "PNG")], LIMITS, chain)
    assert list(batch.records["state"]) == [isolation.REJECTED, isolation.DONE]
    why = isolation.rejection(batch.records[0])
    assert why.reason == Reason.TOO_MANY_PIXELS
    assert why.detail == (
        f"resize would make 256 × 7,680,000 pixels of it, by way of 1 × 7,680,000; {MOST_PIXELS:,} is the most"
    )


def test_the_picture_between_the_passes_of_a_resize_is_bounded_too() -> None:
    chain = chain_of([{"resize": {"size": [1, 4096]}}, {"resize": {"size": [224, 224]}}])
    with pytest.raises(Rejected, match=r"TOO_MANY_PIXELS: .* 1 × 4,096 pixels of it, by way of 20,000 × 4,096;"):
        images.decode(TALL, LIMITS, chain)


def test_a_picture_a_pixel_wide_is_letterboxed() -> None:
    made = images.decode(TALL, LIMITS, chain_of(chains.LETTERBOX)).pixels
    assert np.array_equal(made, chains.expected(Image.fromarray(noise(20_000, 1)), chains.LETTERBOX))
    edges = np.delete(made, 111, axis=1)
    assert (edges == [124, 116, 104]).all()


GREY = Image.fromarray(picture(131, 77)[..., 0])
COLOURED = Image.fromarray(picture(131, 77))
FILES = {
    **{kind: encoded(COLOURED, kind) for kind in ("JPEG", "WEBP", "GIF", "TIFF", "BMP")},
    "inks": encoded(COLOURED.convert("CMYK"), "JPEG"),
    "grey": encoded(GREY, "PNG"),
    "grey with alpha": encoded(GREY.convert("LA"), "PNG"),
    "colours with alpha": encoded(Image.merge("RGBA", (*COLOURED.split(), GREY)), "PNG"),
    "palette": encoded(COLOURED.quantize(50), "PNG"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_chain_follows_the_decoder_of_every_format_and_mode(name: str) -> None:
    data = FILES[name]
    for preprocess in chains.FOUR.values():
        with Image.open(io.BytesIO(data)) as image:
            wanted = chains.expected(image, preprocess)
        assert np.array_equal(images.decode(data, LIMITS, chain_of(preprocess)).pixels, wanted)


PINNED = {
    "stretch": "45f5b225df5bc635",
    "shortest edge and crop": "f63cbb0af0fe1f19",
    "letterbox": "36b526c24d8bb5ba",
    "grayscale": "78df805f8379e08f",
}
"""Of china.jpg."""


def test_the_pixels_of_chains_are_those_of_this_version() -> None:
    """If this fails, the same bytes now give other pixels: raise preprocessing.VERSION, then pin the new digests."""
    data = real_photos()[0].read_bytes()
    made = {name: images.decode(data, LIMITS, chain_of(preprocess)).pixels for name, preprocess in chains.FOUR.items()}
    assert VERSION == 1
    assert {name: hashlib.sha256(pixels.tobytes()).hexdigest()[:16] for name, pixels in made.items()} == PINNED
