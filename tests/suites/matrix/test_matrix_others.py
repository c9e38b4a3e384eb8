"""PNGs, BMPs, GIFs, WebPs and JPEGs against imagecodecs and ImageMagick: the same pixels, or a reason."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from other_readers import JPEG_NOISE, Counts, by_imagecodecs, by_imagemagick, imagemagick, written_by_imagemagick
from support.bmp_files import OS2, every_bmp
from support.gif_files import Gif
from support.photos import encoded, picture, png_chunk, png_made

HEIGHT, WIDTH = 48, 64
RANDOM = np.random.default_rng(0)
NEEDS_IMAGEMAGICK = pytest.mark.skipif(
    imagemagick() is None, reason="ImageMagick is not installed: apt-get install imagemagick"
)


def pngs() -> Iterator[tuple[str, bytes]]:
    """Every depth and colour type, with chunks that change how some readers show them."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for colour, of in depths.items():
        for depth in of:
            size = (WIDTH * channels[colour] * depth + 7) // 8
            rows = b"".join(b"\0" + RANDOM.bytes(size) for _ in range(HEIGHT))
            data = png_made(WIDTH, HEIGHT, depth, colour, rows)
            palette = png_chunk(b"PLTE", RANDOM.bytes(3 << depth)) if colour == 3 else b""
            start = data.index(b"IDAT") - 4
            bits = png_chunk(b"sBIT", bytes([1] * (3 if colour == 3 else channels[colour])))
            for name, chunk in (("", b""), ("gamma", png_chunk(b"gAMA", (100_000).to_bytes(4))), ("sBIT", bits)):
                yield f"colour {colour}, {depth} bits {name}", data[:start] + chunk + palette + data[start:]


def test_pngs(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counts()
    for name, data in pngs():
        counts.add(name, data, by_imagecodecs(data, "PNG"), 0)
    for mode, options in product(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), ({}, {"optimize": True})):
        pixels = Image.fromarray(picture(WIDTH, HEIGHT))
        image = Image.fromarray(picture()[..., 0].astype(np.uint16) * 200) if mode == "I;16" else pixels.convert(mode)
        data = encoded(image, "PNG", **options)
        counts.add(f"Pillow {mode} {options}", data, by_imagecodecs(data, "PNG"), 0)
    with capsys.disabled():
        print(f" {counts} ", end="")
    assert (counts.wrong, counts.refused) == ([], 0)
    assert counts.read > 50


def test_gifs(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counts()
    for bits, interlaced, own, transparent in product(range(1, 9), (False, True), (False, True), (None, 1)):
        palette = RANDOM.integers(0, 256, (2**bits, 3))
        indices = RANDOM.integers(0, 2**bits, (HEIGHT, WIDTH))
        if transparent is not None:
            indices = np.where(indices == transparent, 0, indices)  # readers differ in what they show there
        screen, mine = (None, palette) if own else (palette, None)
        gif = Gif(indices, screen, mine, interlaced=interlaced, transparent=transparent)
        counts.add(f"{bits} bits {interlaced=} {own=}", gif.bytes(), by_imagecodecs(gif.bytes(), "GIF"), 0)
    with capsys.disabled():
        print(f" {counts} ", end="")
    assert (counts.wrong, counts.refused) == ([], 0)
    assert counts.read > 50


def test_webps_and_jpegs(capsys: pytest.CaptureFixture[str]) -> None:
    webp, jpeg = Counts(), Counts()
    rgb = Image.fromarray(picture(WIDTH, HEIGHT))
    alpha = Image.fromarray(np.dstack([picture(WIDTH, HEIGHT), picture(WIDTH, HEIGHT, 1)[..., 0]]))
    for image, lossless, method, quality in product((rgb, alpha), (False, True), (0, 3, 6), (1, 40, 80, 100)):
        data = encoded(image, "WEBP", lossless=lossless, method=method, quality=quality, exact=True)
        webp.add(f"{image.mode} {lossless=} {method=} {quality=}", data, by_imagecodecs(data, "WEBP"), 0)
    for mode, progressive, sampling in product(("L", "RGB", "CMYK"), (False, True), (0, 1, 2)):
        for more in ({}, {"restart_marker_blocks": 2}, {"optimize": True}, {"quality": 100}, {"keep_rgb": True}):
            if "keep_rgb" in more and (mode != "RGB" or sampling):
                continue
            image = rgb.convert(mode)
            more = {"quality": 90, **more}
            data = encoded(image, "JPEG", progressive=progressive, subsampling=sampling, **more)
            jpeg.add(f"{mode} {progressive=} {sampling=} {more}", data, by_imagecodecs(data, "JPEG"), JPEG_NOISE)
    with capsys.disabled():
        print(f" WebP: {webp}; JPEG: {jpeg} ", end="")
    assert (webp.wrong, jpeg.wrong, webp.refused, jpeg.refused) == ([], [], 0, 0)
    assert min(webp.read, jpeg.read) > 45


@NEEDS_IMAGEMAGICK
def test_bmps(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    counts = Counts()
    for number, bmp in enumerate(every_bmp()):
        if bmp.bits == 2:
            continue  # ImageMagick reads none either
        path = tmp_path / "written.bmp"
        path.write_bytes(bmp.bytes())
        other = by_imagemagick(path, "BMP", (*bmp.pixels.shape, 3))
        if bmp.header == OS2 or isinstance(other, str):
            # It takes palettes of OS/2 2.x for those of 1.x, and refuses some kinds, such as 24 bits with masks.
            other = bmp.rgb()
        # ImageMagick rounds 5 and 6 bits, and the definition is to the integer below.
        counts.add(f"{number}: {bmp.header=} {bmp.bits=} {bmp.compression=} {bmp.masks=}", bmp.bytes(), other, 1)
    with capsys.disabled():
        print(f" {counts} ", end="")
    assert counts.wrong == []
    assert counts.read > 150


VARIANTS: dict[str, list[tuple[str, ...]]] = {
    "PNG": [
        ("-type", kind, "-depth", depth, "-interlace", interlace)
        for kind, depth, interlace in product(
            ("Bilevel", "Grayscale", "GrayscaleMatte", "Palette", "PaletteMatte", "TrueColor", "TrueColorMatte"),
            ("1", "2", "4", "8", "16"),
            ("None", "PNG"),
        )
    ],
    "GIF": [
        ("-colors", colours, "-interlace", interlace)
        for colours, interlace in product(("2", "3", "4", "16", "100", "256"), ("None", "GIF"))
    ],
    "BMP3": [("-type", kind) for kind in ("Bilevel", "Grayscale", "Palette", "TrueColor", "TrueColorMatte")]
    + [("-colors", colours, "-compress", name) for colours, name in product(("2", "8", "16", "200"), ("None", "RLE"))],
    "BMP": [("-define", f"bmp:subtype={name}") for name in ("RGB555", "RGB565", "ARGB4444", "ARGB1555")],
    "WEBP": [
        ("-quality", quality, "-define", f"webp:lossless={lossless}", "-define", f"webp:method={method}")
        for quality, lossless, method in product(("30", "75", "100"), ("false", "true"), ("0", "4"))
    ],
    "JPEG": [
        ("-quality", quality, "-sampling-factor", sampling, "-interlace", interlace, "-type", kind)
        for quality, sampling, interlace, kind in product(
            ("50", "98"), ("1x1", "2x1", "2x2", "1x2"), ("None", "JPEG"), ("TrueColor", "Grayscale", "ColorSeparation")
        )
    ],
}


@NEEDS_IMAGEMAGICK
@pytest.mark.parametrize("kind", VARIANTS)
def test_files_of_imagemagick(kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(encoded(picture(WIDTH, HEIGHT), "PNG"))
    counts = Counts()
    for options in VARIANTS[kind]:
        target = tmp_path / "written"
        if (data := written_by_imagemagick(source, target, kind, options)) is not None:
            # To 8 bits ImageMagick rounds where we take the high byte.
            tolerance = 2 if kind in ("PNG", "GIF", "BMP", "BMP3") else JPEG_NOISE
            counts.add(" ".join(options), data, by_imagemagick(target, kind, (HEIGHT, WIDTH, 3)), tolerance)
            target.unlink()
    with capsys.disabled():
        print(f" {counts} ", end="")
    assert counts.wrong == []
    assert counts.read + counts.refused > 0
