"""A BMP at its limits: palettes of few colours, headers and runs that end early, and what a run takes."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from imagefeatures import formats
from imagefeatures.errors import Rejected
from imagefeatures.formats import bmp
from imagefeatures.formats.bmp_runs import check_runs
from support.bmp_files import CORE, INFO, MASKS, RLE4, RLE8, Bmp
from support.judging import decoded, why

PALETTE = np.random.default_rng(3).integers(0, 256, (256, 3)).astype(np.uint8)
PIXELS = np.random.default_rng(4).integers(0, 16, (6, 9))
ROW = bytes([9, 1, 0, 0])
ONES = np.ones((6, 9), int)


@pytest.mark.parametrize("colours", [[[0, 0, 0], [255, 0, 0]], [[0] * 3, [1] * 3, [2] * 3], [[7, 8, 9]]])
def test_a_palette_of_few_colours_in_8_bits_is_read(colours: list[list[int]]) -> None:
    palette = np.array(colours, np.uint8)
    few = Bmp(PIXELS % len(colours), 8, palette=palette, colours=len(colours))
    assert np.array_equal(decoded(few.bytes()), palette[PIXELS % len(colours)])
    assert formats.palette_colours("BMP", few.bytes()) == len(colours)


def test_a_palette_without_a_length_has_all_the_colours_of_its_bits() -> None:
    for header in (CORE, INFO):
        for bits in (1, 4, 8):
            data = Bmp(PIXELS % 2, bits, header, palette=PALETTE[: 2**bits]).bytes()
            assert formats.palette_colours("BMP", data) == 2**bits
        assert formats.palette_colours("BMP", Bmp(PIXELS, 24, header).bytes()) == 0


@pytest.mark.parametrize("header", [CORE, INFO])
def test_a_header_that_is_cut_declares_nothing(header: int) -> None:
    data = Bmp(PIXELS, 4, header, palette=PALETTE[:16]).bytes()
    assert formats.palette_colours("BMP", data[: 14 + header]) == 16
    for length in range(14 + header):
        assert formats.palette_colours("BMP", data[:length]) == 0


def test_a_header_of_another_age_is_named_as_soon_as_its_length_is_there() -> None:
    data = b"BM" + bytes(12) + struct.pack("<I", 16)
    bmp.check_mode(data[:17])
    with pytest.raises(Rejected, match="a header of 16 bytes, which is not read"):
        bmp.check_mode(data)


def test_masks_are_judged_as_soon_as_they_are_there() -> None:
    data = Bmp(PIXELS[:1, :1], 16, INFO, MASKS, (0xF00, 0xF0, 0xF, 0)).bytes()
    assert len(data) == 14 + 56
    bmp.check_mode(data[:-1])
    with pytest.raises(Rejected, match="a BMP of 16 bits with the masks f00, f0, f, 0 is not read"):
        bmp.check_mode(data)


def test_what_is_reserved_behind_the_length_of_a_file_is_no_part_of_it() -> None:
    data = Bmp(PIXELS, 24).bytes()
    assert np.array_equal(decoded(data[:6] + b"\x07\x08\x09\x0a" + data[10:]), decoded(data))


# Runs: rows of 9 pixels, six of them


def test_the_last_row_may_have_an_end_of_its_own() -> None:
    runs = Bmp(PIXELS, 8, compression=RLE8, palette=PALETTE)
    for end in (b"\0\0\0\1", b"\0\0", b"\0\1", b"\0\0\0\2\1\1"):
        data = replace(runs, data=ROW * 5 + ROW[:2] + end).bytes()
        assert np.array_equal(decoded(data), PALETTE[ONES])


@pytest.mark.parametrize("count", range(3, 9))
def test_pixels_as_they_are_take_whole_words(count: int) -> None:
    rest = bytes([9 - count, 0x11, 0, 0])
    length = (count + 1) // 2
    four = bytes([0, count]) + b"\x11" * length + bytes(length % 2) + rest
    assert np.array_equal(
        decoded(Bmp(PIXELS, 4, INFO, RLE4, palette=PALETTE[:16], data=ended(four)).bytes()), PALETTE[ONES]
    )
    eight = bytes([0, count]) + b"\x01" * count + bytes(count % 2) + rest.replace(b"\x11", b"\x01")
    assert np.array_equal(
        decoded(Bmp(PIXELS, 8, INFO, RLE8, palette=PALETTE, data=ended(eight)).bytes()), PALETTE[ONES]
    )


def ended(row: bytes) -> bytes:
    """Six rows and the end."""
    return row * 5 + row[:-2] + b"\0\1"


def test_runs_of_4_bits_that_leave_pixels_out_are_refused() -> None:
    data = Bmp(PIXELS, 4, INFO, RLE4, palette=PALETTE[:16], data=ROW * 5 + b"\0\1").bytes()
    assert why(data) == ("UNSUPPORTED_MODE", "a BMP that leaves out pixels of row 5 is not read")


def test_runs_that_end_early_are_left_to_the_decoder() -> None:
    whole = ROW * 5 + bytes([0, 3, 1, 1, 1, 0, 6, 1]) + b"\0\1"
    for length in range(len(whole)):
        check_runs(whole[:length], 0, (9, 6), four_bits=False)
    check_runs(b"\0\1", 0, (9, 0), four_bits=False)
