"""Bands of .npy files: every layout against NumPy, and what a header may not say."""

from __future__ import annotations

import pickle
from itertools import product

import numpy as np
import pytest

from imagefeatures.bands import decode
from imagefeatures.errors import Rejected
from imagefeatures.formats.npy import HEADER_BYTES
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.reasons import Reason
from support.band_files import npy, npy_of, values

LIMITS = Limits()
HEADER = "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 3, 2), }"


def read(data: bytes, limits: Limits = LIMITS, **fields: object) -> np.ndarray:
    channels = Channels.model_validate(fields)
    header = decode.inspect(data, limits, channels)
    decoded = decode.decode(data, limits, Preprocessing(chain=(Bands(channels=channels),)), channels)
    assert (header.format, header.mode, decoded.mode) == ("NPY", channels.mode, channels.mode)
    assert (header.height, header.width) == (decoded.height, decoded.width) == decoded.pixels.shape[:2]
    return decoded.pixels


def rejected(data: bytes, limits: Limits = LIMITS, **fields: object) -> tuple[Reason, str]:
    """The reason and the detail; the same before and while it is decoded."""
    channels = Channels.model_validate(fields)
    with pytest.raises(Rejected) as found:
        decode.inspect(data, limits, channels)
    with pytest.raises(Rejected) as again:
        decode.decode(data, limits, Preprocessing(chain=(Bands(channels=channels),)), channels)
    assert (found.value.reason, found.value.detail) == (again.value.reason, again.value.detail)
    return found.value.reason, found.value.detail


@pytest.mark.parametrize(("dtype", "order"), list(product(("uint8", "uint16", "float32"), "<>")))
def test_arrays_of_every_layout_are_numpys(dtype: str, order: str) -> None:
    for shape, fields in (
        ((5, 7), {"count": 1}),
        ((5, 7), {"count": 1, "axes": "chw"}),
        ((5, 7, 1), {"count": 1}),
        ((5, 7, 4), {"count": 4}),
        ((4, 5, 7), {"count": 4, "axes": "chw"}),
        ((5, 7, 1000), {"count": 1000}),
    ):
        array = values(shape, dtype)
        expected = array[..., None] if array.ndim == 2 else array
        expected = np.moveaxis(expected, 0, 2) if fields.get("axes") == "chw" and array.ndim == 3 else expected
        for stored in (array, np.asfortranarray(array)):
            found = read(npy(stored.astype(stored.dtype.newbyteorder(order))), dtype=dtype, **fields)
            assert found.dtype == np.dtype(dtype)
            assert np.array_equal(found, expected)


def test_version_two_is_read() -> None:
    assert read(npy_of(HEADER, bytes(range(24)), (2, 0)), count=2)[3, 2].tolist() == [22, 23]


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_a_header_may_have_as_many_bytes_as_are_parsed(version: tuple[int, int]) -> None:
    longest = HEADER.ljust(HEADER_BYTES)
    assert read(npy_of(longest, bytes(range(24)), version), count=2)[3, 2].tolist() == [22, 23]
    reason, detail = rejected(npy_of(longest + " ", bytes(24), version), count=2)
    assert (reason, detail) == (
        Reason.METADATA_TOO_LARGE, "an .npy header of 10,001 bytes; 10,000 is the most",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "fields", "words"),
    [
        ((5, 7, 4), {"count": 5}, "found an array of uint8 [5, 7, 4], the dataset declares uint8 [h, w, 5]"),
        ((5, 7, 4), {"count": 6, "axes": "chw"}, "[5, 7, 4], the dataset declares uint8 [6, h, w]"),
        ((4, 5, 7), {"count": 4}, "[4, 5, 7], the dataset declares uint8 [h, w, 4]"),
        ((5, 7), {"count": 2}, "[5, 7], the dataset declares uint8 [h, w, 2]"),
        ((5, 7, 4), {"count": 4, "dtype": "uint16"}, "[5, 7, 4], the dataset declares uint16 [h, w, 4]"),
        ((1, 5, 7, 4), {"count": 4}, "[1, 5, 7, 4], the dataset declares"),
        ((28,), {"count": 28}, "[28], the dataset declares"),
        ((), {"count": 1}, "[], the dataset declares"),
    ],
)
def test_other_shapes_than_declared_say_both(shape: tuple[int, ...], fields: dict[str, object], words: str) -> None:
    reason, detail = rejected(npy(np.zeros(shape, np.uint8)), **fields)
    assert reason is Reason.UNSUPPORTED_MODE
    assert words in detail


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (npy(np.zeros((4, 3, 2), "i2")), Reason.UNSUPPORTED_MODE, "type <i2"),
        (npy(np.zeros((4, 3, 2), "f8")), Reason.UNSUPPORTED_MODE, "type <f8"),
        (npy(np.zeros((4, 3, 2), "c8")), Reason.UNSUPPORTED_MODE, "type <c8"),
        (npy(np.zeros((4, 3, 2), "?")), Reason.UNSUPPORTED_MODE, "type |b1"),
        (npy(np.zeros((4, 3, 2), "S3")), Reason.UNSUPPORTED_MODE, "type |S3"),
        (npy(np.zeros((4, 3), [("a", "u1"), ("b", "u1")])), Reason.UNSUPPORTED_MODE, "several fields"),
        (npy_of(HEADER.replace("|u1", "|O"), pickle.dumps(print)), Reason.UNSUPPORTED_MODE, "objects"),
        (npy_of(HEADER, bytes(24), (3, 0)), Reason.UNSUPPORTED_MODE, "version 3.0"),
        (npy_of(HEADER, bytes(24), (9, 9)), Reason.UNSUPPORTED_MODE, "version 9.9"),
        (npy_of(HEADER, bytes(23)), Reason.TRUNCATED, "declares"),
        (npy_of(HEADER, bytes(25)), Reason.CORRUPT, "declares"),
        (npy_of(HEADER), Reason.TRUNCATED, "declares"),
        (npy_of(HEADER)[:40], Reason.TRUNCATED, "header"),
        (b"\x93NUMPY", Reason.TRUNCATED, "header"),
        (b"\x93NUMPY\1\0\xff", Reason.TRUNCATED, "header"),
        (npy_of(HEADER.replace("(4, 3, 2)", "(4, -3, -2)"), bytes(24)), Reason.CORRUPT, "below 1"),
        (npy_of(HEADER.replace("(4, 3, 2)", "(4, 0, 2)")), Reason.CORRUPT, "below 1"),
        (npy_of(HEADER.replace("(4, 3, 2)", "(4, True, 2)"), bytes(8)), Reason.CORRUPT, "below 1"),
        (npy_of(HEADER.replace("(4, 3, 2)", "4"), bytes(24)), Reason.CORRUPT, "ValueError"),
        (npy_of(HEADER.replace("(4, 3, 2)", "__import__('os')"), bytes(24)), Reason.CORRUPT, "ValueError"),
        (npy_of("(" * 5000 + ")" * 4999, bytes(24)), Reason.CORRUPT, "cannot be read"),
        (npy_of(b"\xff" * 300, bytes(24)), Reason.CORRUPT, "cannot be read"),
        (npy_of("", bytes(24)), Reason.CORRUPT, "cannot be read"),
        (npy_of(HEADER + " " * 20_000, bytes(24)), Reason.METADATA_TOO_LARGE, "10,000 is the most"),
        (npy_of(HEADER.replace("(4, 3, 2)", f"({2**40}, {2**40}, 2)"), bytes(24)), Reason.TRUNCATED, "declares"),
    ],
)  # fmt: skip
def test_a_hostile_header_is_rejected(data: bytes, reason: Reason, words: str) -> None:
    found, detail = rejected(data, count=2)
    assert (found, words in detail) == (reason, True), detail


def test_a_picture_over_the_limits_is_rejected_before_it_is_read() -> None:
    wide = npy(np.zeros((1, 2000, 2), np.float32))
    assert rejected(wide, Limits(max_pixels=1999), count=2, dtype="float32")[0] is Reason.TOO_MANY_PIXELS
    # 1,000 pixels of RGB take 4,000 bytes in Pillow's memory.
    reason, detail = rejected(wide, Limits(max_pixels=2000), count=2, dtype="float32")
    assert reason is Reason.TOO_MANY_PIXELS
    assert detail == "an .npy file of 2,000 × 1 × 2 bands × 4 bytes = 16,000 bytes; 8,000 is the most"
    read(wide, Limits(max_pixels=4000), count=2, dtype="float32")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_rejected_and_counted(value: float) -> None:
    array = np.zeros((4, 3, 2), np.float32)
    array[1:3, 0, 1] = value
    channels = Channels(count=2, dtype="float32")
    with pytest.raises(Rejected, match=r"^NOT_FINITE: 2 stored values are NaN or infinite$"):
        decode.decode(npy(array), LIMITS, Preprocessing(chain=(Bands(channels=channels),)), channels)


def test_without_npy_among_the_formats_it_is_no_image() -> None:
    limits = Limits(formats=("TIFF", "PNG"))
    reason, detail = rejected(npy(np.zeros((4, 3), np.uint8)), limits, count=1)
    assert (reason, detail) == (Reason.UNSUPPORTED_FORMAT, "found a NumPy array, expected one of TIFF, PNG")
