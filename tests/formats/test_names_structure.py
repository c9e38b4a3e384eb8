"""Files that are named by more than their first bytes: up to which byte and number they are."""

from __future__ import annotations

import pytest

from imagefeatures.formats.names import describe


def icon(count: int = 1, size: int = 10, start: int = 22, kind: int = 1, zeros: bytes = bytes(3)) -> bytes:
    """The directory of an icon and what follows, up to the end of the first picture. zeros: those that must be."""
    entry = b"\x20\x20\0" + zeros[2:] + b"\1\0\x20\0" + size.to_bytes(4, "little") + start.to_bytes(4, "little")
    head = zeros[:2] + bytes([kind, 0]) + count.to_bytes(2, "little") + entry
    return head + b"\xff" * (start + size - len(head))


def tga(
    kind: int,
    depth: int,
    side: tuple[int, int] = (16, 32),
    palette: tuple[int, int] = (0, 0),
    text: int = 0,
    flags: int = 0x21,
) -> bytes:
    """The header of a TGA. palette: colours and bits of each. text: bytes of it before the palette."""
    head = bytes([text, bool(palette[0]), kind, 0, 0, *palette[0].to_bytes(2, "little"), palette[1], 0, 0, 0, 0])
    return head + side[0].to_bytes(2, "little") + side[1].to_bytes(2, "little") + bytes([depth, flags])


def pcx(version: int = 5, packed: int = 1, bits: int = 8, first: int = 10, length: int = 129) -> bytes:
    return bytes([first, version, packed, bits]).ljust(length, b"\1")


def film(at: int, step: int, length: int) -> bytes:
    """Three packets begin with a G."""
    data = bytearray(b"\1" * length)
    for place in (at, at + step, at + 2 * step):
        if place < length:
            data[place] = 0x47
    return bytes(data)


@pytest.mark.parametrize(("kind", "name"), [(1, "a Windows icon (ICO)"), (2, "a Windows cursor (CUR)")])
def test_an_icon_has_its_first_picture_behind_the_directory_and_in_the_file(kind: int, name: str) -> None:
    whole = icon(kind=kind)
    assert describe(whole) == describe(whole + b"more") == name
    assert describe(icon(count=2, start=38, kind=kind)) == name
    assert describe(icon(count=256, start=6 + 16 * 256, size=70_000, kind=kind)) == name
    for other in (
        whole[:-1],
        icon(start=21, kind=kind),
        icon(count=2, start=37, kind=kind),
        icon(count=0, kind=kind),
        icon(size=0, kind=kind),
        icon(zeros=b"\1\0\0", kind=kind),
        icon(zeros=b"\0\1\0", kind=kind),
        icon(zeros=b"\0\0\1", kind=kind),
        icon(kind=3),
    ):
        assert "Windows" not in describe(other)


def test_a_pcx_image_has_one_of_its_versions_and_depths() -> None:
    for version in range(256):
        assert (describe(pcx(version)) == "a PCX image") == (version in (0, 2, 3, 4, 5))
    for bits in range(256):
        assert (describe(pcx(bits=bits)) == "a PCX image") == (bits in (1, 2, 4, 8))
    for other in (pcx(packed=0), pcx(packed=2), pcx(first=9), pcx(first=11), pcx(length=128)):
        assert describe(other) != "a PCX image"


@pytest.mark.parametrize(("at", "step"), [(0, 188), (4, 192)])
def test_a_film_of_packets_shows_the_beginning_of_three(at: int, step: int) -> None:
    least = at + 2 * step + 1
    assert describe(film(at, step, least)) == "an MPEG film"
    for length in range(at + step + 1, least):
        assert describe(film(at, step, length)) != "an MPEG film"
    for place in (at, at + step, at + 2 * step):
        whole = film(at, step, least)
        assert describe(whole[:place] + b"F" + whole[place + 1 :]) != "an MPEG film"


@pytest.mark.parametrize("kind", range(13))
def test_a_tga_image_has_one_of_its_kinds_and_the_depth_of_it(kind: int) -> None:
    depths = {1: (8, 16), 2: (15, 16, 24, 32), 3: (8, 16)}.get(kind % 8 if kind > 8 else kind, ())
    for depth in range(34):
        for palette in ((0, 0), (2, 24)):
            data = tga(kind, depth, palette=palette).ljust(10_000, b"\xff")
            is_one = depth in depths and (kind % 8 == 1) == bool(palette[0])
            assert (describe(data) == "a TGA image") == is_one, (depth, palette)


def test_a_tga_image_has_a_size_and_no_interleaved_rows() -> None:
    for side in ((0, 1), (1, 0)):
        assert describe(tga(2, 24, side).ljust(100, b"\xff")) != "a TGA image"
    for flags in range(256):
        assert (describe(tga(2, 24, flags=flags).ljust(2000, b"\xff")) == "a TGA image") == (flags < 0x40)
    two_palettes = tga(1, 8, palette=(2, 24)).ljust(2000, b"\xff")
    assert describe(two_palettes) == "a TGA image"
    assert describe(two_palettes[:1] + b"\2" + two_palettes[2:]) != "a TGA image"


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (tga(2, 24), 16 * 32 * 3),
        (tga(2, 15), 16 * 32 * 2),
        (tga(2, 32, (300, 2)), 300 * 2 * 4),
        (tga(3, 8, (2, 300)), 2 * 300),
        (tga(3, 8, text=9), 9 + 16 * 32),
        (tga(1, 8, palette=(300, 24)), 300 * 3 + 16 * 32),
        (tga(1, 8, palette=(7, 15)), 7 * 2 + 16 * 32),
        (tga(9, 8, palette=(7, 1)), 7 + 16 * 32 // 128),
        (tga(10, 24), 16 * 32 // 128),
        (tga(11, 8, (129, 128)), 129),
        (tga(10, 24, (1, 1)), 0),
    ],
)
def test_a_tga_image_has_all_its_bytes_or_the_least_that_packed_ones_may_have(head: bytes, rest: int) -> None:
    data = head + b"\xff" * rest
    assert describe(data) == "a TGA image"
    assert describe(data[:-1]) != "a TGA image"
    assert describe(b"\1\2" + data[:-1] + b"TRUEVISION-XFILE.\0") == "a TGA image"


def test_a_metafile_has_both_its_marks() -> None:
    whole = b"\1\0\0\0" + b"\1" * 36 + b" EMF"
    assert describe(whole) == "a Windows metafile (EMF)"
    for other in (b"\2" + whole[1:], whole[:3] + b"\1" + whole[4:], whole[:-1] + b"f", whole[:-1], whole[4:]):
        assert describe(other).startswith("unknown bytes ")


def test_zeros_are_named_from_eight_on() -> None:
    assert describe(bytes(8)) == "nothing but zeros"
    assert describe(bytes(7)) == "unknown bytes (00 00 00 00 00 00 00)"
    assert describe(bytes(8) + b"?").startswith("unknown bytes ")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xef\xbb\xbf %PDF-1.7", "a PDF document"),
        (b"<html><svg></svg></html>", "an HTML page"),
        (b"<?xml version='1.0'?><!-- \x01 --><SVG>", "an SVG drawing"),
        (b"<?xml version='1.0'?>".ljust(508) + b"<svg", "an SVG drawing"),
        (b"<?xml version='1.0'?>".ljust(509) + b"<svg", "an XML document"),
        (b"\xff\xfea\0", "text in UTF-16"),
        (b"\xfe\xff\0a", "text in UTF-16"),
        (b"a b\t\n\f\r\x1b \x80\xff", "text"),
        (b"a".ljust(512) + b"\0", "text"),
        (b"a".ljust(512) + b"\x7f", "text"),
    ],
)
def test_texts_are_known_by_their_beginning_and_by_having_no_control_characters(data: bytes, name: str) -> None:
    assert describe(data) == name


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"#?RGBE\nFORMAT=32-bit_rle_rgbe", "a Radiance HDR image"),
        (b"\1\xda\1\1\0\3", "an SGI image"),
        (b"SQLite format 3\0\x10\0", "an SQLite database"),
        (b"P7\n# by hand", "a PNM image (PBM, PGM, PPM or PAM)"),
        (b"P7\nby hand", "text"),
        (b"#define a_width 1", "an XBM image"),
        (b"#define a_width x", "text"),
        (b"RIFF    AVI LIST", "an AVI film"),
        (b"RIFX    AVI LIST", "text"),
        (b"RIFF    WAVEfmt ", "text"),
    ],
)
def test_what_almost_begins_like_a_format_is_none(data: bytes, name: str) -> None:
    assert describe(data) == name


@pytest.mark.parametrize(
    "data", [b"", b"a\x7f", b"a\x0b", b"a\0", b"a\x1f", b"a".ljust(511) + b"\0", b"a".ljust(511) + b"\x7f"]
)
def test_what_has_control_characters_is_no_text(data: bytes) -> None:
    assert describe(data) == f"unknown bytes ({data[:8].hex(' ')})"


@pytest.mark.parametrize("kind", [b"moov", b"mdat", b"wide", b"pnot"])
def test_a_film_without_a_brand_begins_with_a_box_of_quicktime(kind: bytes) -> None:
    assert describe(b"\0\0\1\0" + kind + bytes(12)) == "a QuickTime film"
    assert describe(b"\0\0\1\0" + kind[:3] + b"?" + bytes(12)) != "a QuickTime film"


BRANDS_OF_FILMS = b"isom iso2 mp41 M4VP avc1 dash 3gp6 3g2a f4v_ MSNV mmp4 XAVC ndxh hvc1 CAEP dby1"


@pytest.mark.parametrize("brand", [brand.replace(b"_", b" ") for brand in BRANDS_OF_FILMS.split()])
def test_films_are_named_by_their_brand(brand: bytes) -> None:
    assert describe(b"\0\0\0\x18ftyp" + brand + bytes(12)) == "an MP4 film"
    other = brand[:3] + b"\n"
    assert describe(b"\0\0\0\x18ftyp" + other + bytes(12)).endswith(f"(of the brand {other.hex(' ')})")


@pytest.mark.parametrize(
    ("brand", "name"),
    [
        (b"avcs", "a HEIF sequence of the codec AVC"),
        (b"jpeg", "a HEIF image of the codec JPEG"),
        (b"j2ki", "a HEIF image of the codec JPEG 2000"),
        (b"M4B ", "an MP4 recording"),
        (b"mif2", "a HEIF image of an unknown codec"),
        (b"msf1", "a HEIF sequence of an unknown codec"),
    ],
)
def test_brands_are_named(brand: bytes, name: str) -> None:
    assert describe(b"\0\0\0\x18ftyp" + brand + bytes(12)) == name
