"""Bands of TIFF files: layouts of every kind against the values that were written, and what is refused."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from imagefeatures.bands import decode
from imagefeatures.bands.picture import Picture
from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff_bands
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.reasons import Reason
from support.band_files import DEFLATE, RAW, tiff_pages, values
from support.tiff_files import ADOBE_DEFLATE, BLACK_IS_ZERO, LONG, LZW, NONE, PACKBITS, RATIONAL, RGB, SHORT, Tiff

LIMITS = Limits()
HEIGHT, WIDTH = 21, 18
DTYPES = ("uint8", "uint16", "float32")


def read(data: bytes, count: int, dtype: str, limits: Limits = LIMITS) -> np.ndarray:
    channels = Channels.model_validate({"count": count, "dtype": dtype})
    header = decode.inspect(data, limits, channels)
    decoded = decode.decode(data, limits, Preprocessing(chain=(Bands(channels=channels),)), channels)
    assert (header.format, header.mode) == ("TIFF", f"{dtype}x{count}")
    assert (header.height, header.width) == (decoded.height, decoded.width) == decoded.pixels.shape[:2]
    assert decoded.pixels.dtype == np.dtype(dtype)
    return decoded.pixels


def rejected(data: bytes, count: int = 3, dtype: str = "uint8", limits: Limits = LIMITS) -> tuple[Reason, str]:
    """By inspect; decode says the same."""
    channels = Channels.model_validate({"count": count, "dtype": dtype})
    with pytest.raises(Rejected) as found:
        decode.inspect(data, limits, channels)
    with pytest.raises(Rejected) as again:
        decode.decode(data, limits, Preprocessing(chain=(Bands(channels=channels),)), channels)
    assert (found.value.reason, found.value.detail) == (again.value.reason, again.value.detail)
    return found.value.reason, found.value.detail


def tiff(shape: tuple[int, int, int], dtype: str, **more: Any) -> Tiff:
    array = values(shape, dtype)
    kind = 3 if dtype == "float32" else 1
    wide = array if dtype == "float32" else array.astype(np.int64)  # as Tiff takes whole numbers
    return Tiff(wide, 8 * array.itemsize, BLACK_IS_ZERO, extra=(0,) * (shape[2] - 1), sample_format=kind, **more)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 4, 12])
def test_layouts_of_every_kind_hold_the_values_that_were_written(dtype: str, count: int) -> None:
    seen = 0
    for order, planes, compression, (rows, tile), predictor in product(
        "<>", (False, True), (NONE, LZW, ADOBE_DEFLATE, PACKBITS), ((None, None), (8, None), (None, 16)), (False, True)
    ):
        if predictor and (dtype == "float32" or compression in (NONE, PACKBITS)):
            continue
        made = tiff(
            (HEIGHT, WIDTH, count),
            dtype,
            order=order,
            planes=planes,
            compression=compression,
            rows=rows,
            tile=tile,
            predictor=predictor,
        )
        assert np.array_equal(read(made.bytes(), count, dtype), made.samples), made
        seen += 1
    assert seen >= 48


def test_a_hundred_bands_and_a_thousand() -> None:
    for count, planes in product((100, 1000), (False, True)):
        made = tiff((9, 8, count), "uint16", planes=planes, compression=ADOBE_DEFLATE)
        assert np.array_equal(read(made.bytes(), count, "uint16"), made.samples)


def test_the_floating_point_predictor_is_undone() -> None:
    """Of each row the bytes by their weight, the highest first; then each less the one a pixel before."""

    def encode(part: np.ndarray) -> bytes:
        rows, columns, count = part.shape
        by_weight = part.astype(">f4").view(np.uint8).reshape(rows, columns * count, 4).transpose(0, 2, 1)
        flat = by_weight.reshape(rows, -1).astype(np.int64)
        flat[:, count:] -= flat[:, :-count].copy()
        return zlib.compress((flat % 256).astype(np.uint8).tobytes())

    for count, order, tile in product((1, 5), "<>", (None, 16)):
        made = tiff((HEIGHT, WIDTH, count), "float32", order=order, tile=tile, compression=ADOBE_DEFLATE)
        made = replace(made, encode=encode, tags={317: (SHORT, (3,))})
        assert np.array_equal(read(made.bytes(), count, "float32"), made.samples)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pages_are_bands_in_their_order(dtype: str) -> None:
    for order, compression, samples in product("<>", (RAW, DEFLATE), (1, 2, 3)):
        pages = [values((HEIGHT, WIDTH, samples), dtype, seed) for seed in range(4)]
        found = read(tiff_pages(pages, order, compression), 4 * samples, dtype)
        assert np.array_equal(found, np.concatenate(pages, axis=2))


def test_reduced_pages_and_masks_are_no_bands() -> None:
    page, small = values((HEIGHT, WIDTH, 3), "uint8"), values((5, 4, 3), "uint8")
    assert np.array_equal(read(tiff_pages([page, small, page], subfile=(0, 1, 4)), 3, "uint8"), page)
    reason, detail = rejected(tiff_pages([page, small, page], subfile=(0, 0, 4)))
    assert reason is Reason.UNSUPPORTED_MODE
    assert detail.startswith(
        "found pages of 18 × 21 with 3 × 8 bits and of 4 × 5 with 3 × 8 bits, the dataset declares"
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation: int) -> None:
    made = replace(tiff((HEIGHT, WIDTH, 1), "uint8"), tags={274: (SHORT, (orientation,))})
    image = Image.fromarray(made.samples[..., 0].astype(np.uint8))
    image.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read(made.bytes(), 1, "uint8")[..., 0], expected)
    assert np.array_equal(Picture(made.samples).upright(orientation).pixels[..., 0], expected)


@pytest.mark.parametrize(
    ("count", "dtype", "words"),
    [
        (11, "uint16", "found 12 bands of uint16, the dataset declares 11 bands of uint16 (channels)"),
        (12, "uint8", "found 12 bands of uint16, the dataset declares 12 bands of uint8 (channels)"),
        (1, "float32", "found 12 bands of uint16, the dataset declares 1 band of float32 (channels)"),
    ],
)
def test_other_bands_than_declared_say_both(count: int, dtype: str, words: str) -> None:
    assert rejected(tiff((9, 8, 12), "uint16").bytes(), count, dtype) == (Reason.UNSUPPORTED_MODE, words)


def test_pages_of_another_number_say_how_many() -> None:
    pages = [values((9, 8, 1), "uint8", seed) for seed in range(4)]
    assert rejected(tiff_pages(pages)) == (
        Reason.UNSUPPORTED_MODE,
        "found 4 bands of uint8 (4 pages of 1), the dataset declares 3 bands of uint8 (channels)",
    )


BASE = tiff((9, 8, 3), "uint8")
"""As declared; each of these changes one thing."""


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"photometric": 0}, Reason.UNSUPPORTED_MODE, "grey whose 0 is white"),
        ({"photometric": 5}, Reason.UNSUPPORTED_MODE, "CMYK"),
        ({"photometric": 6}, Reason.UNSUPPORTED_MODE, "YCbCr"),
        ({"photometric": 3}, Reason.UNSUPPORTED_MODE, "a palette"),
        ({"photometric": None}, Reason.UNSUPPORTED_MODE, "undeclared colours"),
        ({"sample_format": 2}, Reason.UNSUPPORTED_MODE, "signed"),
        ({"sample_format": 3}, Reason.UNSUPPORTED_MODE, "float samples of 8 bits"),
        ({"tags": {258: (SHORT, (8, 8, 16))}}, Reason.UNSUPPORTED_MODE, "different bits"),
        ({"reversed_bits": True, "compression": ADOBE_DEFLATE}, Reason.UNSUPPORTED_MODE, "bits in reverse"),
        ({"predictor": True}, Reason.UNSUPPORTED_MODE, "predictor 2"),
        ({"tags": {317: (SHORT, (3,))}, "compression": LZW}, Reason.UNSUPPORTED_MODE, "predictor 3"),
        ({"tags": {259: (SHORT, (7,))}}, Reason.UNSUPPORTED_FORMAT, "compressed by JPEG, which is not read as bands"),
        ({"tags": {259: (SHORT, (34887,))}}, Reason.UNSUPPORTED_FORMAT, "by LERC"),
        ({"tags": {259: (SHORT, (4711,))}}, Reason.UNSUPPORTED_FORMAT, "in way 4711"),
        ({"tags": {254: (LONG, (1,))}}, Reason.UNSUPPORTED_FORMAT, "a reduced one"),
        ({"tags": {278: (RATIONAL, (9, 1))}}, Reason.CORRUPT, "tag 278 has type 5, which is not that of whole"),
        ({"tags": {273: None}}, Reason.CORRUPT, "without strips"),
        ({"tags": {257: (LONG, (0,))}}, Reason.CORRUPT, "without strips"),
        ({"rows": 4, "tags": {273: (LONG, (8, 9))}}, Reason.CORRUPT, "with 2 strips, the picture takes 3"),
        ({"tile": 16, "tags": {322: (LONG, (0,))}}, Reason.CORRUPT, "without strips or tiles"),
        ({"tags": {257: None}}, Reason.TRUNCATED, "directory"),
        ({"tags": {257: (LONG, (50_000_001,))}}, Reason.TOO_MANY_PIXELS, "limits.max_pixels"),
        ({"tile": 16, "tags": {322: (LONG, (2**31,)), 323: (LONG, (2**31,))}}, Reason.TOO_MANY_PIXELS, "unpacks to"),
        ({"tags": {257: (LONG, (90,)), 278: (LONG, (90,))}}, Reason.TRUNCATED, "its pixels end at"),
    ],
)  # fmt: skip
def test_what_is_not_read_says_what_was_found(change: dict[str, Any], reason: Reason, words: str) -> None:
    assert np.array_equal(read(BASE.bytes(), 3, "uint8"), BASE.samples)
    found, detail = rejected(replace(BASE, **change).bytes())
    assert (found, words in detail) == (reason, True), detail


def test_rgb_of_sixteen_bits_is_three_bands() -> None:
    made = replace(tiff((9, 8, 3), "uint16"), photometric=RGB, extra=())
    assert np.array_equal(read(made.bytes(), 3, "uint16"), made.samples)


def test_a_bomb_of_pages_is_rejected_before_one_is_unpacked() -> None:
    """Each of the pages is within the limits, and all of them are not."""
    data = tiff_pages([np.zeros((1000, 1000, 1), np.uint8)] * 5, compression=DEFLATE)
    assert len(data) < 10**4
    reason, detail = rejected(data, 5, limits=Limits(max_pixels=10**6))
    assert reason is Reason.TOO_MANY_PIXELS
    assert detail.endswith("1,000 × 1,000 × 5 bands × 1 bytes = 5,000,000 bytes; 4,000,000 is the most")
    assert not read(data, 5, "uint8").any()


def test_so_many_pages_are_looked_at_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page of a band may have a reduced one beside it."""
    page = values((9, 8, 1), "uint8")
    data = [tiff_pages([page] * count, subfile=[0, 1, 1][:count]) for count in (2, 3)]
    monkeypatch.setattr(tiff_bands, "MOST_BANDS", 1)
    assert np.array_equal(read(data[0], 1, "uint8"), page)
    assert rejected(data[1], 1) == (Reason.UNSUPPORTED_MODE, "found a TIFF of more than 2 pages")


def test_a_page_that_does_not_say_what_it_is_holds_bands() -> None:
    data = tiff_pages([values((9, 8, 1), "uint8", seed) for seed in range(2)])
    without = data.replace(struct.pack("<HH", 254, LONG), struct.pack("<HH", 253, LONG))
    assert np.array_equal(read(without, 2, "uint8"), read(data, 2, "uint8"))
    words = "found 2 bands of uint8 (2 pages of 1), the dataset declares 3 bands of uint8 (channels)"
    assert rejected(without) == (Reason.UNSUPPORTED_MODE, words)


def test_the_last_of_a_thousand_bands_is_looked_at_too() -> None:
    made = tiff((9, 8, 1000), "uint8")
    bits = replace(made, tags={258: (SHORT, (8,) * 999 + (16,))})
    reason, detail = rejected(bits.bytes(), 1000)
    assert (reason, "different bits" in detail) == (Reason.UNSUPPORTED_MODE, True)


def test_pages_in_a_circle_are_rejected() -> None:
    data = tiff_pages([values((9, 8, 1), "uint8")] * 3, loop=2)
    assert rejected(data) == (Reason.CORRUPT, "TIFF whose pages lead back to an earlier one")


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_cut_of_a_file_is_rejected(dtype: str) -> None:
    """A cut page is never taken for bands of zeros."""
    pages = [values((9, 8, 1), dtype, seed) for seed in range(3)]
    for compression in (RAW, DEFLATE):
        data = tiff_pages(pages, compression=compression)
        for end in range(0, len(data) - 4, 37):
            channels = Channels.model_validate({"count": 3, "dtype": dtype})
            with pytest.raises(Rejected) as found:
                decode.decode(data[:end], LIMITS, Preprocessing(chain=(Bands(channels=channels),)), channels)
            assert found.value.reason in (Reason.TRUNCATED, Reason.UNSUPPORTED_FORMAT, Reason.CORRUPT)


@pytest.mark.parametrize("compression", [LZW, ADOBE_DEFLATE, PACKBITS])
def test_a_strip_with_fewer_rows_than_declared_is_rejected(compression: int) -> None:
    """libtiff would leave the rest as it was."""
    made = tiff((HEIGHT // 2, WIDTH, 3), "uint8", compression=compression)
    data = replace(made, tags={257: (LONG, (HEIGHT,)), 278: (LONG, (HEIGHT,))}).bytes()
    channels = Channels(count=3)
    decode.inspect(data, LIMITS, channels)
    with pytest.raises(Rejected) as found:
        decode.decode(data, LIMITS, Preprocessing(chain=(Bands(channels=channels),)), channels)
    assert found.value.reason is Reason.CORRUPT
    assert found.value.detail.startswith("a strip or tile does not hold the pixels that are declared")


def test_random_damage_never_raises_anything_else() -> None:
    random = np.random.default_rng(5)
    files = [
        tiff_pages([values((9, 8, 2), "uint16", seed) for seed in range(2)], compression=c) for c in (RAW, DEFLATE)
    ]
    files += [tiff((9, 8, 4), "uint16", compression=LZW, tile=16, planes=True).bytes()]
    channels = Channels(count=4, dtype="uint16")
    chain = Preprocessing(chain=(Bands(channels=channels),))
    reasons = set()
    for _ in range(1500):
        data = bytearray(files[random.integers(3)])
        for at in random.integers(0, len(data), random.integers(1, 6)):
            data[at] = random.integers(256)
        try:
            pixels = decode.decode(bytes(data), LIMITS, chain, channels).pixels
            assert (pixels.shape[2], pixels.dtype) == (4, np.uint16)
        except Rejected as why:
            reasons.add(why.reason)
    assert len(reasons) >= 4
