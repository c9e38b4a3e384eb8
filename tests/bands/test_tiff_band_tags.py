"""The directories of a TIFF of bands: which tags count as metadata, and what a page must have."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from imagefeatures.bands import decode
from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff_bands
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.reasons import Reason
from support.band_files import tiff_pages, values
from support.photos import encoded
from support.tiff_files import BLACK_IS_ZERO, BYTE, DEFLATE, LONG, LZW, NONE, PACKBITS, SHORT, Tiff

CHANNELS = Channels(count=3)
SAMPLES = values((9, 8, 3), "uint8").astype(np.int64)


def made(compression: int = NONE, predictor: bool = False, **tags: object) -> bytes:
    file = Tiff(SAMPLES, 8, BLACK_IS_ZERO, extra=(0, 0), compression=compression, predictor=predictor)
    return file.bytes() if not tags else Tiff(**{**vars(file), **tags}).bytes()


def verdict(data: bytes, most: int = 2**24) -> str:
    try:
        tiff_bands.read_pages(data, Limits(max_metadata_bytes=most), CHANNELS)
    except Rejected as why:
        return f"{why.reason}: {why.detail}"
    return ""


def test_the_tags_of_all_pages_count_as_metadata_to_the_byte() -> None:
    plain, noted = made(), made(tags={700: (BYTE, (0,) * 5000)})
    least = next(most for most in range(1, 200) if not verdict(plain, most))
    assert verdict(noted, least + 5000) == ""
    assert verdict(noted, least + 4999).startswith("METADATA_TOO_LARGE: ")
    unknown = noted.replace(struct.pack("<HHI", 700, BYTE, 5000), struct.pack("<HHI", 700, 99, 5000))
    assert verdict(unknown, least) == ""  # nobody knows how large the values of that type are
    pages = tiff_pages([values((9, 8, 1), "uint8", seed) for seed in range(3)])
    of_one = next(most for most in range(1, 200) if not verdict(plain, most))
    assert verdict(pages, of_one).startswith("METADATA_TOO_LARGE: ")


def test_a_directory_is_whole_with_the_place_of_the_next() -> None:
    data = tiff_pages([values((9, 8, 3), "uint8")])
    assert verdict(data) == ""
    for length in (*range(4, 8), *range(len(data) - 4, len(data))):  # of the first directory the place is cut, too
        said = f"TRUNCATED: TIFF of {length} bytes without the whole of a directory"
        assert verdict(data[:length]) == said


@pytest.mark.parametrize("tag", [256, 257])
def test_a_page_without_a_side_is_corrupt(tag: int) -> None:
    size = "0 × 9" if tag == 256 else "8 × 0"
    said = f"CORRUPT: TIFF of {size} without strips or tiles of a size"
    assert verdict(made(tags={tag: (LONG, (0,))})) == said


def test_every_page_is_of_a_layout_that_is_read() -> None:
    data = tiff_pages([values((9, 8, 3), "uint8")] * 2, subfile=(0, 1))
    place = data.rindex(struct.pack("<HHII", 259, LONG, 1, 1))
    assert verdict(data) == ""
    changed = data[:place] + struct.pack("<HHII", 259, LONG, 1, 7) + data[place + 12 :]
    assert verdict(changed) == ""  # a reduced page is not looked at
    place = changed.rindex(struct.pack("<HHII", 254, LONG, 1, 1))
    band = changed[:place] + struct.pack("<HHII", 254, LONG, 1, 0) + changed[place + 12 :]
    assert verdict(band) == "UNSUPPORTED_FORMAT: found a TIFF image compressed by JPEG, which is not read as bands"


def test_a_page_without_samples_is_not_read() -> None:
    assert verdict(made(tags={277: (SHORT, (0,))})).endswith(" is not read as bands")


def test_a_file_without_a_directory_is_corrupt() -> None:
    data = tiff_pages([values((9, 8, 3), "uint8")])
    assert verdict(data[:4] + bytes(4) + data[8:]) == "CORRUPT: TIFF without a page"


@pytest.mark.parametrize(("compression", "is_read"), [(LZW, True), (NONE, False), (PACKBITS, False)])
def test_a_predictor_is_of_compressions_that_have_one(compression: int, is_read: bool) -> None:
    found = verdict(made(compression, predictor=True))
    assert (found == "") == is_read
    assert is_read or "predictor 2" in found
    assert verdict(made(compression)) == ""


@pytest.mark.parametrize(("orientation", "found"), [(0, 1), (1, 1), (2, 2), (8, 8), (9, 1)])
def test_an_orientation_is_one_of_eight(orientation: int, found: int) -> None:
    pages = tiff_bands.read_pages(made(tags={274: (SHORT, (orientation,))}), Limits(), CHANNELS)
    assert (pages.orientation, pages.count, pages.size, pages.dtype) == (found, 3, (8, 9), "uint8")


def test_an_orientation_without_a_value_or_of_another_type_is_none() -> None:
    data = made(tags={274: (SHORT, (6,))})
    entry = struct.pack("<HHI", 274, SHORT, 1)
    for other in (struct.pack("<HHI", 274, SHORT, 0), struct.pack("<HHI", 274, 11, 1), struct.pack("<HHI", 273, 11, 1)):
        changed = data.replace(entry, other)
        assert changed != data
        assert tiff_bands._orientation(changed) == 1
    assert tiff_bands._orientation(data) == 6


def test_of_several_orientations_the_first_counts() -> None:  # as Pillow has it, which warns
    data = made(tags={274: (SHORT, (6, 1))})
    assert tiff_bands.read_pages(data, Limits(), CHANNELS).orientation == 6


@pytest.mark.parametrize(("behind", "found"), [(-4, 6), (-3, 1), (0, 1), (10**6, 1)])
def test_an_orientation_beyond_the_end_of_the_file_is_none(behind: int, found: int) -> None:
    """behind: where its several values begin, counted from the end."""
    data = made(tags={274: (LONG, (6, 7, 8))})
    place = data.index(struct.pack("<HHI", 274, LONG, 3)) + 8
    data = data[:place] + struct.pack("<I", len(data) + behind + 4) + data[place + 4 :] + struct.pack("<I", 6)
    assert tiff_bands.read_pages(data, Limits(), CHANNELS).orientation == found


GREY = values((9, 8), "uint8")
OLD_DEFLATE = Tiff(GREY[..., None].astype(np.int64), 8, BLACK_IS_ZERO, compression=DEFLATE)
RARE = {
    "Deflate by its old number": OLD_DEFLATE.bytes,
    "LZMA": lambda: encoded(GREY, "TIFF", compression="lzma"),
    "Zstandard": lambda: encoded(GREY, "TIFF", compression="zstd"),
}


@pytest.mark.parametrize("compression", RARE)
def test_rare_compressions_are_read(compression: str) -> None:
    channels = Channels(count=1)
    chain = Preprocessing(chain=(Bands(channels=channels),))
    assert np.array_equal(decode.decode(RARE[compression](), Limits(), chain, channels).pixels[..., 0], GREY)


def test_pages_of_other_sizes_are_named() -> None:
    with pytest.raises(Rejected) as found:
        tiff_bands.read_pages(tiff_pages([values((9, 8, 1), "uint8"), values((9, 8, 2), "uint8")]), Limits(), CHANNELS)
    assert found.value.reason is Reason.UNSUPPORTED_MODE
    assert found.value.detail.startswith("found pages of 8 × 9 with 1 × 8 bits and of 8 × 9 with 2 × 8 bits, ")


@pytest.mark.parametrize("compression", [NONE, DEFLATE])
def test_strips_that_are_left_out_are_no_bands(compression: int) -> None:
    data = made(compression, tags={273: (LONG, (0,)), 279: (LONG, (0,))})
    assert verdict(data) == "UNSUPPORTED_MODE: a TIFF that leaves out 1 of 1 strips is not read"
