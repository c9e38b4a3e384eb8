"""TIFFs of every layout against tifffile and ImageMagick: the same pixels, or a reason."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from other_readers import JPEG_NOISE, Counts, by_imagemagick, by_tifffile, imagemagick, written_by_imagemagick
from support.photos import encoded, picture
from support.tiff_files import YCBCR
from support.tiff_matrix import COMPRESSIONS, is_documented, kinds, layouts

HEIGHT, WIDTH = 48, 64


def test_layouts_from_the_specification(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is compared with its definition by tests/formats/test_tiff_matrix.py; here with tifffile."""
    counts, documented = Counts(), 0
    for kind in kinds():
        for tiff in layouts(kind, COMPRESSIONS):
            data = tiff.bytes()
            other: np.ndarray | str = "that the documents do not say that it is read"
            if is_documented(tiff):
                documented += 1
                other = tiff.rgb() if tiff.reversed_bits else by_tifffile(data)  # tifffile turns no compressed bits
            tolerance = 1 if tiff.photometric == YCBCR or 1 in tiff.extra else 0
            name = f"{kind} {tiff.order} {tiff.planes=} {tiff.compression=} {tiff.reversed_bits=} {tiff.predictor=}"
            counts.add(name, data, other, tolerance)
    with capsys.disabled():
        print(f" {counts} ", end="")
    assert counts.wrong == []
    assert counts.read == documented > 245


def written_by_tifffile() -> Iterator[tuple[str, bytes, int]]:
    """Files that tifffile writes: their names, bytes, and how far decoders may be apart."""
    random = np.random.default_rng(0)
    colours = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4, "palette": 1}
    types = ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")
    compressions = (None, "zlib", "lzw", "packbits", "lzma", "zstd")
    for (photometric, samples), dtype, order, compression in product(colours.items(), types, "<>", compressions):
        shape = (HEIGHT, WIDTH) if samples == 1 else (HEIGHT, WIDTH, samples)
        pixels = random.integers(0, 127 if dtype == "i1" else 255, shape).astype(dtype)
        if dtype == "u2":
            pixels = random.integers(0, 65536, shape).astype(dtype)
        for planes, predictor in product(("contig", "separate"), (False, True)):
            options: dict[str, Any] = {"photometric": photometric, "compression": compression, "byteorder": order}
            if samples > 1:
                options["planarconfig"] = planes
                pixels_in = np.moveaxis(pixels, 2, 0) if planes == "separate" else pixels
            elif planes == "separate":
                continue
            else:
                pixels_in = pixels
            if photometric == "palette":
                if dtype != "u1" or predictor:
                    continue
                options["colormap"] = random.integers(0, 65536, (3, 256)).astype("u2")
            if predictor:
                options["predictor"] = True
            options |= {"rowsperstrip": 20} if order == "<" else {"tile": (16, 32)}
            yield from _written(f"{photometric} {dtype} {options}", pixels_in, options, 0)
    rgb = picture(WIDTH, HEIGHT)
    for extra in (["unspecified"], ["assocalpha"], ["unassalpha"]):
        four = np.dstack([rgb, np.full((HEIGHT, WIDTH), 255, np.uint8)])
        yield from _written(f"rgb and {extra}", four, {"photometric": "rgb", "extrasamples": extra}, 0)
        two = four[..., [0, 3]]
        yield from _written(f"grey and {extra}", two, {"photometric": "minisblack", "extrasamples": extra}, 0)
    for compression in ("jpeg", "jpeg2000", "jpegxl", "png", "webp", "jpegxr"):
        for pixels, photometric in ((rgb, "rgb"), (np.ascontiguousarray(rgb[..., 0]), "minisblack")):
            options = {"photometric": photometric, "compression": compression, "rowsperstrip": 16}
            yield from _written(f"{photometric} by {compression}", pixels, options, JPEG_NOISE)
    for sampling in ((1, 1), (2, 1), (2, 2)):
        options = {"photometric": "ycbcr", "compression": "jpeg", "subsampling": sampling, "rowsperstrip": 16}
        yield from _written(f"ycbcr {sampling}", _smooth(), options, JPEG_NOISE + 6)
    for bands in (2, 4, 5, 8):
        many = random.integers(0, 256, (bands, HEIGHT, WIDTH)).astype("u1")
        options = {"photometric": "minisblack", "planarconfig": "separate"}
        yield from _written(f"{bands} bands", many, options, 0)
    flags = rgb[..., 0] > 127
    for photometric in ("minisblack", "miniswhite"):
        for compression in (None, "packbits", "zlib"):
            yield from _written(
                f"flags {photometric}", flags, {"photometric": photometric, "compression": compression}, 0
            )


def _smooth() -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(WIDTH) * 4, np.arange(HEIGHT) * 5)
    return np.stack([columns, rows, (columns + rows) // 2], axis=2).astype(np.uint8)


def _written(
    name: str, pixels: np.ndarray, options: dict[str, Any], tolerance: int
) -> Iterator[tuple[str, bytes, int]]:
    sink = io.BytesIO()
    try:
        tifffile.imwrite(sink, pixels, metadata=None, **options)
    except Exception:  # a combination that tifffile does not write
        return
    yield name, sink.getvalue(), tolerance


def test_files_of_tifffile(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counts()
    for name, data, tolerance in written_by_tifffile():
        counts.add(name, data, by_tifffile(data), tolerance)
    with capsys.disabled():
        print(f" {counts} ", end="")
    assert counts.wrong == []
    assert counts.read + counts.refused > 245
    assert min(counts.read, counts.refused) > 50


@pytest.mark.skipif(imagemagick() is None, reason="ImageMagick is not installed: apt-get install imagemagick")
def test_files_of_imagemagick(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(encoded(picture(WIDTH, HEIGHT), "PNG"))
    types = ("Bilevel", "Grayscale", "GrayscaleMatte", "Palette", "TrueColor", "TrueColorMatte", "ColorSeparation")
    variants: list[tuple[str, ...]] = [
        ("-type", kind, "-depth", depth, "-compress", compression, "-endian", endian)
        for kind, depth, compression, endian in product(
            types, ("8", "16"), ("None", "LZW", "Zip", "RLE"), ("LSB", "MSB")
        )
    ]
    for kind, compression in product(("Grayscale", "TrueColor", "ColorSeparation"), ("None", "LZW")):
        for depth in ("8", "16", "32"):
            base = ("-type", kind, "-compress", compression, "-depth", depth)
            variants += [
                (*base, "-interlace", "Plane"),
                (*base, "-define", "quantum:format=floating-point"),
                (*base, "-define", "tiff:fill-order=lsb"),
                (*base, "-define", "tiff:tile-geometry=32x32"),
            ]
    for depth, polarity in product(("1", "2", "4", "8"), ("min-is-black", "min-is-white")):
        variants.append(("-type", "Grayscale", "-depth", depth, "-define", f"quantum:polarity={polarity}"))
    variants += [("-type", "Bilevel", "-compress", name) for name in ("Fax", "Group4")]
    variants += [("-type", name, "-compress", "JPEG", "-quality", "95") for name in ("TrueColor", "Grayscale")]
    counts = Counts()
    for options in variants:
        target = tmp_path / "written.tif"
        if (data := written_by_imagemagick(source, target, "TIFF", options)) is not None:
            # To 8 bits ImageMagick rounds where we take the high byte; and it has a formula of its own for inks.
            tolerance = JPEG_NOISE if "JPEG" in options else 2
            # ImageMagick turns grey of 2 and 4 bits neither when it writes nor when it reads: the file says otherwise.
            turned = "quantum:polarity=min-is-white" in options
            other = by_tifffile(data) if turned else by_imagemagick(target, "TIFF", (HEIGHT, WIDTH, 3))
            counts.add(" ".join(options), data, other, tolerance)
            target.unlink()
    with capsys.disabled():
        print(f" {counts} ", end="")
    assert counts.wrong == []
    assert counts.read > 100
