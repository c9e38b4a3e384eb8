"""What a BMP declares: every kind of header, depth, masks, palette and runs gives its pixels or a reason."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from imagefeatures import images
from imagefeatures.errors import Rejected
from support.bmp_files import CORE, INFO, MASKS, OS2, PLAIN, RLE4, RLE8, V5, Bmp, every_bmp
from support.judging import LIMITS, decoded, rgb, why

PALETTE = np.random.default_rng(3).integers(0, 256, (256, 3)).astype(np.uint8)
PIXELS = np.random.default_rng(4).integers(0, 16, (6, 9))
GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
EIGHT = Bmp(PIXELS, 8, palette=PALETTE)
RUNS = Bmp(PIXELS, 8, compression=RLE8, palette=PALETTE)


def is_documented(bmp: Bmp) -> bool:
    """Whether docs/images.md says that such a file is read."""
    if bmp.compression in (RLE4, RLE8):
        return bmp.bits == {RLE4: 4, RLE8: 8}[bmp.compression]
    if bmp.compression == MASKS:
        *colours, alpha = bmp.masks if bmp.header >= 56 else (*bmp.masks[:3], 0)
        orders = {
            16: [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)],
            24: [(0xFF0000, 0xFF00, 0xFF)],
            32: [(0xFF0000, 0xFF00, 0xFF), (0xFF000000, 0xFF0000, 0xFF00), (0xFF000000, 0xFF00, 0xFF)],
        }
        reverse = (0xFF, 0xFF00, 0xFF0000)
        return tuple(colours) in orders[bmp.bits] or (bmp.bits == 32 and tuple(colours) == reverse and bool(alpha))
    if bmp.palette is not None:
        greys = [*bmp.palette[:, 0]] == ([0, 255] if len(bmp.palette) == 2 else [*range(len(bmp.palette))])
        greys = greys and bool((bmp.palette == bmp.palette[:, :1]).all())
        return bmp.bits != 2 and (not greys or bmp.bits == (1 if len(bmp.palette) == 2 else 8))
    return True


def test_every_bmp_is_read_right_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    ends: Counter[str] = Counter()
    for bmp in every_bmp():
        data = bmp.bytes()
        said = replace(bmp, pixels=np.empty(0), palette=None)
        if is_documented(bmp):
            assert np.array_equal(decoded(data), bmp.rgb()), said
            ends["read"] += 1
        else:
            assert why(data)[0] == "UNSUPPORTED_MODE", said
            ends["refused"] += 1
    with capsys.disabled():
        print(f" {ends.total()} BMPs: {ends['read']} read right, {ends['refused']} refused ", end="")
    assert min(ends.values()) > 24


def test_a_format_inside_a_bmp_is_named() -> None:
    found = {name: why(replace(EIGHT, bits=0, compression=code).bytes()) for code, name in ((4, "JPEG"), (5, "PNG"))}
    for name, answer in found.items():
        assert answer == ("UNSUPPORTED_FORMAT", f"found a BMP image that holds a {name} image, which is not read")


REFUSED = {
    "a BMP of 16 bits with the masks f00, f0, f, 0 is not read": Bmp(
        PIXELS, 16, compression=MASKS, masks=(0xF00, 0xF0, 0xF, 0xF000)
    ),
    "a BMP of 32 bits with the masks 3ff00000, ffc00, 3ff, 0 is not read": Bmp(
        PIXELS, 32, compression=MASKS, masks=(0x3FF00000, 0xFFC00, 0x3FF, 0)
    ),
    "a BMP of 32 bits with masks with alpha is not read": Bmp(PIXELS, 32, compression=6),
    "a BMP of 4 bits with RLE8 is not read": Bmp(PIXELS, 4, compression=RLE8, data=b""),
    "a BMP of 8 bits with RLE4 is not read": Bmp(PIXELS, 8, compression=RLE4, data=b""),
    "a BMP of 8 bits with masks is not read": Bmp(PIXELS, 8, compression=MASKS),
    "a BMP of 32 bits with CMYK is not read": Bmp(PIXELS, 32, compression=11),
    "a BMP of 8 bits with CMYK in RLE8 is not read": Bmp(PIXELS, 8, compression=12),
    "a BMP of 4 bits with CMYK in RLE4 is not read": Bmp(PIXELS, 4, compression=13),
    "a BMP of 8 bits with compression 14 is not read": Bmp(PIXELS, 8, compression=14),
    "a BMP of 16 bits with Huffman is not read": Bmp(PIXELS, 16, OS2, 3),
    "a BMP of 4 bits with 16 greys in order is not read": Bmp(PIXELS, 4, CORE, palette=GREYS[:16]),
    "a BMP of 1 bits with Huffman is not read": Bmp(PIXELS % 2, 1, OS2, 3, palette=PALETTE[:2]),
    "a BMP of 24 bits with RLE24 is not read": Bmp(PIXELS, 24, OS2, 4),
    "a BMP of 64 bits with no compression is not read": Bmp(PIXELS, 64),
    "a BMP of 16 bits with no compression is not read": Bmp(PIXELS, 16, CORE),
    "a BMP of 8 bits with 2 greys in order is not read": replace(
        EIGHT, pixels=PIXELS % 2, palette=np.uint8([[0] * 3, [255] * 3]), colours=2
    ),
}


@pytest.mark.parametrize("detail", REFUSED)
def test_what_is_not_read_right_is_refused_with_what_was_found(detail: str) -> None:
    assert why(REFUSED[detail].bytes()) == ("UNSUPPORTED_MODE", detail)


def test_a_header_of_another_age_is_named() -> None:
    data = EIGHT.bytes()
    short = data[:14] + struct.pack("<I", 16) + data[18:]
    assert why(short) == ("UNSUPPORTED_FORMAT", "found a BMP image with a header of 16 bytes, which is not read")


def test_a_palette_that_contradicts_the_pixels_is_corrupt() -> None:
    stray = PIXELS.copy()
    stray[2, 3] = 200
    few = replace(EIGHT, pixels=stray, palette=PALETTE[:16], colours=16)
    assert images.inspect(few.bytes(), LIMITS).mode == "P"
    with pytest.raises(Rejected, match="a pixel has colour 200 of a palette of 16") as outside:
        images.decode(few.bytes(), LIMITS, rgb)
    assert outside.value.reason == "CORRUPT"
    with pytest.raises(Rejected, match="a pixel has colour 200 of a palette of 16"):
        images.decode(replace(few, palette=GREYS[:16]).bytes(), LIMITS, rgb)
    data = EIGHT.bytes()
    assert why(data[:10] + struct.pack("<I", 54) + data[14:]) == (
        "CORRUPT",
        "BMP whose pixels begin at byte 54, where its palette does",
    )
    assert why(replace(EIGHT, colours=257).bytes()) == ("CORRUPT", "BMP of 8 bits with 257 colours")


@pytest.mark.parametrize("header", [CORE, INFO, OS2, V5])
@pytest.mark.parametrize("declared", [0, 16, 200, 256])
def test_a_palette_ends_where_the_pixels_begin(header: int, declared: int) -> None:
    """The decoder would go on, and take the pixels for colours."""
    few = Bmp(PIXELS, 8, header, palette=PALETTE[:16], colours=declared)
    assert np.array_equal(decoded(few.bytes()), PALETTE[PIXELS])
    stray = PIXELS.copy()
    stray[2, 3] = 16
    with pytest.raises(Rejected, match="a pixel has colour 16 of a palette of 16") as outside:
        images.decode(replace(few, pixels=stray).bytes(), LIMITS, rgb)
    assert outside.value.reason == "CORRUPT"


@pytest.mark.parametrize("bits", [8, 24])
def test_pixels_that_begin_in_the_header_or_the_first_colour_are_corrupt(bits: int) -> None:
    data = Bmp(PIXELS, bits, palette=PALETTE if bits == 8 else None).bytes()
    for start in (1, 14, 53):
        found = why(data[:10] + struct.pack("<I", start) + data[14:])
        assert found == ("CORRUPT", f"BMP whose pixels begin at byte {start}, inside its header")
    decoded(data[:10] + struct.pack("<I", 0) + data[14:])  # it does not say
    if bits == 8:
        found = why(data[:10] + struct.pack("<I", 57) + data[14:])
        assert found == ("CORRUPT", "BMP whose pixels begin at byte 57, its palette at byte 54")


# Runs: rows of 9 pixels, six of them

ROW = bytes([9, 1, 0, 0])
LEFT_OUT = {
    "an empty row": (ROW + b"\0\0" + ROW * 4 + b"\0\1", "pixels of row 1"),
    "the end of a row": (ROW + bytes([8, 1, 0, 0]) + ROW * 4 + b"\0\1", "pixels of row 1"),
    "a jump": (ROW + bytes([3, 1, 0, 2, 2, 0, 4, 1, 0, 0]) + ROW * 4 + b"\0\1", "pixels of row 1"),
    "a jump over rows": (ROW + bytes([0, 2, 0, 2]) + ROW * 3 + b"\0\1", "pixels of row 1"),
    "a jump to where it is": (ROW * 5 + bytes([9, 1, 0, 2, 0, 0]) + b"\0\1", "pixels of row 5"),
    "the last rows": (ROW * 4 + bytes([9, 1]) + b"\0\1", "the rows from 5 on"),
    "the last row": (ROW * 5 + b"\0\1", "pixels of row 5"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_runs_that_leave_pixels_out_are_refused(name: str) -> None:
    data, where = LEFT_OUT[name]
    detail = f"a BMP that leaves out {where} is not read"
    assert why(replace(RUNS, data=data).bytes()) == ("UNSUPPORTED_MODE", detail)


def test_runs_over_the_end_of_a_row_are_corrupt() -> None:
    as_they_are = bytes([7, 1, 0, 3, 1, 2, 3, 0, 0, 0])
    for row in (bytes([13, 1, 0, 0]), bytes([9, 1, 4, 1, 0, 0]), bytes([9, 1, 3, 1, 1, 1, 0, 0]), as_they_are):
        over = replace(RUNS, data=ROW * 2 + row + ROW * 3 + b"\0\1").bytes()
        assert why(over) == ("CORRUPT", "BMP with a run beyond the end of row 2")
    assert why(replace(RUNS, top_down=True).bytes())[0] == "CORRUPT"


@pytest.mark.parametrize(
    "row", [bytes([12, 1, 0, 0]), bytes([9, 1, 3, 0, 0, 0]), bytes([8, 1, 2, 1, 2, 7, 0, 0]), bytes([9, 1, 1, 0, 0, 0])]
)
def test_runs_may_fill_a_row_up_to_a_multiple_of_four_bytes(row: bytes) -> None:
    """As ImageMagick writes each row whose width is none."""
    filled = replace(RUNS, data=ROW * 2 + row + ROW * 3 + b"\0\1").bytes()
    assert np.array_equal(decoded(filled), PALETTE[np.ones_like(PIXELS)])


def test_runs_of_4_bits_may_fill_a_row_of_half_as_many_bytes() -> None:
    palette = PALETTE[:16]
    for width, most in ((9, 16), (7, 8), (8, 8)):
        pixels = np.ones((2, width), int)
        for count in range(width, 18):
            row = bytes([count, 0x11, 0, 0])
            data = Bmp(pixels, 4, INFO, RLE4, palette=palette, data=row + row[:2] + b"\0\1").bytes()
            if count <= most:
                assert np.array_equal(decoded(data), palette[pixels])
            else:
                assert why(data) == ("CORRUPT", "BMP with a run beyond the end of row 0")


def test_runs_at_an_odd_byte_are_refused() -> None:
    data = RUNS.bytes()
    start = int.from_bytes(data[10:14], "little")
    moved = data[:2] + struct.pack("<I", len(data) + 1) + data[6:10] + struct.pack("<I", start + 1) + data[14:start]
    assert why(moved + b"\0" + data[start:]) == (
        "UNSUPPORTED_MODE",
        "a BMP whose runs begin at an odd byte is not read",
    )


@pytest.mark.parametrize("compression", [PLAIN, RLE8, RLE4])
def test_a_bmp_that_was_cut_is_truncated(compression: int) -> None:
    bits = 4 if compression == RLE4 else 8
    data = Bmp(PIXELS, bits, INFO, compression, palette=PALETTE[: 2**bits]).bytes()
    assert decoded(data).shape == (6, 9, 3)
    for cut in range(26, len(data)):
        with pytest.raises(Rejected) as short:
            images.inspect(data[:cut], LIMITS)
        assert short.value.reason == "TRUNCATED", cut
