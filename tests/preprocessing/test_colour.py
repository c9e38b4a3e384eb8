"""Alpha on a matte and grayscale, against the same arithmetic in NumPy, for every way a file may say transparency."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images, isolation
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing, Upright
from imagefeatures.preprocessing.colour import Alpha, Grayscale
from imagefeatures.preprocessing.geometry import CenterCrop, Crop, Flip, Pad, Resize
from imagefeatures.preprocessing.shapes import Shape
from support import chains
from support.photos import encoded, lab_tiff, picture, png_chunk

LIMITS = Limits()
MATTE = (10, 200, 255)


def on_matte(colours: np.ndarray, alpha: np.ndarray, matte: tuple[int, int, int] = MATTE) -> np.ndarray:
    """colours: [height, width, 3]. alpha: [height, width], 0 to 255. 255 is odd: there is no half to round."""
    alpha = alpha.astype(np.int64)[..., None]
    return np.rint((colours.astype(np.int64) * alpha + np.array(matte) * (255 - alpha)) / 255).astype(np.uint8)


def decoded(data: bytes, *chain: Any) -> np.ndarray:
    """The pixels in their own size."""
    return images.decode(data, LIMITS, _Whole(chain)).pixels


class _Whole:
    """A chain that leaves the size as it is."""

    shape = (0,)

    def __init__(self, chain: tuple[Any, ...]) -> None:
        self.chain = Preprocessing(chain=(Upright(), *chain))

    def __call__(self, image: Image.Image) -> np.ndarray:
        return self.chain(image)


COLOURS, ALPHA = picture(40, 30), picture(40, 30, 3)[..., 1]
GREYS = COLOURS[..., 0]


def png_with_transparency(rows: np.ndarray, depth: int, colour: int, transparent: bytes) -> bytes:
    """A PNG file. rows: uint8 [height, bytes of a row]."""
    height = len(rows)
    width = rows.shape[1] * 8 // depth // {0: 1, 2: 3}[colour]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in chunks)


def test_an_alpha_channel_lays_the_colours_on_the_matte() -> None:
    rgba = np.dstack([COLOURS, ALPHA])
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        data = encoded(Image.fromarray(rgba, "RGBA"), kind, **options)
        assert np.array_equal(decoded(data, Alpha(matte=MATTE)), on_matte(COLOURS, ALPHA)), kind


def test_every_value_on_every_alpha_is_rounded() -> None:
    values, alpha = np.meshgrid(np.arange(256), np.arange(256))
    rgba = np.dstack([values, values, values, alpha]).astype(np.uint8)
    for matte in ((0, 0, 0), (255, 255, 255), (1, 127, 254)):
        found = np.asarray(Alpha(matte=matte)(Image.fromarray(rgba, "RGBA")))
        assert np.array_equal(found, on_matte(rgba[..., :3], alpha, matte))


def test_grey_with_alpha_too() -> None:
    data = encoded(Image.fromarray(np.dstack([GREYS, ALPHA]), "LA"), "PNG")
    assert np.array_equal(decoded(data, Alpha(matte=MATTE)), on_matte(np.dstack([GREYS] * 3), ALPHA))


@pytest.mark.parametrize("mode", ["RGBa", "La"])
def test_colours_that_are_multiplied_already_are_divided_first(mode: str) -> None:
    straight = Image.fromarray(np.dstack([COLOURS, ALPHA]), "RGBA")
    multiplied = straight.convert("RGBa") if mode == "RGBa" else straight.convert("LA").convert("La")
    back = np.asarray(multiplied.convert(mode.upper()).convert("RGBA"))
    assert np.array_equal(np.asarray(Alpha(matte=MATTE)(multiplied)), on_matte(back[..., :3], back[..., 3]))


def test_a_palette_with_alpha() -> None:
    index = Image.fromarray((GREYS // 16).astype(np.uint8), "P")
    colours = [(at * 16, 255 - at * 9, at * 3) for at in range(16)]
    index.putpalette([value for colour in colours for value in colour])
    alphas = np.array([at * 17 for at in range(16)])
    drawn = np.array(colours)[GREYS // 16]
    of_each = encoded(index, "PNG", transparency=bytes(alphas.tolist()))
    assert np.array_equal(decoded(of_each, Alpha(matte=MATTE)), on_matte(drawn, alphas[GREYS // 16]))
    for kind in ("PNG", "GIF"):
        of_one = encoded(index, kind, transparency=5)
        wanted = on_matte(drawn, np.where(GREYS // 16 == 5, 0, 255))
        assert np.array_equal(decoded(of_one, Alpha(matte=MATTE)), wanted), kind


def test_a_gif_of_greys_with_a_transparent_one() -> None:
    greys = np.arange(256, dtype=np.uint8).repeat(2).reshape(16, 32)
    data = encoded(Image.fromarray(greys), "GIF", transparency=77)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.info["transparency"]) == ("L", 77)
    wanted = on_matte(np.dstack([greys] * 3), np.where(greys == 77, 0, 255))
    assert np.array_equal(decoded(data, Alpha(matte=MATTE)), wanted)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("share", [0, 0.4, 1])
def test_a_transparent_grey_of_every_depth(depth: int, share: float) -> None:
    transparent = int(share * (2**depth - 1))
    values = np.random.default_rng(depth).integers(0, 2**depth, (6, 16))
    values[:, :8] = transparent
    bits = (values[..., None] >> np.arange(depth)[::-1] & 1).astype(np.uint8)
    rows = np.packbits(bits.reshape(6, -1), axis=1)
    unused = 0xFFFF << depth & 0xFFFF if depth > 1 else 0  # bits that a pixel has not count for nothing
    data = png_with_transparency(rows, depth, 0, struct.pack(">H", transparent | unused))
    grey = np.rint(values * np.float32(255 / (2**depth - 1))).astype(np.uint8)
    wanted = on_matte(np.dstack([grey] * 3), np.where(values == transparent, 0, 255))
    assert (wanted[:, :8] == MATTE).all()
    assert np.array_equal(decoded(data, Alpha(matte=MATTE)), wanted)


def test_a_transparent_colour_of_eight_bits_and_none_of_sixteen() -> None:
    eight = COLOURS.reshape(30, -1)
    data = png_with_transparency(eight, 8, 2, struct.pack(">HHH", *COLOURS[4, 5]))
    wanted = on_matte(COLOURS, np.where((COLOURS[4, 5] == COLOURS).all(-1), 0, 255))
    assert (wanted == MATTE).all(-1).any()
    assert np.array_equal(decoded(data, Alpha(matte=MATTE)), wanted)
    more = png_with_transparency(eight, 8, 2, struct.pack(">HHH", *(COLOURS[4, 5].astype(int) | 0xA500)))
    assert np.array_equal(decoded(more, Alpha(matte=MATTE)), wanted)
    sixteen = np.repeat(eight, 2, axis=1)
    for factor in (1, 257):  # 1: a colour of which the decoded picture has the numbers, and the file has not
        data = png_with_transparency(sixteen, 16, 2, struct.pack(">HHH", *(factor * COLOURS[4, 5].astype(int))))
        assert np.array_equal(decoded(data, Alpha(matte=MATTE)), COLOURS)
    assert np.array_equal(decoded(data, Alpha(matte=MATTE), Grayscale()), chains.grayscale(COLOURS))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_picture_without_alpha_is_converted_to_rgb(mode: str) -> None:
    data = encoded(Image.fromarray(COLOURS).convert(mode), "JPEG")
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(decoded(data, Alpha(matte=MATTE)), np.asarray(image.convert("RGB")))


def test_a_mode_without_a_rule_is_rejected_with_a_matte_too() -> None:
    with pytest.raises(Rejected, match="UNSUPPORTED_MODE"):
        decoded(lab_tiff(), Alpha(matte=MATTE))


def test_grey_is_the_luminance_of_every_colour() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (50, 60, 3), np.uint8)
    noise[0, :3] = [[255, 255, 255], [0, 0, 0], [255, 0, 0]]
    made = np.asarray(Grayscale()(Image.fromarray(noise)))
    assert np.array_equal(made, chains.grayscale(noise))
    assert made[0, :3].tolist() == [[255] * 3, [0] * 3, [76] * 3]


def test_a_model_of_one_channel_gets_one() -> None:
    chain = Preprocessing(
        chain=(Upright(), Alpha(matte=MATTE), Grayscale(channels=1), Resize(longest_edge=20), Pad(size=(20, 21)))
    )
    assert chain.shape == (20, 21, 1)
    made = chain(Image.fromarray(COLOURS))
    small = Image.fromarray(chains.grayscale(COLOURS)[..., 0]).resize((20, 15), Image.Resampling.BICUBIC)
    assert made.shape == (20, 21, 1)
    assert np.array_equal(made[2:17, :20, 0], np.asarray(small))
    assert not made[:2].any()
    square = np.asarray(Resize(size=(20, 20))(Image.fromarray(GREYS)))
    assert np.array_equal(square, np.asarray(Image.fromarray(GREYS).resize((20, 20), Image.Resampling.BICUBIC)))
    assert Grayscale(channels=1).shape(Shape(1, 2, 3)) == Shape(1, 2, 1)
    assert Grayscale().shape(Shape(1, 2, 3)) == Alpha(matte=MATTE).shape(Shape(1, 2, None)) == Shape(1, 2, 3)


def test_a_process_that_is_locked_in_has_all_that_the_transforms_need() -> None:
    """Pillow and NumPy import some of their modules when they need them, and this process can import nothing."""
    transparent = png_with_transparency(COLOURS.reshape(30, -1), 8, 2, struct.pack(">HHH", *COLOURS[4, 5]))
    index = Image.fromarray(GREYS // 16, "P")
    index.putpalette(bytes(range(48)))
    blobs = [
        encoded(Image.fromarray(np.dstack([COLOURS, ALPHA]), "RGBA"), "PNG"),
        encoded(index, "GIF", transparency=5),
        encoded(GREYS.astype(np.uint16) * 257, "PNG"),
        transparent,
    ]
    chain = Preprocessing(
        chain=(
            Upright(), Alpha(matte=MATTE), Flip(), Crop(x=2, y=3, width=30, height=20), Grayscale(channels=3),
            CenterCrop(size=(10, 40)), Resize(longest_edge=20, interpolation="hamming"), Pad(size=(20, 20)),
        )
    )  # fmt: skip
    process = isolation.Isolated(images.decode)
    batch = process.run(blobs, LIMITS, chain)
    process.stop()
    assert set(batch.records["state"]) == {isolation.DONE}
    for found, data in zip(batch.pixels, blobs, strict=True):
        assert np.array_equal(found, images.decode(data, LIMITS, chain).pixels)
