"""Whole images decoded in a child: channels and orientation by both rules, order, bounds and failures."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from imagefeatures import bitmaps
from imagefeatures.bitmaps import Bitmap
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from support import stored_images
from support.photos import encoded, jpeg, picture, png_chunk, turned


@pytest.fixture(scope="module", autouse=True)
def _end_children() -> Iterator[None]:
    yield
    bitmaps._decoder().stop()
    bitmaps._inspector().stop()


def read(blobs: list[bytes | Rejected], *, stored: bool = False, pixels: bool = True) -> list[Bitmap | Rejected]:
    batches = bitmaps.read_bitmaps(blobs, Limits(), stored=stored, pixels=pixels)
    return [result for batch in batches for result in batch]


def array(bitmap: Bitmap | Rejected) -> np.ndarray:
    assert isinstance(bitmap, Bitmap)
    assert bitmap.data is not None
    return np.frombuffer(bitmap.data, np.uint8).reshape(bitmap.height, bitmap.width, bitmap.channels)


def test_by_our_rules_an_image_is_upright_and_has_three_channels_in_bgr() -> None:
    photo = picture()
    grey, plain, turned_png = read(
        [
            encoded(photo[..., 0], "PNG"),
            encoded(photo, "PNG"),
            encoded(Image.fromarray(photo), "PNG", exif=turned(6)),
        ]
    )
    np.testing.assert_array_equal(array(grey), np.repeat(photo[..., :1], 3, axis=2))
    np.testing.assert_array_equal(array(plain), photo[..., ::-1])
    np.testing.assert_array_equal(array(turned_png), np.rot90(photo, -1)[..., ::-1])


def test_exif_behind_the_pixels_turns_a_png_and_harms_no_neighbour() -> None:
    photo = picture()
    plain = encoded(photo, "PNG")
    exif = png_chunk(b"eXIf", turned(6).tobytes().removeprefix(b"Exif\0\0"))
    end = plain.index(b"IEND") - 4
    before, late, after = read([plain, plain[:end] + exif + plain[end:], plain])
    np.testing.assert_array_equal(array(late), np.rot90(photo, -1)[..., ::-1])
    for other in (before, after):
        np.testing.assert_array_equal(array(other), photo[..., ::-1])


def test_as_stored_an_image_is_not_turned_and_keeps_grey_and_alpha() -> None:
    photo = picture()
    alpha = np.dstack([photo, photo[..., 0]])
    deep = (photo[..., 0].astype(np.uint16) << 8) + photo[..., 1]
    files = [
        encoded(photo[..., 0], "PNG"),
        encoded(alpha, "PNG"),
        encoded(Image.fromarray(photo), "PNG", exif=turned(6)),
        encoded(deep, "PNG"),
    ]
    grey, with_alpha, not_turned, low_bytes = read(files, stored=True)
    np.testing.assert_array_equal(array(grey), photo[..., :1])
    np.testing.assert_array_equal(array(with_alpha), alpha[..., [2, 1, 0, 3]])
    np.testing.assert_array_equal(array(not_turned), photo[..., ::-1])
    np.testing.assert_array_equal(array(low_bytes)[..., 0], photo[..., 1])


def test_as_stored_the_formats_are_those_of_java() -> None:
    files = [encoded(picture(), kind) for kind in ("WEBP", "HEIC", "AVIF", "JPEG2000")]
    assert [why.reason for why in read(files, stored=True)] == [Reason.UNSUPPORTED_FORMAT] * 4
    assert [result.width for result in read(files)] == [64] * 4


@pytest.mark.parametrize("stored", [True, False])
def test_headers_alone_say_the_size_that_decoding_gives(stored: bool) -> None:
    files = [stored_images.png(*kind) for kind in stored_images.ALIKE] + [jpeg(), encoded(picture(), "GIF")]
    whole, headers = read(files, stored=stored), read(files, stored=stored, pixels=False)
    assert all(len(found.data) == found.height * found.width * found.channels for found in whole)
    assert headers == [Bitmap(found.height, found.width, found.channels) for found in whole]
    assert {found.channels for found in whole} == ({1, 3, 4} if stored else {3})


def test_results_have_the_order_of_the_images_whatever_their_sizes_and_faults() -> None:
    gone = Rejected(Reason.NOT_FOUND, "gone")
    blobs = [jpeg(0), b"x", jpeg(1, 20, 30), gone, jpeg(2), jpeg(3, 20, 30)[:-9], jpeg(4)]
    sizes = [found.reason if isinstance(found, Rejected) else (found.width, found.height) for found in read(blobs)]
    assert sizes == [
        (64, 48), Reason.UNSUPPORTED_FORMAT, (20, 30), Reason.NOT_FOUND, (64, 48), Reason.TRUNCATED, (64, 48),
    ]  # fmt: skip
    for at, seed in ((0, 0), (4, 2), (6, 4)):
        expected = np.asarray(Image.open(io.BytesIO(jpeg(seed))))[..., ::-1]
        np.testing.assert_array_equal(array(read(blobs)[at]), expected)


@pytest.mark.parametrize("stored", [False, True])
def test_what_only_the_decoder_refuses_has_a_reason_too(stored: bool) -> None:
    whole = encoded(picture(30, 20), "PNG")
    start = whole.index(b"IDAT")
    content = b"IDAT" + bytes(int.from_bytes(whole[start - 4 : start]))
    damaged = whole[:start] + content + zlib.crc32(content).to_bytes(4) + whole[start + len(content) + 4 :]
    good, bad = read([whole, damaged], stored=stored)
    assert isinstance(good, Bitmap)
    assert isinstance(bad, Rejected)
    assert bad.reason == "CORRUPT"
    assert read([damaged], stored=stored, pixels=False) == [Bitmap(20, 30, 3)]


def test_a_batch_has_no_more_pixels_than_its_bound_or_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitmaps, "BATCH_BYTES", 2 * 64 * 48 * 3)
    blobs: list[bytes | Rejected] = [jpeg(0), jpeg(1), jpeg(2), b"x", jpeg(3, 640, 480), jpeg(4)]
    counts = [len(batch) for batch in bitmaps.read_bitmaps(blobs, Limits(), stored=False, pixels=True)]
    assert counts == [2, 2, 1, 1]


def test_many_headers_are_read_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitmaps, "HEADERS_AT_ONCE", 2)
    batches = list(bitmaps.read_bitmaps([jpeg(at) for at in range(5)], Limits(), stored=False, pixels=False))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert list(bitmaps.read_bitmaps([], Limits(), stored=False, pixels=True)) == []


def test_a_picture_above_the_limit_is_not_decoded() -> None:
    limits = Limits(max_pixels=64 * 48 - 1)
    ((why,),) = bitmaps.read_bitmaps([jpeg()], limits, stored=True, pixels=True)
    assert isinstance(why, Rejected)
    assert why.reason == Reason.TOO_MANY_PIXELS
