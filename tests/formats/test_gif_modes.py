"""What a GIF and a WebP declare of the first image on its screen, and of its colours."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.errors import Rejected
from support.gif_files import Gif
from support.judging import LIMITS, decoded, rgb, why
from support.photos import encoded, picture

RANDOM = np.random.default_rng(0)
PALETTE = RANDOM.integers(0, 256, (256, 3)).astype(np.uint8)
INDICES = RANDOM.integers(0, 256, (20, 30))
PLAIN = Gif(INDICES, PALETTE)


def on_screen(around: np.ndarray) -> np.ndarray:
    """The image at (5, 7) of a screen of 40 × 41."""
    pixels = np.broadcast_to(around, (41, 40, 3)).copy()
    pixels[7:27, 5:35] = PALETTE[INDICES]
    return pixels


OFFSET = replace(PLAIN, screen=(40, 41), corner=(5, 7))
GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 5, 8])
@pytest.mark.parametrize("own", [False, True], ids=["the screen's palette", "its own palette"])
def test_the_first_image_is_read_with_its_palette(interlaced: bool, bits: int, own: bool) -> None:
    palette = PALETTE[: 2**bits]
    gif = Gif(INDICES % 2**bits, PALETTE[::-1] if own else palette, palette if own else None, interlaced=interlaced)
    for transparent in (None, 1):
        data = replace(gif, transparent=transparent).bytes()
        assert np.array_equal(decoded(data), palette[INDICES % 2**bits])


def test_greys_in_order_are_read() -> None:
    assert np.array_equal(decoded(replace(PLAIN, palette=GREYS).bytes()), GREYS[INDICES])


def test_the_screen_around_the_image_has_the_colour_that_is_declared() -> None:
    other = PALETTE[::-1]
    assert np.array_equal(decoded(OFFSET.bytes()), on_screen(PALETTE[0]))
    assert np.array_equal(decoded(replace(OFFSET, transparent=9, background=3).bytes()), on_screen(PALETTE[9]))
    same_colour = replace(OFFSET, palette=other, own=PALETTE, background=255)
    assert np.array_equal(decoded(same_colour.bytes()), on_screen(PALETTE[0]))
    beyond = replace(PLAIN, screen=(10, 10))  # the screen grows with its first image
    assert np.array_equal(decoded(beyond.bytes()), PALETTE[INDICES])


def test_a_screen_with_another_colour_around_the_image_is_refused() -> None:
    detail = (
        "a GIF whose first image, 30 × 20, leaves out parts of 40 × 41 is only read where the colour around it is the "
        "first of its palette"
    )
    for gif in (
        replace(OFFSET, background=7),
        replace(OFFSET, own=PALETTE[::-1]),
        replace(OFFSET, palette=None, own=PALETTE),
        replace(OFFSET, corner=(0, 0), background=7),
    ):
        assert why(gif.bytes()) == ("UNSUPPORTED_MODE", detail)


def test_a_gif_without_a_palette_is_refused() -> None:
    assert why(Gif(INDICES).bytes()) == ("UNSUPPORTED_MODE", "a GIF without a palette is not read")


@pytest.mark.parametrize("colours", [PALETTE[:64], GREYS[:64]], ids=["colours", "greys in order"])
@pytest.mark.parametrize("stray", [64, 200])
def test_a_pixel_behind_the_end_of_the_palette_is_corrupt(stray: int, colours: np.ndarray) -> None:
    assert np.array_equal(decoded(Gif(INDICES % 64, colours).bytes()), colours[INDICES % 64])
    data = Gif(np.where(INDICES % 64 == 7, stray, INDICES % 64), colours).bytes()
    assert images.inspect(data, LIMITS).format == "GIF"
    with pytest.raises(Rejected, match=f"a pixel has colour {stray} of a palette of 64") as outside:
        images.decode(data, LIMITS, rgb)
    assert outside.value.reason == "CORRUPT"


@pytest.mark.parametrize("colours", [PALETTE[:64], GREYS[:64]], ids=["colours", "greys in order"])
def test_a_transparent_colour_that_the_palette_has_not_is_no_damage_and_no_colour(colours: np.ndarray) -> None:
    """Editors choose any number for it. Where it does not show, the picture is read."""
    few = INDICES % 64
    assert np.array_equal(decoded(Gif(few, colours, transparent=200).bytes()), colours[few])
    shown = Gif(np.where(few == 7, 200, few), colours, transparent=200)
    with pytest.raises(Rejected) as refused:
        images.decode(shown.bytes(), LIMITS, rgb)
    detail = "a GIF that shows its transparent colour, 200 of a palette of 64, is not read"
    assert (refused.value.reason, refused.value.detail) == ("UNSUPPORTED_MODE", detail)
    for other in (replace(shown, transparent=201), replace(shown, transparent=3), replace(shown, transparent=None)):
        with pytest.raises(Rejected, match="a pixel has colour 200 of a palette of 64"):
            images.decode(other.bytes(), LIMITS, rgb)
    both = Gif(np.where(few == 7, 200, np.where(few == 8, 100, few)), colours, transparent=200)
    with pytest.raises(Rejected, match="a pixel has colour 200 of a palette of 64"):
        images.decode(both.bytes(), LIMITS, rgb)


@pytest.mark.parametrize(("number", "count"), [(64, 64), (255, 64), (200, 2)])
def test_a_transparent_colour_that_the_palette_has_not_is_not_shown_around_the_image(number: int, count: int) -> None:
    around = Gif(INDICES % count, PALETTE[:count], screen=(40, 41), corner=(5, 7), transparent=number)
    detail = (
        f"a GIF is not read where its transparent colour, {number}, is none of the {count} of its palette and shows "
        "around its first image"
    )
    assert why(around.bytes()) == ("UNSUPPORTED_MODE", detail)
    assert why(replace(around, palette=PALETTE, own=PALETTE[:count]).bytes()) == ("UNSUPPORTED_MODE", detail)
    decoded(replace(around, transparent=count - 1).bytes())


@pytest.mark.parametrize("bits", [12, 13, 255])
@pytest.mark.parametrize("own", [False, True], ids=["screen's palette", "own palette"])
def test_colours_of_more_than_11_bits_are_corrupt(bits: int, own: bool) -> None:
    data = Gif(INDICES, None if own else PALETTE, PALETTE if own else None).bytes()
    at = 13 + 768 + 10
    assert data[at] == 8
    assert why(data[:at] + bytes([bits]) + data[at + 1 :]) == ("CORRUPT", f"GIF with colours of {bits} bits")


@pytest.mark.parametrize("codes", [0, 1, 299, 599])
def test_a_gif_whose_codes_end_too_early_is_truncated(codes: int) -> None:
    for interlaced in (False, True):
        data = replace(PLAIN, codes=codes, interlaced=interlaced).bytes()
        assert images.inspect(data, LIMITS).format == "GIF"  # its blocks are whole
        with pytest.raises(Rejected) as short:
            images.decode(data, LIMITS, rgb)
        assert short.value.reason == "TRUNCATED"


# WebP


def test_an_animated_webp_gives_its_first_frame_where_that_covers_the_canvas() -> None:
    frames = [Image.fromarray(picture(seed=seed)) for seed in range(3)]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(decoded(data), picture())
    wider = bytearray(data)
    wider[24:27] = (63 + 10).to_bytes(3, "little")  # the canvas: ten columns more
    assert why(bytes(wider)) == (
        "UNSUPPORTED_MODE",
        "a WebP whose first frame, 64 × 48, leaves out parts of 74 × 48 is not read",
    )


@pytest.mark.parametrize("options", [{"lossless": True, "exact": True}, {"lossless": True, "exif": b"Exif\0\0"}])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_lossless_webp_gives_its_stored_colours(options: dict[str, object], alpha: bool) -> None:
    pixels = picture(70, 50)
    stored = np.dstack([pixels, np.full((50, 70), 90, np.uint8)]) if alpha else pixels
    assert np.array_equal(decoded(encoded(stored, "WEBP", **options)), pixels)


def test_a_webp_whose_frame_is_not_of_its_canvas_is_refused() -> None:
    data = bytearray(encoded(picture(), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0" + bytes(6)))
    assert data[12:16] == b"VP8X"
    data[24:27] = struct.pack("<I", 70)[:3]
    assert why(bytes(data))[0] == "CORRUPT"
