"""Pictures of bands that tifffile writes, against tifffile itself: the same values, or a reason that is expected."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import tifffile

from imagefeatures.bands import decode
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.reasons import Reason
from support.band_files import values

HEIGHT, WIDTH = 37, 50
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "lzma", "zstd")
REFUSED = ("jpeg", "lerc", "jpeg2000", "png", "webp", "jpegxl")
READ = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}


def read(data: bytes, count: int, dtype: str) -> np.ndarray:
    channels = Channels.model_validate({"count": count, "dtype": dtype})
    return decode.decode(data, Limits(), Preprocessing(chain=(Bands(channels=channels),)), channels).pixels


def written(pixels: np.ndarray, **options: Any) -> bytes:
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink, byteorder=options.pop("byteorder")) as file:
        file.write(pixels, metadata=None, **options)
    return sink.getvalue()


def layouts() -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """[height, width, bands], and what tifffile is told."""
    parts: tuple[dict[str, Any], ...] = ({}, {"rowsperstrip": 8}, {"tile": (16, 32)})
    for count, dtype, order in product((1, 2, 3, 4, 12, 100), READ, "<>"):
        pixels = values((HEIGHT, WIDTH, count), dtype)
        for compression, planes, part, predictor in product(COMPRESSIONS, ("contig", "separate"), parts, (0, 1)):
            if (predictor and compression in (None, "packbits")) or (count == 1 and planes == "separate"):
                continue
            options = {"byteorder": order, "compression": compression, "photometric": "minisblack", **part}
            if predictor:
                options["predictor"] = 3 if dtype == "float32" else 2
            if count > 1:
                options["planarconfig"] = planes
                options["extrasamples"] = ["unspecified"] * (count - 1)
            yield pixels, options


def stored(pixels: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """The axes as tifffile takes them."""
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    return np.moveaxis(pixels, 2, 0) if options["planarconfig"] == "separate" else pixels


def test_layouts_that_tifffile_writes_are_tifffiles(capsys: pytest.CaptureFixture[str]) -> None:
    wrong, count = [], 0
    for pixels, options in layouts():
        data = written(stored(pixels, options), **options)
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            other = file.pages[0].asarray()
        other = other[..., None] if pixels.shape[2] == 1 else other
        other = np.moveaxis(other, 0, 2) if options.get("planarconfig") == "separate" else other
        try:
            found = read(data, pixels.shape[2], pixels.dtype.name)
        except Rejected as why:
            wrong.append(f"{pixels.shape} {pixels.dtype} {options}: {why}")
            continue
        if not (np.array_equal(found, other) and np.array_equal(found, pixels)):
            wrong.append(f"{pixels.shape} {pixels.dtype} {options}: other values")
        count += 1
    with capsys.disabled():
        print(f" {count:,} TIFFs of bands ", end="")
    assert wrong == []
    assert count > 1500


@pytest.mark.parametrize("dtype", READ)
def test_pages_that_tifffile_writes_are_bands(dtype: str) -> None:
    for count, order, compression in product((2, 12, 100), "<>", COMPRESSIONS):
        pixels = values((count, HEIGHT, WIDTH), dtype)
        data = written(pixels, byteorder=order, compression=compression, photometric="minisblack")
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            assert len(file.pages) == count
            assert np.array_equal(file.asarray(), pixels)
        assert np.array_equal(read(data, count, dtype), np.moveaxis(pixels, 0, 2))


def test_a_picture_with_smaller_copies_of_itself_is_read(tmp_path: Any) -> None:
    """As of a cloud-optimized GeoTIFF: its overviews are later pages, which say that they are reduced."""
    pixels, sink = values((64, 64, 12), "uint16"), io.BytesIO()
    with tifffile.TiffWriter(sink) as file:
        options: dict[str, Any] = {
            "photometric": "minisblack",
            "planarconfig": "contig",
            "tile": (16, 16),
            "metadata": None,
        }
        file.write(pixels, **options)
        file.write(pixels[::2, ::2], subfiletype=1, **options)
        file.write(pixels[::4, ::4], subfiletype=1, **options)
    assert np.array_equal(read(sink.getvalue(), 12, "uint16"), pixels)


def test_other_types_and_compressions_are_refused_by_their_names() -> None:
    reasons: Counter[Reason] = Counter()
    for dtype in ("int8", "int16", "int32", "uint32", "uint64", "float16", "float64", "complex64"):
        data = written(
            np.ones((HEIGHT, WIDTH, 4), dtype), byteorder="<", photometric="minisblack", planarconfig="contig"
        )
        for wanted in READ:
            with pytest.raises(Rejected) as found:
                read(data, 4, wanted)
            reasons[found.value.reason] += 1
    for compression in REFUSED:
        data = written(np.ones((HEIGHT, WIDTH, 3), np.uint8), byteorder="<", photometric="rgb", compression=compression)
        with pytest.raises(Rejected, match="not read as bands") as found:
            read(data, 3, "uint8")
        reasons[found.value.reason] += 1
    assert reasons == {Reason.UNSUPPORTED_MODE: 24, Reason.UNSUPPORTED_FORMAT: 6}
