"""What the decode process does for bitmaps, in this process: channels by mode and transparency, and their order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures import bitmaps
from imagefeatures.bitmaps import Bitmap, BitmapRule
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from support.photos import encoded, picture, turned

PHOTO = picture()
GONE = Rejected(Reason.NOT_FOUND, "gone")
OF_300_BYTES = Bitmap(10, 10, 3)


def opened(mode: str, colour: str, transparency: object) -> Any:
    """What Pillow has found in a header. colour: how a PNG stores its pixels."""
    info = {} if transparency is None else {"transparency": transparency}
    return SimpleNamespace(mode=mode, info=info, tile=[SimpleNamespace(args=colour)] if colour else [])


@pytest.mark.parametrize(
    ("mode", "colour", "transparency", "stored"),
    [
        ("1", "1", None, "RGB"),  # by a palette
        ("L", "L;2", None, "RGB"),
        ("L", "L;4", None, "RGB"),
        ("1", "1", 0, "L"),
        ("L", "L;2", 0, "L"),
        ("L", "L;4", 0, "L"),
        ("L", "L", None, "L"),
        ("L", "L", 0, "L"),
        ("I;16", "I;16B", None, "L"),
        ("LA", "LA", None, "L"),
        ("LA", "LA;16B", None, "L"),
        ("RGB", "RGB", None, "RGB"),
        ("RGB", "RGB", (1, 2, 3), "RGBA"),
        ("P", "P", None, "RGB"),
        ("P", "P", b"\xff\xff", "RGB"),
        ("P", "P", b"\xff\x00\xff", "RGBA"),
        ("P", "P", b"?", "RGBA"),
        ("P", "P", 3, "RGBA"),
        ("RGBA", "RGBA", None, "RGBA"),
        ("RGB", "", None, "RGB"),  # without pixels
    ],
)
def test_a_png_has_the_channels_that_java_gives_it(mode: str, colour: str, transparency: object, stored: str) -> None:
    assert bitmaps._stored_mode("PNG", opened(mode, colour, transparency)) == stored


@pytest.mark.parametrize(
    ("mode", "transparency", "stored"),
    [
        ("L", None, "L"), ("L", 0, "RGBA"), ("I;16", None, "L"), ("LA", None, "L"), ("1", None, "RGB"),
        ("RGB", None, "RGB"), ("P", None, "RGB"), ("P", 0, "RGBA"), ("CMYK", None, "RGB"), ("RGBA", None, "RGBA"),
        ("PA", None, "RGBA"), ("RGBa", None, "RGBA"), ("La", None, "RGBA"),
    ],
)  # fmt: skip
def test_a_file_of_another_format_has_alpha_where_it_says_so(mode: str, transparency: object, stored: str) -> None:
    assert bitmaps._stored_mode("TIFF", opened(mode, "L;2", transparency)) == stored


def test_a_header_has_the_size_as_it_is_stored_and_one_of_three_modes() -> None:
    turned_png = encoded(Image.fromarray(PHOTO), "PNG", exif=turned(6))
    header = bitmaps.inspect_stored(turned_png, Limits())
    assert (header.format, header.width, header.height, header.mode) == ("PNG", 64, 48, "RGB")
    assert bitmaps.CHANNELS == {"L": 1, "RGB": 3, "RGBA": 4}


def made(image: Image.Image, channels: int, stored: bool = True) -> np.ndarray:
    rule = BitmapRule(48, 64, channels, stored)
    assert (rule.shape, rule.dtype) == ((48, 64, channels), "uint8")
    return np.asarray(rule(image))


def test_pixels_are_in_the_order_blue_green_red() -> None:
    photo, grey = Image.fromarray(PHOTO), Image.fromarray(PHOTO[..., 0])
    alpha = np.dstack([PHOTO, PHOTO[..., 0]])
    np.testing.assert_array_equal(made(photo, 3), PHOTO[..., ::-1])
    np.testing.assert_array_equal(made(Image.fromarray(alpha), 3), PHOTO[..., ::-1])
    np.testing.assert_array_equal(made(Image.fromarray(alpha), 4), alpha[..., [2, 1, 0, 3]])
    np.testing.assert_array_equal(made(grey, 1), PHOTO[..., :1])
    np.testing.assert_array_equal(made(grey, 3, stored=False), np.repeat(PHOTO[..., :1], 3, axis=2))


def test_grey_is_the_first_channel_and_of_16_bits_the_low_byte() -> None:
    deep = (PHOTO[..., 0].astype(np.uint16) << 8) + PHOTO[..., 1]
    np.testing.assert_array_equal(made(Image.fromarray(deep), 1), PHOTO[..., 1:2])
    both = Image.fromarray(np.dstack([PHOTO[..., 0], PHOTO[..., 1]]), "LA")
    np.testing.assert_array_equal(made(both, 1), PHOTO[..., :1])
    bits = PHOTO[..., 0] > 128
    np.testing.assert_array_equal(made(Image.fromarray(bits), 1)[..., 0], bits * np.uint8(255))


def test_an_image_is_decoded_by_the_rule() -> None:
    data = encoded(Image.fromarray(PHOTO), "PNG", exif=turned(6))
    stored = bitmaps.decode(data, Limits(), BitmapRule(48, 64, 3, stored=True))
    np.testing.assert_array_equal(stored.pixels, PHOTO[..., ::-1])
    upright = bitmaps.decode(data, Limits(), BitmapRule(64, 48, 3, stored=False))
    np.testing.assert_array_equal(upright.pixels, np.rot90(PHOTO, -1)[..., ::-1])


@pytest.mark.parametrize(
    ("headers", "cut_at"),
    [
        ([], []),
        ([GONE], [0]),
        ([OF_300_BYTES, GONE, GONE], [0]),
        ([OF_300_BYTES, OF_300_BYTES, GONE], [0, 1]),
        ([GONE, Bitmap(5, 10, 3), Bitmap(10, 5, 3), Bitmap(1, 1, 1)], [0, 3]),
        ([Bitmap(100, 100, 3), Bitmap(1, 1, 1)], [0, 1]),
        ([Bitmap(20, 5, 3), Bitmap(3, 1, 1)], [0, 1]),
    ],
)
def test_a_window_has_no_more_pixels_than_its_bound_or_one_image(
    headers: list[Bitmap | Rejected], cut_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bitmaps, "BATCH_BYTES", 300)
    windows = list(bitmaps._windows(headers))
    assert [window.start for window in windows] == cut_at
    assert [index for window in windows for index in window] == list(range(len(headers)))


def test_thirty_photos_of_a_megabyte_are_one_window() -> None:
    assert list(bitmaps._windows([Bitmap(1000, 1000, 1)] * 30)) == [range(30)]


def test_where_there_are_no_bytes_no_process_is_asked() -> None:
    assert bitmaps._headers([GONE, GONE], Limits(), False) == [GONE, GONE]
