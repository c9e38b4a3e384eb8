"""The strips of a TIFF, and what stands beyond its end: whole, cut, or of no matter for the pixels."""

from __future__ import annotations

import io
import resource
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.formats.tiff_layout import read_layout
from support.judging import LIMITS, decoded, why
from support.photos import encoded, picture
from support.tiff_files import ADOBE_DEFLATE, DEFLATE, JPEG, LONG, LZW, NONE, PACKBITS, RGB, SHORT, YCBCR, Tiff

PIXELS = picture(64, 48).astype(np.int64)
PLAIN = Tiff(PIXELS, 8, RGB, rows=10)


def test_strips_that_do_not_make_the_picture_are_corrupt() -> None:
    starts = [len(PLAIN.bytes()) - 64 * 48 * 3 + 64 * 30 * index for index in range(5)]
    few = replace(PLAIN, tags={273: (LONG, tuple(starts[:4])), 279: (LONG, (64 * 30,) * 4)})
    assert why(few.bytes()) == ("CORRUPT", "TIFF of 64 × 48 with 4 strips, the picture takes 5")
    many = replace(PLAIN, tags={273: (LONG, (*starts, starts[0])), 279: (LONG, (64 * 30,) * 6)})
    assert why(many.bytes()) == ("CORRUPT", "TIFF of 64 × 48 with 6 strips, the picture takes 5")
    short = replace(PLAIN, tags={279: (LONG, (64 * 30, 100, *(64 * 30,) * 3))})
    assert why(short.bytes()) == ("CORRUPT", "TIFF whose strip 1 has 100 bytes, its rows take 1920")
    assert why(replace(PLAIN, tags={278: (LONG, (0,))}).bytes())[0] == "CORRUPT"
    fewer = replace(PLAIN, compression=LZW, tags={279: (LONG, (100, 100))})
    assert why(fewer.bytes()) == ("CORRUPT", "TIFF with the lengths of 2 of 5 strips or tiles")
    in_bytes = replace(PLAIN, tags={259: (1, (1,))}).bytes()
    assert why(in_bytes) == ("CORRUPT", "TIFF whose tag 259 has type 1, which is not that of its whole numbers")


def test_strips_without_lengths_are_read_by_their_rows() -> None:
    assert np.array_equal(decoded(replace(PLAIN, tags={279: None}).bytes()), PIXELS)
    without = replace(PLAIN, compression=LZW, tags={279: None}).bytes()
    assert why(without) == ("CORRUPT", "TIFF with the lengths of 0 of 5 strips or tiles")


@pytest.mark.parametrize("compression", [NONE, LZW, JPEG])
@pytest.mark.parametrize(
    ("sides", "lost", "words"),
    [
        ({"rows": 10}, (0,), "1 of 5 strips"),
        ({"rows": 10}, (4,), "1 of 5 strips"),
        ({"rows": None}, (0,), "1 of 1 strips"),
        ({"rows": None, "tile": 16}, (0, 3, 11), "3 of 12 tiles"),
    ],
)
def test_what_gdal_leaves_out_is_not_read_from_the_header(
    sides: dict[str, int | None], lost: tuple[int, ...], words: str, compression: int
) -> None:
    """No offset and no length, as its option SPARSE_OK writes them. Without compression the header was the pixels."""
    how = {"encode": lambda part: encoded(part.astype(np.uint8)), "photometric": YCBCR} if compression == JPEG else {}
    made = replace(PLAIN, compression=compression, **sides, **how)  # type: ignore[arg-type]
    layout = read_layout(made.bytes())
    assert layout is not None
    offsets, lengths = layout.offsets, layout.lengths
    offsets[list(lost)] = lengths[list(lost)] = 0
    numbers = (324, 325) if layout.tiled else (273, 279)
    values = ((LONG, tuple(array.tolist())) for array in (offsets, lengths))
    left_out = replace(made, tags=dict(zip(numbers, values, strict=True))).bytes()
    assert why(left_out) == ("UNSUPPORTED_MODE", f"a TIFF that leaves out {words} is not read")


def test_a_strip_in_the_header_is_corrupt() -> None:
    starts = [len(PLAIN.bytes()) - 64 * 48 * 3 + 64 * 30 * index for index in range(5)]
    for first in (1, 7):
        data = replace(PLAIN, tags={273: (LONG, (first, *starts[1:]))}).bytes()
        assert why(data) == ("CORRUPT", f"TIFF whose strip 0 begins at byte {first}, in the header of the file")
    decoded(replace(PLAIN, tags={273: (LONG, (8, *starts[1:]))}).bytes())
    long = replace(PLAIN, tags={273: (LONG, (*starts[:3], 0, 0))}).bytes()
    assert why(long) == ("CORRUPT", "TIFF whose strip 3 begins at byte 0, in the header of the file")
    without = replace(PLAIN, tags={273: (LONG, (*starts[:3], 0, 0)), 279: None}).bytes()
    assert why(without) == ("UNSUPPORTED_MODE", "a TIFF that leaves out 2 of 5 strips is not read")


@pytest.mark.parametrize("lengths", [(0,), (900,)])
def test_jpeg_in_the_old_manner_needs_no_strip_but_its_stream(lengths: tuple[int, ...]) -> None:
    stream = encoded(picture(64, 48), quality=98)
    tags = {513: (LONG, (0,)), 514: (LONG, (len(stream),)), 273: (LONG, (0,)), 279: (LONG, lengths)}
    made = Tiff(PIXELS, 8, YCBCR, compression=6, encode=lambda _: stream, tags=tags)
    start = made.bytes().index(stream)
    found = decoded(replace(made, tags=tags | {513: (LONG, (start,))}).bytes())
    in_a_strip = {513: (LONG, (start,)), 273: (LONG, (start,)), 279: (LONG, (len(stream),))}
    assert np.array_equal(found, decoded(replace(made, tags=tags | in_a_strip).bytes()))
    assert np.abs(found.astype(int) - PIXELS).mean() < 8


@pytest.mark.parametrize("compression", [NONE, LZW, ADOBE_DEFLATE, DEFLATE, PACKBITS])
def test_a_last_strip_that_claims_too_many_bytes_is_whole_and_a_cut_one_is_not(compression: int) -> None:
    whole = replace(PLAIN, compression=compression)
    lengths = struct.unpack_from("<5I", whole.bytes(), _values_at(whole.bytes(), 279))
    claiming = replace(whole, tags={279: (LONG, (*lengths[:4], lengths[4] + 1000))}).bytes()
    assert np.array_equal(decoded(claiming), PIXELS)
    for missing in (1, 2, 7, lengths[4] // 2, lengths[4] - 1, lengths[4] + 1):
        for data in (whole.bytes(), claiming):
            with pytest.raises(Rejected) as cut:
                decoded(data[:-missing])
            assert cut.value.reason == "TRUNCATED"


def test_a_jpeg_strip_that_claims_too_many_bytes_is_whole_only_with_its_end_marker() -> None:
    stream = encoded(picture(64, 48), quality=98)
    whole = Tiff(PIXELS, 8, YCBCR, compression=JPEG, encode=lambda _: stream)
    claiming = replace(whole, tags={279: (LONG, (len(stream) + 500,))}).bytes()
    assert np.array_equal(decoded(claiming), decoded(whole.bytes()))
    for missing in (1, 2, 100):
        assert why_inspected(claiming[:-missing]) == "TRUNCATED"


def why_inspected(data: bytes) -> str:
    with pytest.raises(Rejected) as refused:
        images.inspect(data, LIMITS)
    return str(refused.value.reason)


def _values_at(data: bytes, wanted: int) -> int:
    (count,) = struct.unpack_from("<H", data, 8)
    for index in range(count):
        tag, _, _, start = struct.unpack_from("<HHII", data, 10 + 12 * index)
        if tag == wanted:
            return int(start)
    raise KeyError(wanted)


@pytest.mark.parametrize("tag", [270, 305, 700, 34675, 34665, 33432, 65000])
@pytest.mark.parametrize("compression", [NONE, LZW])
def test_metadata_that_begin_beyond_the_end_do_not_matter(tag: int, compression: int) -> None:
    words = (LONG, (7, 8)) if tag == 34665 else (2, (b"words of some length\0",))
    data = replace(PLAIN, compression=compression, tags={tag: words}).bytes()
    at = data.index(struct.pack("<HH", tag, words[0])) + 8
    for start in (len(data) + 1, 2**31, 2**32 - 1):
        assert np.array_equal(decoded(data[:at] + struct.pack("<I", start) + data[at + 4 :]), PIXELS)


def test_a_pointer_to_exif_beyond_the_end_does_not_matter() -> None:
    for compression in (NONE, LZW):
        data = replace(PLAIN, compression=compression, tags={34665: (LONG, (2**31,))}).bytes()
        assert np.array_equal(decoded(data), PIXELS)


def test_an_unknown_tag_of_any_length_does_not_matter() -> None:
    data = replace(PLAIN, tags={65000: (2, (b"words of some length\0",))}).bytes()
    at = data.index(struct.pack("<HH", 65000, 2)) + 4
    assert np.array_equal(decoded(data[:at] + struct.pack("<I", 10**6) + data[at + 4 :]), PIXELS)


def test_a_multi_page_file_is_read_to_its_first_page_though_the_next_is_missing() -> None:
    data = bytearray(PLAIN.bytes())
    (count,) = struct.unpack_from("<H", data, 8)
    struct.pack_into("<I", data, 10 + 12 * count, len(data) + 100)
    assert np.array_equal(decoded(bytes(data)), PIXELS)
    with Image.open(io.BytesIO(PLAIN.bytes())) as image:
        assert image.n_frames == 1


def test_a_directory_that_claims_millions_of_tiles_costs_nothing() -> None:
    tags = {256: (LONG, (7000,)), 257: (LONG, (7000,)), 322: (LONG, (1,)), 323: (LONG, (1,)), 277: (SHORT, (60_000,))}
    data = replace(PLAIN, rows=None, tile=16, planes=True, tags=tags).bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert why(data)[0] == "UNSUPPORTED_MODE"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
