"""What the first directory of a TIFF declares of its pixels, tag by tag, and which tags no pixel needs."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from imagefeatures.formats import tiff
from imagefeatures.formats.tiff_layout import Layout, read_layout, subdirectory_sizes, text
from support.tiff_files import BLACK_IS_ZERO, LONG, RATIONAL, SHORT, Tiff

MADE = Tiff(np.zeros((20, 8, 1), int), 8, BLACK_IS_ZERO)
Tags = dict[str, tuple[int, tuple[object, ...]] | None]


def layout(**tags: tuple[int, tuple[object, ...]] | None) -> Layout:
    """Of a file with these tags, such as t256=(LONG, (9,)), besides those of a picture of 8 × 20 in one strip."""
    found = read_layout(replace(MADE, tags={int(name[1:]): value for name, value in tags.items()}).bytes())
    assert found is not None
    return found


def directory(*found: tuple[int, int, int, int], start: int = 8) -> bytes:
    data = b"II*\0" + struct.pack("<I", start)
    data = data.ljust(start, b"\0") + struct.pack("<H", len(found))
    return data + b"".join(struct.pack("<HHII", *each) for each in found) + bytes(4)


def test_what_is_not_declared_has_its_default() -> None:
    found = read_layout(directory((256, SHORT, 1, 7), (257, LONG, 1, 9)))
    assert found is not None
    assert (found.width, found.height, found.samples, found.bits, found.sample_format) == (7, 9, 1, 1, 1)
    assert (found.compression, found.photometric, found.extra, found.odd) == (1, None, (), None)
    assert (found.planes_apart, found.reversed_bits, found.tiled) == (False, False, False)
    assert (found.part, found.parts, found.row_bytes) == ((7, 9), 1, 1)
    assert (found.offsets.tolist(), found.lengths.tolist()) == ([], [])
    assert (found.offsets.dtype, found.lengths.dtype) == (np.uint64, np.uint64)


def test_what_is_declared_is_read() -> None:
    found = layout(t259=(SHORT, (5,)), t262=(SHORT, (2,)), t266=(SHORT, (2,)), t284=(SHORT, (2,)), t338=(SHORT, (1, 2)))
    assert (found.compression, found.photometric, found.extra) == (5, 2, (1, 2))
    assert (found.planes_apart, found.reversed_bits) == (True, True)
    other = layout(t262=(SHORT, (0,)), t266=(SHORT, (1,)), t284=(SHORT, (1,)), t277=(SHORT, (3,)))
    assert (other.photometric, other.planes_apart, other.reversed_bits, other.samples) == (0, False, False, 3)
    assert layout(t258=(SHORT, (4, 4, 4)), t339=(SHORT, (2, 2))).bits == 4
    mixed = layout(t258=(SHORT, (8, 8, 4)), t339=(SHORT, (1, 2)))
    assert (mixed.bits, mixed.sample_format) == (0, 0)
    assert layout(t339=(SHORT, (3,))).sample_format == 3
    coefficients = layout(t529=(RATIONAL, (1, 2, 3, 4, 5, 0)), t532=(RATIONAL, (1, 4) * 6)).values
    assert coefficients[529] == (0.5, 0.75, 0.0)
    assert coefficients[532] == (0.25,) * 6
    others = layout(t529=(LONG, (1, 2, 3, 4, 5, 6)), t282=(RATIONAL, (72, 1)), t284=(RATIONAL, (2, 1)))
    assert not {529, 282, 284} & others.values.keys()
    assert others.odd == (284, RATIONAL)


def test_strips_and_tiles_are_counted_with_their_rows() -> None:
    strips = layout(t278=(LONG, (8,)), t273=(LONG, (100, 164, 228)), t279=(SHORT, (64, 64, 32)))
    assert (strips.part, strips.parts, strips.row_bytes, strips.tiled) == ((8, 8), 3, 8, False)
    assert (strips.offsets.tolist(), strips.lengths.tolist()) == ([100, 164, 228], [64, 64, 32])
    assert layout(t278=(LONG, (20,))).parts == layout(t278=(LONG, (2**32 - 1,))).parts == layout(t278=None).parts == 1
    assert layout(t278=(LONG, (2**32 - 1,))).part == (8, 20)
    assert (layout(t278=(LONG, (0,))).part, layout(t278=(LONG, (0,))).parts) == ((8, 0), 0)
    sides: Tags = {"t322": (SHORT, (16,)), "t323": (SHORT, (5,))}
    tiles = layout(t324=(LONG, (7, 8)), t325=(LONG, (9,)), t256=(LONG, (33,)), **sides)
    assert (tiles.tiled, tiles.part, tiles.parts, tiles.row_bytes) == (True, (16, 5), 12, 16)
    assert (tiles.offsets.tolist(), tiles.lengths.tolist()) == ([7, 8], [9])
    without_a_side = layout(t324=(LONG, (7,)), t322=(SHORT, (16,)))
    assert (without_a_side.part, without_a_side.parts) == ((16, 0), 0)
    without_a_width = layout(t324=(LONG, (7,)), t323=(SHORT, (16,)))
    assert (without_a_width.part, without_a_width.parts) == ((0, 16), 0)


def test_of_the_last_strips_and_tiles_a_part_is_shown() -> None:
    strips = layout(t278=(LONG, (8,)), t273=(LONG, (100, 164, 228)), t279=(SHORT, (64, 64, 32)))
    assert [strips.shown(part) for part in range(3)] == [(8, 8), (8, 8), (8, 4)]
    sides: Tags = {"t322": (SHORT, (16,)), "t323": (SHORT, (16,)), "t256": (LONG, (33,))}
    tiles = layout(t324=(LONG, (7,) * 6), **sides)
    assert [tiles.shown(part) for part in range(6)] == [(16, 16), (16, 16), (1, 16), (16, 4), (16, 4), (1, 4)]
    apart = layout(t324=(LONG, (7,) * 12), t277=(SHORT, (2,)), t284=(SHORT, (2,)), **sides)
    assert [apart.shown(part) for part in range(6, 12)] == [tiles.shown(part) for part in range(6)]


def test_the_options_of_fax_are_read_whatever_else_their_type_is() -> None:
    assert layout(t292=(LONG, (5, 1))).values[292] == (5,)
    assert (layout(t292=(RATIONAL, (5, 1))).one(292, 0), layout(t292=(RATIONAL, (5, 1))).odd) == (0, None)


@pytest.mark.parametrize(("bits", "samples", "expected"), [(1, 1, 1), (1, 3, 3), (4, 1, 4), (4, 3, 12), (16, 3, 48)])
def test_a_row_takes_whole_bytes_of_all_samples_or_of_one_plane(bits: int, samples: int, expected: int) -> None:
    tags = {"t258": (SHORT, (bits,) * samples), "t277": (SHORT, (samples,))}
    together, apart = layout(**tags), layout(**tags, t284=(SHORT, (2,)))
    assert (together.row_bytes, together.parts) == (expected, 1)
    assert (apart.row_bytes, apart.parts) == (expected // samples, samples)
    assert layout(**tags, t256=(LONG, (9,))).row_bytes == -(-9 * bits * samples // 8)


def test_of_two_entries_of_a_tag_the_first_that_has_a_value_counts() -> None:
    for tag, values in ((256, (7, 8)), (273, (70, 80))):
        later = [(tag, LONG, 1, value) for value in values]
        found = read_layout(directory((256, LONG, 1, 7), (257, LONG, 1, 9), *later))
        assert found is not None
        assert found.width == 7
        assert found.offsets.tolist() == ([70] if tag == 273 else [])
    empty_before = read_layout(directory((256, LONG, 0, 5), (256, LONG, 1, 7), (257, LONG, 1, 9)))
    assert empty_before is not None
    assert empty_before.width == 7


def test_of_a_tag_with_a_value_for_each_sample_16_are_read_and_of_an_array_all() -> None:
    found = layout(t258=(SHORT, (8,) * 16 + (4,)), t273=(LONG, tuple(range(17))), t532=(RATIONAL, (1, 1) * 17))
    assert found.bits == 8
    assert layout(t258=(SHORT, (8,) * 15 + (4,))).bits == 0
    assert len(found.offsets) == 17
    assert len(found.values[532]) == 16


@pytest.mark.parametrize("tag", [254, 256, 258, 273, 279, 320, 325, 330, 336, 513])
def test_a_type_that_holds_no_whole_numbers_is_told(tag: int) -> None:
    size = ((256, LONG, 1, 7), (257, LONG, 1, 9))
    found = read_layout(directory(*size, (tag, 11, 1, 1), (270, 2, 1, 1), (284, 2, 1, 1)))
    assert found is not None
    assert found.odd == ((284, 2) if tag == 256 else (tag, 11))


@pytest.mark.parametrize("tag", [270, 274, 305, 50706, 65000])
def test_the_type_of_another_tag_does_not_matter(tag: int) -> None:
    found = read_layout(directory((256, LONG, 1, 7), (257, LONG, 1, 9), (tag, 11, 1, 1)))
    assert found is not None
    assert found.odd is None
    assert found.values.get(50706) == ((1,) if tag == 50706 else None)


def test_a_directory_or_a_value_that_is_cut_declares_nothing() -> None:
    assert read_layout(directory((256, LONG, 1, 7))) is None
    assert read_layout(directory((257, LONG, 1, 7))) is None
    data = replace(MADE, tags={258: (SHORT, (8, 8, 8))}).bytes()
    assert read_layout(data) is not None
    assert read_layout(data[: data.index(struct.pack("<HHH", 8, 8, 8)) + 5]) is None
    assert read_layout(data[:50]) is None
    assert read_layout(b"II*\0") is None


# Which tags pixels need

NEEDED = (
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 330),
    *(332, 336, 338, 339, 347, 512, 513, 514, 515, 519, 520, 521, 529, 530, 532),
)


def test_without_metadata_a_tiff_keeps_every_tag_that_pixels_need() -> None:
    files = {tag: directory((tag, SHORT, 1, 1)) for tag in range(1, 1000)}
    assert tuple(tag for tag, data in files.items() if tiff.without_metadata(data) is data and tag != 274) == NEEDED


# SubIFDs and texts


def test_the_sizes_of_subdirectories_are_read_but_not_of_reduced_pictures() -> None:
    first = (256, LONG, 1, 7), (257, LONG, 1, 9)
    one = directory(*first, (330, LONG, 1, 100))
    for flag, sizes in ((0, [(30, 20)]), (2, [(30, 20)]), (1, []), (3, [])):
        tags = ((254, LONG, 1, flag), (256, SHORT, 1, 30), (257, SHORT, 1, 20))
        data = one + directory(*tags, start=100)[len(one) :]
        found = read_layout(data)
        assert found is not None
        assert subdirectory_sizes(data, found) == sizes
    parts = directory((256, SHORT, 1, 30), (257, 11, 1, 20), (258, SHORT, 1, 8), (254, SHORT, 0, 1), start=100)
    data = one + parts[len(one) :]
    found = read_layout(data)
    assert found is not None
    assert subdirectory_sizes(data, found) == [(30, 0)]  # a height in another type is none
    assert subdirectory_sizes(data[:-1], found) == []
    beyond = one + directory((256, LONG, 3, 9999), (257, LONG, 1, 20), start=100)[len(one) :]
    assert subdirectory_sizes(beyond, found) == []
    without_a_width = one + directory((257, LONG, 1, 20), start=100)[len(one) :]
    assert subdirectory_sizes(without_a_width, found) == [(0, 20)]
    two = directory(*first, (330, LONG, 2, 60))
    data = two.ljust(60, b"\0") + struct.pack("<II", 9999, 100)
    data = data.ljust(100, b"\0") + directory((256, LONG, 1, 30), start=100)[100:]
    found = read_layout(data)
    assert found is not None
    assert subdirectory_sizes(data, found) == [(30, 0)]  # beside one beyond the end
    none = read_layout(directory(*first))
    assert none is not None
    assert subdirectory_sizes(data, none) == []


def test_a_text_ends_with_its_zero_or_after_64_bytes() -> None:
    data = replace(MADE, tags={271: (2, (b"Maker \xe9\0rest",)), 272: (2, (b"m" * 70,)), 305: (SHORT, (7,))}).bytes()
    assert text(data, 271) == "Maker é"
    assert text(data, 272) == "m" * 64
    assert text(data, 305) == text(data, 273) == text(data, 999) == text(data[:40], 271) == ""
