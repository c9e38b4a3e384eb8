"""Which layouts of a TIFF are read: those of the table in docs/images.md, judged by what they declare alone."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats.tiff_layout import Layout
from imagefeatures.formats.tiff_modes import check_layout, check_picture, describe
from support.tiff_files import BLACK_IS_ZERO, CMYK, JPEG, LZW, NONE, PACKBITS, PALETTE, RGB, WHITE_IS_ZERO, YCBCR, Tiff
from support.tiff_matrix import is_documented, kinds

DEFLATE, LZMA, ZSTANDARD, FAX, OLD_JPEG = (8, 32946), 34925, 50000, (2, 3, 4), 6


def layout(
    photometric: int | None, bits: int, samples: int = 1, extra: tuple[int, ...] = (), **others: tuple[float, ...]
) -> Layout:
    """What a first directory declares. others: the values of more tags, such as t259=(5,) for LZW."""
    values = {int(name[1:]): found for name, found in others.items()}
    if photometric is not None:
        values[262] = (photometric,)
    if extra:
        values[338] = extra
    if photometric == YCBCR:
        values = {530: (1, 1), **values}
    arrays = {320: np.full(3 << bits, 60_000, np.uint16)} if photometric == PALETTE and bits <= 16 else {}
    (sample_format,) = values.pop(339, (1,))
    return Layout(values, arrays, 64, 48, samples, bits, int(sample_format), None)


def refusal(found: Layout, data: bytes = b"") -> str:
    """Why it is not read; empty if it is."""
    try:
        check_layout(data, found)
    except Rejected as why:
        assert why.reason == ("UNSUPPORTED_FORMAT" if why.detail.startswith("found ") else "UNSUPPORTED_MODE")
        return why.detail
    return ""


def test_the_layouts_that_are_read_are_those_of_the_documents() -> None:
    read = 0
    for kind in kinds():
        photometric, bits, samples, extra = kind
        for planes, reversed_bits, compression in product((False, True), (False, True), (NONE, LZW)):
            shape = np.empty((1, 1, samples))
            tiff = Tiff(shape, bits, photometric, "<", planes, compression, reversed_bits, extra=extra)
            tags = {"t259": (compression,), "t284": (1 + planes,), "t266": (1 + reversed_bits,)}
            assert (refusal(layout(*kind, **tags)) == "") == is_documented(tiff), (kind, tags)
            read += is_documented(tiff)
    assert read > 100


@pytest.mark.parametrize("compression", [LZW, *DEFLATE, LZMA, ZSTANDARD, NONE, PACKBITS])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_predictor_is_read_for_8_and_16_bits_and_some_compressions(bits: int, compression: int) -> None:
    for predictor in (1, 2, 3):
        found = layout(BLACK_IS_ZERO, bits, t259=(compression,), t317=(predictor,))
        heeded = predictor == 2 and bits in (8, 16) and compression not in (NONE, PACKBITS)
        assert (refusal(found) == "") == (predictor == 1 or heeded)


@pytest.mark.parametrize("compression", FAX)
def test_fax_is_of_1_bit_black_on_white_or_white_on_black(compression: int) -> None:
    for photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, None):
        assert refusal(layout(photometric, 1, t259=(compression,))) == ""
        for other in (
            layout(photometric, 8, t259=(compression,)),
            layout(photometric, 1, 2, t259=(compression,)),
            layout(photometric, 1, 2, (0,), t259=(compression,)),
            layout(photometric, 1, t259=(compression,), t317=(2,)),
            layout(photometric, 1, t259=(compression,), t339=(2,)),
        ):
            assert refusal(other).endswith(" is not read")
    assert refusal(layout(PALETTE, 1, t259=(compression,))) != ""
    assert refusal(layout(None, 1)) == "a TIFF of undeclared colours, 1 sample of 1 bits, no compression is not read"


JPEG_COLOURS = [(WHITE_IS_ZERO, 1), (BLACK_IS_ZERO, 1), (RGB, 3), (YCBCR, 3), (CMYK, 4)]


def test_jpeg_in_a_tiff_is_of_8_bits_and_of_five_kinds_of_colours() -> None:
    for photometric, samples in product(range(7), (1, 2, 3, 4)):
        found = layout(photometric, 8, samples, t259=(JPEG,))
        assert (refusal(found) == "") == ((photometric, samples) in JPEG_COLOURS)
    for photometric, samples in JPEG_COLOURS:
        in_planes = layout(photometric, 8, samples, t259=(JPEG,), t284=(2,))
        assert (refusal(in_planes) == "") == (photometric != CMYK)
        for bits in (4, 16):
            assert refusal(layout(photometric, bits, samples, t259=(JPEG,))).endswith(" is not read")
        for other in ({"t266": (2,)}, {"t317": (2,)}, {"t339": (2,)}):
            assert refusal(layout(photometric, 8, samples, t259=(JPEG,), **other)).endswith(" is not read")
        assert refusal(layout(photometric, 8, samples + 1, (0,), t259=(JPEG,))).endswith(" is not read")


def test_jpeg_in_the_old_manner_is_read_as_one_stream_of_ycbcr() -> None:
    assert refusal(layout(YCBCR, 8, 3, t259=(OLD_JPEG,), t513=(99,))) == ""
    in_parts = "found a TIFF image compressed by JPEG in the old manner, in parts, which is not read"
    assert refusal(layout(YCBCR, 8, 3, t259=(OLD_JPEG,))) == in_parts
    for other in (
        layout(YCBCR, 8, 3, t259=(OLD_JPEG,), t513=(99,), t284=(2,)),
        layout(YCBCR, 4, 3, t259=(OLD_JPEG,), t513=(99,)),
        layout(YCBCR, 8, 4, (0,), t259=(OLD_JPEG,), t513=(99,)),
        layout(RGB, 8, 3, t259=(OLD_JPEG,), t513=(99,)),
    ):
        assert refusal(other).endswith(", JPEG in the old manner is not read")


NAMES = {
    **{22610: "JPEG XR", 32771: "CCITT RLE, word by word", 32809: "ThunderScan", 32908: "Pixar film"},
    **{32909: "Pixar log", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGI log"},
    **{34677: "SGI log of 24 bits", 34712: "JPEG 2000", 34713: "Nikon's raw compression", 34887: "LERC"},
    **{34892: "lossy JPEG of a DNG file", 34926: "Zstandard, by its old number", 34927: "WebP", 34933: "PNG"},
    **{34934: "JPEG XR", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 60000: "compression 60000"},
}


@pytest.mark.parametrize("number", NAMES)
def test_a_compression_that_is_not_read_is_named(number: int) -> None:
    detail = f"found a TIFF image compressed by {NAMES[number]}, which is not read"
    assert refusal(layout(RGB, 8, 3, t259=(number,))) == detail


@pytest.mark.parametrize(("bits", "sample_format", "mode"), [(32, 1, "I"), (32, 2, "I"), (16, 2, "I"), (32, 3, "F")])
def test_grey_of_an_open_range_has_no_rule(bits: int, sample_format: int, mode: str) -> None:
    found = layout(BLACK_IS_ZERO, bits, t339=(sample_format,))
    assert refusal(found) == f"mode {mode!r} has no defined conversion to RGB"
    assert refusal(layout(8, 8, 3)) == "mode 'LAB' has no defined conversion to RGB"
    assert refusal(layout(BLACK_IS_ZERO, bits, 2, t339=(sample_format,))).endswith(" is not read")


FOUND = {
    "grey whose 0 is white, 1 sample of 3 bits, no compression": layout(WHITE_IS_ZERO, 3),
    "grey, 2 signed samples of 8 bits, extra samples 0, LZW": layout(BLACK_IS_ZERO, 8, 2, (0,), t259=(5,), t339=(2,)),
    "RGB, 3 float samples of 16 bits, planes apart, Deflate": layout(RGB, 16, 3, t284=(2,), t259=(8,), t339=(3,)),
    "a palette, 1 undefined sample of 8 bits, bits in reverse, Deflate": layout(
        PALETTE, 8, t339=(4,), t266=(2,), t259=(32946,)
    ),
    "a transparency mask, 1 sample of 1 bits, PackBits": layout(4, 1, t259=(PACKBITS,)),
    "CMYK, 5 complex samples of 8 bits, extra samples 2, LZMA": layout(CMYK, 8, 5, (2,), t259=(LZMA,), t339=(5,)),
    "YCbCr, 3 complex samples of 8 bits, Zstandard": layout(YCBCR, 8, 3, t259=(ZSTANDARD,), t339=(6,)),
    "CIELAB, 3 samples of 16 bits, predictor 2, no compression": layout(8, 16, 3, t317=(2,)),
    "ICC LAB, 3 samples of 8 bits, CCITT RLE": layout(9, 8, 3, t259=(2,)),
    "ITU LAB, 3 samples of 8 bits, CCITT fax 3": layout(10, 8, 3, t259=(3,)),
    "LogL, 1 sample of 16 bits, CCITT fax 4": layout(32844, 16, t259=(4,)),
    "LogLuv, 3 samples of 16 bits, no compression": layout(32845, 16, 3),
    "colours 7, 3 mixed samples of different bits, no compression": layout(7, 0, 3, t339=(0,)),
    "undeclared colours, 1 sample of 8 bits, extra samples 1, 2, JPEG": layout(None, 8, 1, (1, 2), t259=(7,)),
}


@pytest.mark.parametrize("words", FOUND)
def test_what_was_found_is_said_in_words(words: str) -> None:
    assert describe(FOUND[words]) == words
    assert refusal(FOUND[words]) in (f"a TIFF of {words} is not read", "mode 'LAB' has no defined conversion to RGB")


# What contradicts the pixels


def contradiction(found: Layout) -> str:
    return refusal(found).removeprefix(f"a TIFF of {describe(found)}").strip()


def test_inks_are_cyan_magenta_yellow_and_black_over_their_whole_range() -> None:
    for bits in (8, 16):
        most = 2**bits - 1
        assert contradiction(layout(CMYK, bits, 4, t332=(1,), t336=(0, most))) == ""
        assert contradiction(layout(CMYK, bits, 4, t336=(0, most, 0, most))) == ""
        assert contradiction(layout(CMYK, bits, 4, t332=(2,))) == "has other inks than cyan, magenta, yellow and black"
        for limits in ((1, most), (0, most - 1), (most, 0)):
            assert contradiction(layout(CMYK, bits, 4, t336=limits)) == "has inks of another range"


def test_a_palette_has_as_many_values_of_16_bits_as_the_depth_needs() -> None:
    def of(palette: np.ndarray | None, bits: int = 4) -> str:
        found = layout(PALETTE, bits)
        found.arrays.clear()
        return contradiction(Layout(**{**vars(found), "arrays": {} if palette is None else {320: palette}}))

    for bits in (1, 2, 4, 8):
        assert of(np.full(3 << bits, 256, np.uint16), bits) == ""
        assert of(np.zeros(3 << bits, np.uint16), bits) == ""
        count = (3 << bits) - 1
        assert of(np.full(count, 999, np.uint16), bits) == f"has {count} values of a palette, not {count + 1}"
    assert of(None) == "has 0 values of a palette, not 48"
    assert of(np.full(48, 999, np.uint32)) == "has a palette of other values than 16 bits"
    for value in (1, 255):
        in_bytes = "has a palette of 8-bit values where 16 bits are prescribed"
        assert of(np.full(48, value, np.uint16)) == in_bytes


SEVERAL = "has colours for several pixels each"


def test_ycbcr_says_how_its_colours_are_sampled() -> None:
    def of(compression: int, planes: int = 1, **tags: tuple[float, ...]) -> str:
        return contradiction(layout(YCBCR, 8, 3, t259=(compression,), t284=(planes,), **tags))

    unsaid = layout(YCBCR, 8, 3)
    del unsaid.values[530]
    assert contradiction(unsaid) == "does not say how its colours are sampled"
    for factor in (1, 2, 4):
        assert of(LZW, t530=(factor, 1)) == of(LZW, t530=(1, factor)) == ""
        assert of(NONE, t530=(factor, 1)) == of(LZW, 2, t530=(1, factor)) == ("" if factor == 1 else SEVERAL)
        assert of(JPEG, t530=(factor, factor)) == ""
        assert of(JPEG, 2, t530=(factor, 1)) == of(JPEG, 2, t530=(1, factor)) == ("" if factor == 1 else SEVERAL)
    for factors in ((3, 1), (1, 3), (0, 1), (1, 8)):
        in_another_way = "has colours that are sampled in another way than each 1, 2 or 4 pixels"
        assert of(LZW, t530=factors) == of(NONE, t530=factors) == in_another_way
    assert of(NONE, t530=(1, 1, 7)) == ""
    for tags, found in (({"t284": (2,)}, SEVERAL), ({}, ""), ({"t259": (OLD_JPEG,), "t513": (9,)}, "")):
        without = layout(YCBCR, 8, 3, **{"t259": (JPEG,), **tags})
        del without.values[530]  # then it is two by two
        assert contradiction(without) == found


def test_jpeg_data_of_rgb_must_not_declare_another_kind_of_colours() -> None:
    frame = b"\xff\xc0\0\x11\x08\0\1\0\1\3\1\x11\0\2\x11\0\3\x11\0\xff\xd9"
    jfif, plain = (b"\xff\xd8\xff\xe0\0\x07" + name + b"\0" + frame for name in (b"JFIF", b"else"))
    data = b"before" + jfif + plain
    size = len(jfif)

    def of(offsets: list[int], lengths: list[int], compression: int = JPEG) -> str:
        found = layout(RGB, 8, 3, t259=(compression,))
        found.arrays.update({273: np.array(offsets), 279: np.array(lengths)})
        return refusal(found, data).removeprefix(f"a TIFF of {describe(found)}").strip()

    assert of([6], [size]) == of([6, 6 + size], [size, size]) == "holds JPEG data that declare YCbCr"
    assert of([6 + size], [size]) == of([6 + size, 6], [size, size]) == of([6, 6], [0, size]) == of([], []) == ""
    assert of([6], [size], NONE) == ""


def test_ycbcr_has_the_coefficients_and_the_range_of_jpeg_where_they_are_not_heeded() -> None:
    def of(compression: int, **tags: tuple[float, ...]) -> str:
        return contradiction(layout(YCBCR, 8, 3, t259=(compression,), **tags))

    usual, whole = (0.299, 0.587, 0.114), (0, 255, 128, 255, 128, 255)
    for index in range(3):
        for much, found in ((0.0009, ""), (0.002, "has other coefficients than those of JPEG")):
            for sign in (1, -1):
                weights = tuple(value + sign * much * (place == index) for place, value in enumerate(usual))
                assert of(NONE, t529=weights) == of(JPEG, t529=weights) == found
                assert of(LZW, t529=weights) == ""  # libtiff heeds them
    for index in range(6):
        for much, found in ((1, ""), (1.5, "has black and white at other values than 0 and 255")):
            for sign in (1, -1):
                reference = tuple(value + sign * much * (place == index) for place, value in enumerate(whole))
                assert of(NONE, t532=reference) == of(JPEG, t532=reference) == found
                assert of(LZW, t532=reference) == ""


# The picture, or a reduced copy


def picture_of(data: bytes = b"", photometric: int | None = RGB, **tags: tuple[float, ...]) -> str:
    try:
        check_picture(data, layout(photometric, 8, 3, **tags))
    except Rejected as why:
        assert why.reason == "UNSUPPORTED_FORMAT"
        return why.detail
    return ""


def test_a_reduced_picture_is_flagged_by_a_bit_of_the_new_tag_or_by_a_value_of_the_old_one() -> None:
    reduced = "found a TIFF image whose first picture, 64 × 48, is a reduced one: the whole is elsewhere in the file"
    for flags in range(8):
        assert picture_of(t254=(flags,)) == (reduced if flags & 1 else "")
    for kind in (0, 1, 2, 3):
        assert picture_of(t255=(kind,)) == (reduced if kind == 2 else "")


MAKERS = {"NIKON": "NEF", "Sony": "ARW", "PENTAX": "PEF", "Samsung": "SRW", "EPSON": "ERF", "Kodak": "DCR"}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_reduced_picture_is_that_of_a_raw_file_where_a_maker_of_cameras_is_named(maker: str) -> None:
    data = Tiff(np.zeros((1, 1, 3), int), 8, RGB, tags={271: (2, (f"{maker} Corp.\0".encode(),))}).bytes()
    found = f"found a camera's raw file ({MAKERS[maker]}) whose first picture, 64 × 48, is a reduced one"
    assert picture_of(data, t254=(1,)) == f"{found}: the whole is elsewhere in the file"
    assert picture_of(data) == ""


def test_raw_files_are_known_by_their_tag_their_mark_or_their_colours() -> None:
    raw = "found a camera's raw file{}, whose first picture is 64 × 48"
    assert picture_of(t50706=(1,)) == raw.format(" (DNG)")
    assert picture_of(b"II*\0\x10\0\0\0CR\2\0") == raw.format(" (CR2)")
    assert picture_of(b"II*\0\x10\0\0\0CR\2\0", t50706=(1,)) == raw.format(" (DNG)")
    assert picture_of(photometric=32803) == picture_of(photometric=34892) == raw.format("")
    assert picture_of(photometric=None) == picture_of(b"II*\0\x08\0\0\0\0\0CR") == ""
