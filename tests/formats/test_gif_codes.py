"""GIFs whose colours have 9 to 11 bits: read where no code names a colour above 255, which decoders would cut."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
import pytest

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.formats.gif_codes import colours_beyond
from imagefeatures.limits import Limits
from support.judging import rgb

PALETTE = np.random.default_rng(5).integers(0, 256, (256, 3), np.uint8)
NOISE = np.random.default_rng(6).integers(0, 256, (90, 110))  # more codes than a table holds
EVEN = np.full((90, 110), 200)  # each code is that of the last pixels and one more
STRIPES = np.repeat(np.arange(90)[:, None], 110, axis=1)
PICTURES = {"noise": NOISE, "even": EVEN, "stripes": STRIPES, "one pixel": NOISE[:1, :1]}


def codes_of(indices: Iterable[int], bits: int, clear_when: int = 4096) -> list[tuple[int, int]]:
    """LZW as GIF has it: codes, and how many bits each has. clear_when: at so many codes the table is cleared."""
    clear = 1 << bits
    table: dict[tuple[int, ...], int] = {}
    codes, known, last = [(clear, bits + 1)], clear + 2, ()

    def put(code: int) -> None:
        codes.append((code, min(max((known - 1).bit_length(), bits + 1), 12)))

    for index in indices:
        if (*last, index) in table or not last:
            last = (*last, index)
            continue
        put(table[last] if len(last) > 1 else last[0])
        if known < clear_when:
            table[*last, index] = known
            known += 1
        elif clear_when < 4096:
            put(clear)
            table, known = {}, clear + 2
        last = (index,)
    put(table[last] if len(last) > 1 else last[0])
    if known < 4096:
        known += 1
    put(clear + 1)
    return codes


def packed(codes: list[tuple[int, int]]) -> bytes:
    value = at = 0
    for code, width in codes:
        value |= code << at
        at += width
    data = value.to_bytes(-(-at // 8), "little")
    blocks = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def gif(indices: np.ndarray, bits: int, codes: list[tuple[int, int]] | None = None, **options: int) -> bytes:
    height, width = indices.shape
    data = b"GIF89a" + struct.pack("<HH", width, height) + b"\xf7\0\0" + PALETTE.tobytes()
    data += b"," + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return data + bytes([bits]) + packed(codes or codes_of(indices.ravel().tolist(), bits, **options)) + b";"


def verdict(data: bytes) -> str:
    try:
        images.decode(data, Limits(), rgb)
    except Rejected as why:
        return str(why)
    return ""


@pytest.mark.parametrize("clear_when", [4096, 3000])
@pytest.mark.parametrize("indices", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("bits", [8, 9, 10, 11])
def test_colours_of_up_to_11_bits_are_read(bits: int, indices: np.ndarray, clear_when: int) -> None:
    data = gif(indices, bits, clear_when=clear_when)
    assert np.array_equal(images.decode(data, Limits(), rgb).pixels, PALETTE[indices])
    wide = indices.copy()
    wide[-1, -1] = 511
    if bits > 8:
        assert verdict(gif(wide, bits, clear_when=clear_when)) == "CORRUPT: a pixel has colour 511 of a palette of 256"


@pytest.mark.parametrize(("colour", "found"), [(255, ""), (256, "256"), (300, "300"), (511, "511")])
def test_a_colour_above_255_is_none_of_any_palette(colour: int, found: str) -> None:
    indices = NOISE[:9, :9].copy()
    indices[4, 4] = colour
    assert verdict(gif(indices, 9)) == (found and f"CORRUPT: a pixel has colour {found} of a palette of 256")


def beyond(codes: list[tuple[int, int]], pixels: int, bits: int = 9) -> list[int]:
    return list(colours_beyond(bytes([bits]) + packed(codes), 0, pixels))


def test_what_stands_behind_the_last_pixel_or_the_end_is_nobodys_colour() -> None:
    codes = [(512, 10), (1, 10), (2, 10), (300, 10), (400, 10)]
    assert beyond(codes, 4) == beyond(codes, 99) == [300, 400]
    assert beyond(codes, 3) == [300]
    assert beyond(codes, 2) == []
    assert beyond([*codes[:3], (513, 10), *codes[3:]], 99) == []


def test_a_code_stands_for_as_many_pixels_as_it_was_made_of() -> None:
    codes = [(512, 10), (1, 10), (514, 10), (515, 10), (300, 10)]  # one, two and three pixels
    assert beyond(codes, 7) == [300]
    assert beyond(codes, 6) == []
    assert beyond([*codes[:4], (512, 10), (300, 10), (514, 10), (301, 10)], 10) == [300, 301]
    assert beyond([*codes[:4], (512, 10), (300, 10), (514, 10), (301, 10)], 9) == [300]


@pytest.mark.parametrize(
    "codes",
    [
        [(512, 10), (514, 10), (300, 10)],  # a code that nothing was made of
        [(512, 10), (1, 10), (515, 10), (300, 10)],
        [(512, 10), (1, 10), (600, 10), (300, 10)],
        [(1, 10), (515, 10), (300, 10)],  # there is nothing to clear at the beginning
    ],
)
def test_a_code_that_there_is_not_is_left_to_the_decoder(codes: list[tuple[int, int]]) -> None:
    assert beyond(codes, 99) == []
    assert verdict(gif(NOISE[:9, :9], 9, codes)).startswith(("CORRUPT: ", "TRUNCATED: "))


def test_the_data_end_with_an_empty_block() -> None:
    data = bytes([9]) + packed([(512, 10), (1, 10), (2, 10), (3, 10)])  # whole bytes
    assert list(colours_beyond(data + packed([(300, 10)] * 9), 0, 99)) == []
    assert list(colours_beyond(data[:-1] + packed([(300, 10)] * 9), 0, 99))


def test_data_that_are_cut_are_read_to_their_end() -> None:
    data = bytes([9]) + packed([(512, 10), (1, 10), (300, 10), (400, 10)])
    found = [list(colours_beyond(data[:end], 0, 99)) for end in range(2, len(data) + 1)]
    assert found[0] == []
    assert found[-1] == found[-2] == [300, 400]
    assert sorted(found, key=len) == found
