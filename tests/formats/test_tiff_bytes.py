"""A TIFF byte by byte: what its tags count for, where its pixels end, and what the decoder gets in its place."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.limits import Limits
from support.tiff_files import BLACK_IS_ZERO, DEFLATE, JPEG, LONG, LZW, PACKBITS, SHORT, Tiff

PIXELS = np.arange(20 * 8).reshape(20, 8, 1) % 251
WHOLE = Tiff(PIXELS, 8, BLACK_IS_ZERO)
STRIPS = replace(WHOLE, rows=8)  # of 64, 64 and 32 bytes
WORDS = b"some words that stand elsewhere\0"


def entry_at(data: bytes, wanted: int) -> int:
    """Where the entry of a tag begins."""
    order = "<" if data.startswith(b"II") else ">"
    (count,) = struct.unpack_from(order + "H", data, 8)
    starts = range(10, 10 + 12 * count, 12)
    return next(start for start in starts if struct.unpack_from(order + "H", data, start) == (wanted,))


def with_value(data: bytes, tag: int, value: int) -> bytes:
    """The file with another number in place of a tag's value, or of its position."""
    at, order = entry_at(data, tag) + 8, "<" if data.startswith(b"II") else ">"
    return data[:at] + struct.pack(order + "I", value) + data[at + 4 :]


def why(data: bytes) -> tuple[str, str]:
    with pytest.raises(Rejected) as refused:
        tiff.check(data, Limits())
    return str(refused.value.reason), refused.value.detail


# What there must be


@pytest.mark.parametrize(
    "made",
    [
        WHOLE,
        STRIPS,
        replace(STRIPS, samples=np.repeat(PIXELS, 3, axis=2), planes=True),
        replace(WHOLE, tile=16),
        replace(WHOLE, tile=16, samples=np.repeat(PIXELS, 5, axis=1)),
        replace(WHOLE, bits=4),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_without_compression_a_tiff_ends_with_its_last_row(made: Tiff, order: str) -> None:
    data = replace(made, order=order).bytes()
    if made.tile:  # rows of a tile that are below the picture need not be there
        data = data[: -16 * 12]
    tiff.check(data, Limits())
    assert not tiff.is_cut(data)
    detail = f"TIFF of {len(data) - 1:,} bytes, its directory refers to {len(data):,} bytes"
    assert why(data[:-1]) == ("TRUNCATED", detail)
    assert tiff.is_cut(data[:-1])


def test_the_size_of_a_tiff_is_that_of_its_first_directory() -> None:
    data = WHOLE.bytes()
    assert tiff.size(data) == (8, 20)
    assert tiff.size(data[:60]) is None
    assert not tiff.is_cut(data[:60])  # nothing says what there should be
    assert why(data[:60]) == ("TRUNCATED", "TIFF of 60 bytes without its whole directory")


def test_the_values_of_all_tags_count_as_metadata() -> None:
    data = replace(WHOLE, tags={270: (2, (WORDS,)), 65000: (1, (1, 2, 3))}).bytes()
    count = 4 + 4 + 2 + 2 + 2 + 4 + 2 + 4 + 4 + len(WORDS) + 3
    tiff.check(data, Limits(max_metadata_bytes=count))
    with pytest.raises(Rejected, match=f"TIFF with {count} bytes of metadata or more, {count - 1} are allowed"):
        tiff.check(data, Limits(max_metadata_bytes=count - 1))
    endless = data.replace(struct.pack("<HHI", 65000, 1, 3), struct.pack("<HHI", 65000, 1, 2**31))
    tiff.check(endless, Limits(max_metadata_bytes=count - 3 + len(data)))  # for no more than there is
    with pytest.raises(Rejected, match="bytes of metadata or more"):
        tiff.check(endless, Limits(max_metadata_bytes=count - 4 + len(data)))
    of_no_known_type = data.replace(struct.pack("<HHI", 65000, 1, 3), struct.pack("<HHI", 65000, 14, 2**31))
    tiff.check(of_no_known_type, Limits(max_metadata_bytes=count - 3))
    assert tiff.readable(of_no_known_type) is of_no_known_type


def test_what_describes_the_pixels_must_be_there_wherever_it_begins() -> None:
    data = replace(WHOLE, samples=np.repeat(PIXELS, 3, axis=2), photometric=2).bytes()
    tiff.check(data, Limits())
    late = with_value(data, 258, len(data) + 100)
    assert why(late) == ("TRUNCATED", f"TIFF of {len(data)} bytes, its directory refers to {len(data) + 106} bytes")
    assert tiff.readable(late) is late


def test_there_are_as_many_strips_as_the_picture_takes() -> None:
    def of(made: Tiff) -> str:
        try:
            tiff.check_mode(made.bytes())
        except Rejected as why:
            assert why.reason == "CORRUPT"
            return why.detail
        return ""

    packed, two = replace(STRIPS, compression=PACKBITS), replace(WHOLE, rows=16)
    assert of(WHOLE) == of(STRIPS) == of(packed) == of(two) == ""
    no_rows = {278: (LONG, (0,))}
    assert of(replace(WHOLE, tags=no_rows)) == "TIFF of 8 × 20 with 1 strips, the picture takes 0"
    assert of(replace(packed, rows=20, tags=no_rows)) == "TIFF of 8 × 20 with 1 strips, the picture takes 0"
    one_more = {273: (LONG, (200,) * 4), 279: (LONG, (64,) * 4)}
    assert of(replace(STRIPS, tags=one_more)) == "TIFF of 8 × 20 with 4 strips, the picture takes 3"
    assert of(replace(packed, tags=one_more)) == ""  # the decoder takes the first ones
    for made in (STRIPS, packed):
        few = replace(made, tags={279: (LONG, (64, 64))})
        assert of(few) == "TIFF with the lengths of 2 of 3 strips or tiles"
        in_tiles = replace(made, rows=None, tile=16, tags={324: (LONG, (200,))})
        assert of(in_tiles) == "TIFF of 8 × 20 with 1 tiles, the picture takes 2"
    assert of(replace(STRIPS, tags={279: None})) == ""
    assert of(replace(WHOLE, tags={279: (LONG, (5,))})) == ""  # of a single strip the rows say how long it is
    for short, found in (((127, 32), (0, 127, 128)), ((128, 31), (1, 31, 32))):
        detail = "TIFF whose strip {} has {} bytes, its rows take {}".format(*found)
        assert of(replace(two, tags={279: (LONG, short)})) == detail
    tiles = replace(WHOLE, tile=16, samples=np.repeat(PIXELS, 5, axis=1))  # three beside each other
    assert of(replace(tiles, tags={325: (LONG, (256, 256, 256, 64, 64, 64))})) == ""
    one_short = replace(tiles, tags={325: (LONG, (256, 100, 256, 64, 64, 64))})
    assert of(one_short) == "TIFF whose strip 1 has 100 bytes, its rows take 256"
    odd = replace(WHOLE, tags={277: (1, (1,))})
    assert of(odd) == "TIFF whose tag 277 has type 1, which is not that of its whole numbers"


KNOWN = [33432, 33723, 34377, 34665, 34675, 34853, 37724]
"""Private tags of which it is known what they hold: rights, IPTC, Photoshop's, EXIF, the profile, GPS, layers."""


@pytest.mark.parametrize("tag", [270, 305, 32767, *KNOWN])
def test_words_that_begin_in_the_file_must_end_in_it(tag: int) -> None:
    data = replace(WHOLE, tags={tag: (2, (WORDS,))}).bytes()
    start = len(data) - len(WORDS) + 1
    late = with_value(data, tag, start)
    assert why(late) == ("TRUNCATED", f"TIFF of {len(data)} bytes, its directory refers to {len(data) + 1} bytes")
    assert tiff.readable(late) is late
    tiff.check(with_value(data, tag, start - 1), Limits())
    tiff.check(with_value(data, tag, len(data) + 1), Limits())  # nothing of it is there
    assert why(with_value(data, tag, len(data)))[0] == "TRUNCATED"


@pytest.mark.parametrize("tag", [32768, 32769, 33433, 65000])
def test_a_tag_that_nobody_knows_may_end_behind_the_file(tag: int) -> None:
    data = replace(WHOLE, tags={tag: (2, (WORDS,))}).bytes()
    late = with_value(data, tag, len(data) - len(WORDS) + 1)
    tiff.check(late, Limits())
    at = entry_at(late, tag)
    assert tiff.readable(late) == late[: at + 2] + struct.pack("<HII", 1, 4, 0) + late[at + 12 :]
    whole = with_value(data, tag, len(data) - len(WORDS))
    assert tiff.readable(whole) is whole
    numbers = replace(WHOLE, tags={tag: (LONG, (1, 2, 3, 4, 5))}).bytes()
    assert tiff.readable(numbers) is numbers
    assert tiff.readable(with_value(numbers, tag, len(numbers) - 19))[at + 2 : at + 4] == b"\1\0"


# What the decoder gets


@pytest.mark.parametrize("order", ["<", ">"])
def test_metadata_beyond_the_end_are_taken_out_in_their_place(order: str) -> None:
    data = replace(WHOLE, order=order, tags={270: (2, (WORDS,)), 305: (2, (WORDS,))}).bytes()
    assert tiff.readable(data) is data
    beyond = with_value(data, 305, 2**31)
    at = entry_at(data, 305)
    assert tiff.readable(beyond) == data[: at + 2] + struct.pack(order + "HII", 1, 4, 0) + data[at + 12 :]
    assert tiff.readable(beyond[:50]) == beyond[:50]


@pytest.mark.parametrize("kind", [SHORT, LONG])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_strip_that_claims_bytes_beyond_the_end_gets_those_that_are_there(part: int, order: str, kind: int) -> None:
    packed = replace(STRIPS, compression=PACKBITS, order=order)
    starts = struct.unpack_from(order + "3I", packed.bytes(), _value(packed.bytes(), 273))
    lengths = [*struct.unpack_from(order + "3I", packed.bytes(), _value(packed.bytes(), 279))]
    claimed = [*lengths]
    claimed[part] = 60_000
    shift = -6 if kind == SHORT else 0  # shorter numbers stand before the strips
    data = replace(packed, tags={279: (kind, tuple(claimed))}).bytes()
    lengths[part] = len(data) - starts[part] - shift
    assert tiff.readable(data) == replace(packed, tags={279: (kind, tuple(lengths))}).bytes()
    claimed = [length + 60_000 * (index != part) for index, length in enumerate(claimed)]
    both = replace(packed, tags={279: (LONG, tuple(claimed))}).bytes()
    assert tiff.readable(both) is both  # of two strips nobody knows where they end


def test_what_a_strip_claims_does_not_matter_without_compression() -> None:
    for claimed in ((60_000, 64, 32), (64, 64, 60_000)):
        data = replace(STRIPS, tags={279: (LONG, claimed)}).bytes()
        assert tiff.readable(data) is data
        tiff.check(data, Limits())
    cut = STRIPS.bytes()[:-5]
    assert tiff.readable(cut) is cut


def test_a_directory_without_a_size_is_left_to_the_decoder() -> None:
    data = replace(WHOLE, tags={256: None}).bytes()
    assert tiff.readable(data) is data
    assert tiff.size(data) is None
    tiff.check_mode(data)
    tiff.check(data, Limits())


def _value(data: bytes, tag: int) -> int:
    order = "<" if data.startswith(b"II") else ">"
    return int(struct.unpack_from(order + "I", data, entry_at(data, tag) + 8)[0])


def test_a_tile_or_a_single_strip_that_claims_too_much_gets_what_is_there() -> None:
    for made, tag in (
        (replace(WHOLE, compression=PACKBITS), 279),
        (replace(WHOLE, tile=32, compression=PACKBITS), 325),
    ):
        data = made.bytes()
        assert tiff.readable(data) is data
        assert tiff.readable(with_value(data, tag, 9999)) == data
    strip = replace(WHOLE, compression=PACKBITS).bytes()
    last = with_value(strip, 273, len(strip) - 1)
    assert tiff.readable(last) == with_value(last, 279, 1)
    pointers = strip.replace(struct.pack("<HH", 279, LONG), struct.pack("<HH", 279, 13))  # of a type of whole numbers
    pointers = with_value(pointers, 279, 9999)
    assert tiff.readable(pointers) is pointers
    empty = with_value(strip, 273, len(strip))  # it begins at the end
    assert tiff.readable(empty) is empty


def test_without_metadata_a_tiff_keeps_its_orientation_and_what_pixels_need() -> None:
    tags = {270: (2, (WORDS,)), 274: (SHORT, (3,)), 305: (2, (b"a\0",)), 0xBC01: (SHORT, (1,)), 65000: (LONG, (7,))}
    for order in "<>":
        data = replace(STRIPS, order=order, tags=tags).bytes()
        expected = data
        for tag in (270, 305, 65000):
            at = entry_at(data, tag)
            expected = expected[: at + 2] + struct.pack(order + "HII", 1, 4, 0) + expected[at + 12 :]
        assert tiff.without_metadata(data) == expected
    for plain in (STRIPS.bytes(), STRIPS.bytes()[:50]):
        assert tiff.without_metadata(plain) is plain


# A strip that claims too much, and shows where it ends


def claiming(compression: int, strip: bytes, more: int = 9) -> bytes:
    made = replace(WHOLE, compression=compression, encode=lambda _: strip)
    return replace(made, tags={279: (LONG, (len(strip) + more,))}).bytes()


@pytest.mark.parametrize("width", [8, 9, 10, 11, 12, 13])
@pytest.mark.parametrize("before", range(8))
def test_lzw_ends_with_the_code_257_of_9_to_12_bits_and_zeros(width: int, before: int) -> None:
    for code in (256, 257, 258):
        bits = "1" * (16 + before) + f"{code:0{width}b}"
        bits += "0" * (-len(bits) % 8)
        data = claiming(LZW, int(bits, 2).to_bytes(len(bits) // 8))
        if code == 257 and 9 <= width <= 12:
            tiff.check(data, Limits())
        elif code != 257:
            assert why(data)[0] == "TRUNCATED"
    assert why(claiming(LZW, b"\x01\x01\0"))[0] == "TRUNCATED"  # a whole byte of zeros


def test_a_strip_is_whole_with_the_mark_at_its_end_alone() -> None:
    stream = zlib.compress(bytes(160))
    whole = [(JPEG, b"\xff\xd8\xff\xd9"), (JPEG, b"\xff\xd8\xff\xd9\0\0"), (8, stream), (DEFLATE, stream + b"more")]
    for compression, strip in (*whole, (PACKBITS, b"anything")):
        tiff.check(claiming(compression, strip), Limits())
        late = replace(STRIPS, compression=compression, encode=lambda _, strip=strip: strip)
        two = replace(late, tags={279: (LONG, (999, 999, len(strip)))}).bytes()
        assert why(two)[0] == "TRUNCATED"
    cut = [
        *((JPEG, b"\xff\xd8\xff"), (JPEG, b"\xff\xd8\xff\xd9?"), (8, stream[:-1]), (DEFLATE, b"none")),
        *((34925, stream), (2, b"fax\0\1\0\1")),
    ]
    for compression, strip in cut:
        data = claiming(compression, strip)
        assert why(data) == ("TRUNCATED", f"TIFF of {len(data)} bytes, its directory refers to {len(data) + 9} bytes")


def test_a_stream_of_many_pieces_is_followed_to_its_end() -> None:
    noise = np.random.default_rng(0).bytes(50_000)
    for content in (noise, bytes(5_000_000), noise + bytes(3_000_000)):
        stream = zlib.compress(content)
        tiff.check(claiming(8, stream), Limits())
        assert why(claiming(8, stream[:-1]))[0] == "TRUNCATED"


def test_a_strip_that_begins_behind_the_end_is_missing() -> None:
    data = claiming(PACKBITS, b"anything")
    for start in (len(data), len(data) + 1):
        assert why(with_value(data, 273, start))[0] == "TRUNCATED"
