"""The size in the header of AV1 data, in each form that the header may have."""

from __future__ import annotations

import pytest
from PIL import Image

from imagefeatures.errors import Rejected
from imagefeatures.formats import av1, heif
from imagefeatures.formats.heif_items import bytes_of, read_items
from imagefeatures.formats.isobmff import boxes
from imagefeatures.limits import Limits
from support.heif_boxes import Heif, av1c, box, hvcc, ispe
from support.photos import encoded, picture


def unit(kind: int, bits: str, extension: bool = False, sized: bool = True) -> bytes:
    """An open bitstream unit. bits: of its content, from the highest on."""
    content = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    head = bytes([kind << 3 | extension << 2 | sized << 1]) + (b"\0" if extension else b"")
    return head + (bytes([len(content)]) if sized else b"") + content


SIZE = f"{9:04b}{8:04b}{640 - 1:010b}{480 - 1:09b}"  # 640 × 480, in 10 and 9 bits
LEVEL_2, LEVEL_3, LEVEL_4 = (f"{0:012b}{level:05b}{tier}" for level, tier in ((1, ""), (7, ""), (8, "1")))
"""From 4.0 on with a tier."""
FULL = "00000"  # a profile, no still picture, not reduced
HEADERS = {
    "reduced": "00011" + f"{4:05b}" + SIZE,
    "one operating point": FULL + "0" + "0" + f"{0:05b}" + LEVEL_2 + SIZE,
    "three operating points": FULL + "0" + "0" + f"{2:05b}" + LEVEL_4 + LEVEL_2 + LEVEL_4 + SIZE,
    "the highest level without a tier": FULL + "0" + "0" + f"{1:05b}" + LEVEL_3 + LEVEL_4 + SIZE,
    "as many operating points as there may be": FULL + "0" + "1" + f"{31:05b}" + (LEVEL_4 + "1" + "0101") * 32 + SIZE,
    "timing": FULL + "1" + f"{1:032b}{30:032b}" + "0" + "0" + "0" + f"{0:05b}" + LEVEL_2 + SIZE,
    "equal pictures": FULL + "1" + f"{1:032b}{30:032b}" + "1" + "00101" + "0" + "0" + f"{0:05b}" + LEVEL_2 + SIZE,
    "equal pictures of one tick": FULL + f"1{1:032b}{30:032b}1" + "1" + "0" + "0" + f"{0:05b}" + LEVEL_2 + SIZE,
    "equal pictures of many ticks": FULL + f"1{1:032b}{30:032b}1" + "0001101" + "0" + "0" + f"{0:05b}" + LEVEL_2 + SIZE,
    "decoder model": FULL
    + f"1{1:032b}{30:032b}01{9:05b}{1:032b}{9:05b}{9:05b}"
    + "0"
    + f"{0:05b}{LEVEL_2}1{1:010b}{1:010b}0"
    + SIZE,
    "display delay": FULL + "0" + "1" + f"{0:05b}" + LEVEL_2 + "1" + f"{3:04b}" + SIZE,
}


@pytest.mark.parametrize("name", HEADERS)
def test_the_size_is_read_behind_whatever_stands_before_it(name: str) -> None:
    header = unit(1, HEADERS[name])
    assert av1.frame_size(header) == (640, 480)
    assert av1.frame_size(unit(2, "0") + header + unit(6, "1" * 80)) == (640, 480)
    assert av1.frame_size(unit(1, HEADERS[name], extension=True)) == (640, 480)
    assert av1.frame_size(unit(1, HEADERS[name], sized=False)) == (640, 480)


def test_the_size_of_a_unit_takes_as_many_bytes_as_it_needs() -> None:
    header = unit(1, HEADERS["reduced"])
    for count, size in ((127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (70_000, b"\xf0\xa2\x04")):
        # A zero that is left of it begins a unit up to the end.
        assert av1.frame_size(bytes([2 << 3 | 2]) + size + bytes(count) + header) == (640, 480)
    eight = b"\x80" * 8  # are the most
    assert av1.frame_size(bytes([2 << 3 | 2]) + eight + header) == (640, 480)
    assert av1.frame_size(bytes([2 << 3 | 2]) + eight[1:] + b"\0" + header) == (640, 480)


def test_what_looks_like_a_header_inside_of_another_unit_is_none() -> None:
    other = unit(1, "00011" + f"{4:05b}" + f"{9:04b}{8:04b}{320 - 1:010b}{240 - 1:09b}")
    assert av1.frame_size(other) == (320, 240)
    metadata = bytes([5 << 3 | 2, len(other)]) + other
    assert av1.frame_size(metadata + unit(1, HEADERS["reduced"])) == (640, 480)


def test_a_reserved_bit_means_nothing() -> None:
    for sized in (True, False):
        header = unit(1, HEADERS["reduced"], sized=sized)
        assert av1.frame_size(bytes([header[0] | 1]) + header[1:]) == (640, 480)


def test_data_without_a_header_says_nothing() -> None:
    assert av1.frame_size(b"") is None
    for cut in (b"", b"\x80", b"\x80\x80"):  # before the end of the size of a unit
        assert av1.frame_size(bytes([6 << 3 | 2]) + cut) is None
    assert av1.frame_size(unit(6, "1" * 80)) is None


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_cut_is_an_error(name: str) -> None:
    whole = unit(1, HEADERS[name], sized=False)
    for cut in range(1, len(whole) - 1):
        with pytest.raises(ValueError, match="cut"):
            av1.frame_size(whole[:cut])


TOOLS = {  # between the size and the colours, of a header that is not reduced
    "none": "0" + "000" + "0000" + "0" + "1" + "1" + "000",
    "numbers of frames": "1" + "1111111" + "000" + "1111" + "0" + "1" + "1" + "111",
    "an order": "0" + "111" + "1111" + "1" + "11" + "1" + "1" + "111" + "000",
    "no content of screens": "0" + "000" + "0000" + "0" + "0" + "0" + "000",
    "content of screens": "0" + "000" + "0000" + "0" + "0" + "1" + "1" + "000",
    "content of screens, whole motion": "0" + "000" + "0000" + "0" + "0" + "1" + "0" + "1" + "000",
    "each frame says, whole motion": "0" + "000" + "0000" + "1" + "01" + "1" + "0" + "1" + "101" + "010",
}
COLOURS = {  # by the profile
    "8 bits": (0, "0" + "0"),
    "10 bits": (0, "1" + "0"),
    "grey": (0, "0" + "1"),
    "each colour for each pixel": (1, "0"),
    "the same of 10 bits": (1, "1"),
    "422": (2, "0" + "0"),
    "422 of 10 bits": (2, "1" + "0" + "0"),
    "12 bits": (2, "1" + "1" + "0"),
}


def coloured(header: str, tools: str, colours: tuple[int, str], matrix: int | None) -> bytes:
    profile, depth = colours
    named = "0" if matrix is None else f"1{1:08b}{13:08b}{matrix:08b}"
    return unit(1, f"{profile:03b}" + header[3:] + tools + depth + named + "1010")


@pytest.mark.parametrize("tools", TOOLS)
@pytest.mark.parametrize("colours", COLOURS)
def test_the_colour_matrix_is_read_behind_whatever_stands_before_it(tools: str, colours: str) -> None:
    for matrix in (0, 6, 14, 255, None):
        expected = 2 if matrix is None else matrix
        for name, header in HEADERS.items():
            found = "000" + "101" if name == "reduced" else TOOLS[tools]
            assert av1.colour_matrix(coloured(header, found, COLOURS[colours], matrix)) == expected


def test_a_header_that_is_cut_before_the_colour_matrix_is_an_error() -> None:
    whole = coloured(HEADERS["one operating point"], TOOLS["an order"], COLOURS["12 bits"], 9)
    assert av1.colour_matrix(b"") is None
    assert av1.colour_matrix(unit(6, "1" * 80)) is None
    for cut in range(3, len(whole) - 1):
        with pytest.raises(ValueError, match="cut"):
            av1.colour_matrix(whole[:cut])


@pytest.mark.parametrize("matrix", range(18))
def test_where_the_file_names_no_matrix_that_of_the_data_counts(matrix: int) -> None:
    content = coloured(HEADERS["reduced"], "000" + "101", COLOURS["8 bits"], matrix)
    sides, profile = (ispe(640, 480), False), (box(b"colr", b"prof" + bytes(20)), False)
    nclx = (box(b"colr", b"nclx\0\1\0\x0d\0\x06\x80"), False)
    shown = [sides, (av1c(), True)]
    named = "" if matrix in (0, 1, 2, 4, 5, 6, 7, 8, 9) else f"AVIF with the colour matrix {matrix} of ITU-T H.273"
    for properties, expected in ((shown, named), ([*shown, profile], named), ([*shown, profile, nclx], "")):
        verdict = ""
        try:
            heif.check_mode(Heif({1: (b"av01", content, properties)}, brand=b"avif").bytes(), "AVIF")
        except Rejected as why:
            assert why.reason == "UNSUPPORTED_MODE"
            verdict = why.detail
        assert verdict == expected


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4", "4:0:0"])
def test_it_is_the_matrix_that_an_encoder_wrote(subsampling: str) -> None:
    for options in ({}, {"save_all": True, "append_images": [Image.fromarray(picture(100, 80, 1))]}):
        data = encoded(picture(100, 80), "AVIF", speed=10, subsampling=subsampling, **options)
        (meta,) = [part for part in boxes(data, 0, len(data)) if part.kind == b"meta"]
        items = read_items(data, meta)
        primary = items.by_number[items.primary]
        nclx = next(part.content for part, _ in primary.properties if part.kind == b"colr")
        assert av1.colour_matrix(bytes_of(data, primary)) == int.from_bytes(data[nclx + 8 : nclx + 10])


@pytest.mark.parametrize("options", [{}, {"save_all": True, "append_images": [Image.fromarray(picture(100, 80, 1))]}])
def test_it_is_the_size_that_an_encoder_wrote(options: dict[str, object]) -> None:
    data = encoded(picture(100, 80), "AVIF", speed=10, **options)
    (meta,) = [part for part in boxes(data, 0, len(data)) if part.kind == b"meta"]
    items = read_items(data, meta)
    assert av1.frame_size(bytes_of(data, items.by_number[items.primary])) == (100, 80)


REDUCED = unit(1, HEADERS["reduced"])


@pytest.mark.parametrize(
    ("content", "sides", "found"),
    [
        (REDUCED, (640, 480), ""),
        (REDUCED, None, ""),  # no other size is declared
        (REDUCED, (640, 481), "CORRUPT: HEIC with AV1 data of 640 × 480, declared as another size"),
        (REDUCED[:3], None, "CORRUPT: HEIC whose items cannot be read: a header of its bitstream is cut"),
    ],
)
def test_data_that_no_picture_uses_are_looked_at_too(content: bytes, sides: tuple[int, int] | None, found: str) -> None:
    declared = [(ispe(*sides), False)] if sides else []
    shown = (b"hvc1", b"pixels", [(ispe(64, 48), False), (hvcc(), True)])
    try:
        heif.check(Heif({1: shown, 2: (b"av01", content, declared)}).bytes(), Limits(), "HEIC")
        verdict = ""
    except Rejected as why:
        verdict = str(why)
    assert verdict == found
