"""What a HEIC or AVIF file declares, box by box: size, coding, properties, metadata, and where it ends."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import av1, heif
from imagefeatures.limits import Limits
from support.heif_boxes import Heif, av1c, box, full, grid, hvcc, ispe, track

Properties = list[tuple[bytes, bool]]
EXIF = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x9C9B, 1, 30, 8, 0)
"""One tag that claims 30 of the block's 26 bytes."""


def heic(*properties: tuple[bytes, bool], size: bytes = ispe(64, 48), coding: bytes = hvcc()) -> Heif:
    return Heif({1: (b"hvc1", b"pixels", [(size, False), (coding, True), *properties])})


def avif(*properties: tuple[bytes, bool], flags: int = 0) -> Heif:
    return Heif({1: (b"av01", b"", [(ispe(64, 48), False), (av1c(flags), True), *properties])}, brand=b"avif")


def tiled(data: bytes, tiles: int = 4, sides: Properties | None = None) -> Heif:
    tile = (b"hvc1", b"pixels", [(ispe(40, 30), False), (hvcc(), True)])
    items = {1: (b"grid", data, [(ispe(64, 48), False)] if sides is None else sides)}
    numbers = list(range(2, 2 + tiles))
    return Heif(items | dict.fromkeys(numbers, tile), references=[(b"dimg", 1, numbers)])


def refusal(file: Heif | bytes, kind: str = "HEIC") -> str:
    """The reason and its detail, by what the file declares; empty if it is read."""
    try:
        heif.check_mode(file.bytes() if isinstance(file, Heif) else file, kind)
    except Rejected as why:
        return str(why)
    return ""


# Size


def test_the_size_is_that_of_the_picture_or_of_the_largest_part_of_it() -> None:
    assert heif.size(heic().bytes()) == heif.size(avif().bytes()) == (64, 48)
    assert heif.size(heic(size=ispe(2**31, 7)).bytes()) == (2**31, 7)
    assert heif.size(tiled(grid(2, 2, 64, 48)).bytes()) == (64, 48)
    assert heif.size(tiled(grid(2, 2, 80, 60)).bytes()) == (80, 60)
    assert heif.size(tiled(grid(2, 2, 70_000, 60_000, wide=True)).bytes()) == (70_000, 60_000)
    assert heif.size(tiled(grid(2, 2, 20, 10), sides=[]).bytes()) == (40, 30)  # of a tile
    unused = {**heic().items, 2: (b"hvc1", b"", [(ispe(640, 480), False)])}
    assert heif.size(Heif(unused).bytes()) == (64, 48)
    assert heif.size(Heif(unused, references=[(b"auxl", 2, [1])]).bytes()) == (640, 480)
    for sides in ((100, 30), (30, 200), (80, 40), (40, 80)):  # by the area
        larger = {**heic().items, 2: (b"hvc1", b"", [(ispe(*sides), False)])}
        expected = (64, 48) if sides == (100, 30) else sides
        assert heif.size(Heif(larger, references=[(b"auxl", 2, [1])]).bytes()) == expected


def test_the_size_of_a_sequence_is_that_of_its_largest_track() -> None:
    tracks = box(b"moov", full(b"mvhd", 0, bytes(8)) + track(300, 200) + track(30, 20))
    assert heif.size(replace(heic(), rest=tracks).bytes()) == (300, 200)
    assert heif.size(replace(heic(), rest=box(b"free", track(300, 200))).bytes()) == (64, 48)
    assert heif.size(replace(heic(), rest=box(b"moov", box(b"free", track(300, 200)[8:]))).bytes()) == (64, 48)


def test_what_cannot_be_read_has_no_size() -> None:
    data = heic().bytes()
    assert heif.size(data[: data.index(b"mdat") - 5]) is None  # a byte of meta less
    assert heif.size(replace(heic(), primary=9).bytes()) is None
    assert heif.size(heic(size=box(b"free")).bytes()) is None
    assert heif.size(heic(size=full(b"ispe", 0, bytes(7))).bytes()) is None
    tables = data.index(b"meta") - 4
    longer = data[:tables] + (len(data) - tables + 1).to_bytes(4) + data[tables + 4 :]  # its tables are all there
    for part in (b"", data[:20], longer):
        assert heif.size(part) is None
        assert refusal(part) == ""
        assert heif.readable(part) is part


def test_what_looks_like_av1_in_data_of_another_codec_says_nothing_of_the_size() -> None:
    header = b"\x0a\x05\x19\x26\x27\xfe\xf8"  # of a sequence of 640 × 480, reduced
    assert av1.frame_size(header) == (640, 480)
    of_av1 = Heif({1: (b"av01", header, [(ispe(64, 48), False), (av1c(), True)])}, brand=b"avif")
    assert heif.size(of_av1.bytes()) == (640, 480)
    assert heif.size(of_av1.bytes()[:-1]) == (64, 48)  # not all of the data are there
    assert heif.size(Heif({1: (b"hvc1", header, [(ispe(64, 48), False), (hvcc(), True)])}).bytes()) == (64, 48)


def test_a_track_that_ends_beyond_the_file_is_told() -> None:
    tkhd = (1000).to_bytes(4) + track(64, 48)[12:]
    sequence = replace(heic(), rest=box(b"moov", box(b"trak", tkhd)))
    assert refusal(sequence).startswith("CORRUPT: HEIC whose items cannot be read: it ends after ")


def test_a_file_that_names_no_picture_has_none_that_stands_for_it() -> None:
    unnamed = heic().bytes().replace(b"pitm", b"free")
    assert heif.size(unnamed) is None
    assert refusal(unnamed) == "UNSUPPORTED_FORMAT: HEIC file without a picture that stands for it"


# Coding


@pytest.mark.parametrize("luma", range(8, 16))
@pytest.mark.parametrize("chroma", range(8, 16))
def test_hevc_is_of_8_10_or_12_bits(luma: int, chroma: int) -> None:
    found = refusal(heic(coding=hvcc(luma, chroma)))
    is_read = luma == chroma and luma in (8, 10, 12)
    assert found == ("" if is_read else f"UNSUPPORTED_MODE: HEIC of {luma} and {chroma} bits a channel")


def test_av1_is_of_8_10_or_12_bits() -> None:
    for flags in (0x00, 0x40, 0x60, 0x20, 0x1F):
        assert refusal(avif(flags=flags), "AVIF") == ""
    cut = Heif({1: (b"av01", b"", [(ispe(64, 48), False), (box(b"av1C", b"\x81\0"), True)])})
    assert refusal(cut, "AVIF").startswith("CORRUPT: AVIF whose items cannot be read: it ends after ")
    whole = Heif({1: (b"av01", b"", [(ispe(64, 48), False), (box(b"av1C", b"\x81\0\0"), True)])})
    assert refusal(whole, "AVIF") == ""


def test_a_picture_says_how_it_is_decoded() -> None:
    for codec, kind in ((b"hvc1", "HEIC"), (b"av01", "AVIF")):
        without = Heif({1: (codec, b"", [(ispe(64, 48), False)])})
        detail = f"CORRUPT: {kind} whose items cannot be read: a picture has no decoder configuration"
        assert refusal(without, kind) == detail


@pytest.mark.parametrize("kind", [b"av01", b"avc1", b"jpeg", b"vvc1", b"j2k1", b"unci", b"iden", b"iovl"])
def test_another_codec_is_named(kind: bytes) -> None:
    detail = f"UNSUPPORTED_FORMAT: HEIC file whose picture is coded as {kind.decode()!r}"
    assert refusal(Heif({1: (kind, b"", [(ispe(64, 48), False), (hvcc(), True)])})) == detail


def test_every_tile_of_a_grid_is_of_the_codec() -> None:
    file = tiled(grid(2, 2, 64, 48))
    assert refusal(file) == ""
    other = replace(file, items={**file.items, 4: (b"av01", b"", [])})
    assert refusal(other) == "UNSUPPORTED_FORMAT: HEIC file whose picture is coded as 'av01'"
    for rows, columns, count in ((2, 3, 4), (3, 2, 4), (1, 4, 3), (1, 1, 4)):
        detail = f"CORRUPT: HEIC whose items cannot be read: a grid of {rows} × {columns} tiles has {count}"
        assert refusal(tiled(grid(rows, columns, 64, 48), count)) == detail
    without_sides = grid(2, 2, 64, 48)[:4]  # the number of tiles is seen first
    assert refusal(tiled(without_sides, 3)).endswith(": a grid of 2 × 2 tiles has 3")
    assert refusal(tiled(without_sides[:3])).startswith("CORRUPT: HEIC whose items cannot be read: it ends after 3 ")
    for rows, columns in ((1, 4), (4, 1)):
        assert refusal(tiled(grid(rows, columns, 64, 48))) == ""


@pytest.mark.parametrize("matrix", range(20))
def test_a_colour_matrix_has_a_rule_or_is_named(matrix: int) -> None:
    nclx = box(b"colr", b"nclx\0\1\0\x0d" + matrix.to_bytes(2) + b"\x80")
    for file, kind in ((heic((nclx, False)), "HEIC"), (avif((nclx, False)), "AVIF")):
        named = f"UNSUPPORTED_MODE: {kind} with the colour matrix {matrix} of ITU-T H.273"
        read_ones = (0, 1, 2, 4, 5, 6, 7, 9) if kind == "HEIC" else (0, 1, 2, 4, 5, 6, 7, 8, 9)
        assert refusal(file, kind) == ("" if matrix in read_ones else named)
    profile = box(b"colr", b"prof\0\1\0\x0d" + matrix.to_bytes(2))
    assert refusal(heic((profile, False))) == ""
    assert refusal(heic((box(b"colr", b"nclx\0\1\0\x0d" + (256 + 6).to_bytes(2)), False))) != ""
    read = refusal(heic((nclx, False)))
    assert refusal(heic((profile, False), (nclx, False))) == read  # beside a profile
    assert refusal(tiled(grid(2, 2, 64, 48), sides=[(ispe(64, 48), False), (nclx, False)])) == read  # of a grid


# Properties


UNDERSTOOD = [b"ispe", b"pixi", b"colr", b"pasp", b"irot", b"imir", b"clap", b"hvcC", b"av1C", b"auxC"]


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_a_property_that_is_understood_may_have_to_be(kind: bytes) -> None:
    assert refusal(heic((box(kind, bytes(8)), True))) == ""
    if kind != b"clap":
        assert refusal(avif((box(kind, bytes(8)), True)), "AVIF") == ""


def test_a_property_that_is_not_understood_must_not_have_to_be() -> None:
    unknown, other = box(b"iscl", bytes(8)), box(b"lsel", bytes(2))
    assert refusal(heic((unknown, False), (other, False))) == ""
    detail = "UNSUPPORTED_FORMAT: HEIC file that must be read with iscl, lsel, which is not supported"
    assert refusal(heic((unknown, True), (other, True))) == detail
    assert refusal(heic((other, False), (unknown, True))) == detail.replace(", lsel", "")


def test_an_avif_is_neither_cropped_nor_mirrored_before_it_is_turned() -> None:
    turn, mirror, crop = ((box(kind, b"\1"), False) for kind in (b"irot", b"imir", b"clap"))
    for order in ([turn], [mirror], [turn, mirror]):
        assert refusal(avif(*order), "AVIF") == ""
    detail = "UNSUPPORTED_FORMAT: AVIF file that must be read with {}, which is not supported"
    assert refusal(avif(mirror, turn), "AVIF") == detail.format("imir")
    assert refusal(avif(crop, mirror, turn), "AVIF") == detail.format("clap, imir")
    assert refusal(heic(mirror, turn, crop)) == ""


# What must be there, and what counts


def verdict(data: bytes, most: int = 2**24, kind: str = "HEIC") -> str:
    try:
        heif.check(data, Limits(max_metadata_bytes=most), kind)
    except Rejected as why:
        return str(why)
    return ""


def test_metadata_are_counted_to_the_byte() -> None:
    def of(kind: bytes, data: bytes) -> tuple[bytes, int]:
        made = Heif({**heic().items, 2: (kind, data, [])}).bytes()
        start = made.index(b"meta") - 4
        return made, int.from_bytes(made[start : start + 4])

    for kind, content, count in (
        (b"mime", bytes(100), 100),
        (b"uri ", bytes(7), 7),
        (b"hvc1", bytes(100), 0),
        (b"Exif", bytes(4) + EXIF, 30 + 26),
        (b"Exif", b"\0\0\0\6Exif\0\0" + EXIF, 36 + 26),
        (b"Exif", b"\0\0\0\x07Exif\0\0" + EXIF, 36),  # which is none
        (b"mime", bytes(4) + EXIF, 30),
    ):
        data, tables = of(kind, content)
        assert verdict(data, tables + count) == ""
        too_much = f"METADATA_TOO_LARGE: HEIC with {tables + count} bytes of metadata or more"
        assert verdict(data, tables + count - 1).startswith(too_much)


def test_a_file_has_all_its_boxes_and_all_bytes_of_its_items() -> None:
    data = heic().bytes()
    assert verdict(data) == ""
    for length in range(12, len(data)):
        assert verdict(data[:length]).startswith(f"TRUNCATED: HEIC of {length} bytes, ")
    needed = "TRUNCATED: HEIC of {} bytes, its boxes declare {} bytes or more"
    assert verdict(data[:-1]) == needed.format(len(data) - 1, len(data))
    assert verdict(data[:24]) == needed.format(24, 25)
    assert verdict(data[:14]) == needed.format(14, 20)
    endless = data[:-14] + bytes(4) + data[-10:]  # mdat up to the end, however long
    assert verdict(endless) == ""
    reached = f"TRUNCATED: HEIC of {len(data) - 1} bytes, its items reach up to {len(data)}"
    assert verdict(endless[:-1]) == reached


def test_a_sequence_needs_its_track() -> None:
    film = box(b"moov", track(64, 48))
    sequence = replace(heic(), brand=b"avis", rest=film)
    assert verdict(sequence.bytes()) == ""
    without = replace(sequence, rest=b"").bytes()
    assert verdict(without) == f"TRUNCATED: HEIC of {len(without)} bytes, it is a sequence without its track"
    alone = box(b"ftyp", b"avis") + film
    assert verdict(alone) == "UNSUPPORTED_FORMAT: HEIC sequence without a picture that stands for it"
    assert verdict(alone + box(b"mdat", bytes(9))[:-1]).startswith("TRUNCATED: ")
    assert verdict(box(b"ftyp", b"avis") + box(b"mdat", bytes(9))).startswith("TRUNCATED: ")


OF_THE_FILE = [b"free", b"skip", b"wide", b"uuid", b"idat", b"mfra", b"moof", b"moov", b"mdat"]


@pytest.mark.parametrize("kind", OF_THE_FILE)
def test_what_is_appended_to_a_file_is_none_of_its_boxes(kind: bytes) -> None:
    data = heic().bytes()
    with_more = data + box(kind, bytes(50))
    assert verdict(with_more) == ""
    assert verdict(with_more[:-1]).startswith("TRUNCATED: ")
    assert heif.readable(with_more) == with_more
    appended = data + box(b"SEFH", bytes(50))
    assert verdict(appended) == verdict(appended[:-1]) == ""
    assert heif.readable(appended) == data


def test_the_box_of_the_items_may_stand_last() -> None:
    file = heic()
    head, pixels = box(b"ftyp", b"heic" + bytes(4) + b"mif1"), box(b"mdat", b"pixels")
    data = head + pixels + file._meta(len(head) + 8)
    assert verdict(data) == ""
    assert heif.readable(data) == data
    assert verdict(data[:-1]).startswith("TRUNCATED: ")


@pytest.mark.parametrize("kind", [b"Exif", b"mime", b"uri ", b"tmap"])
def test_the_decoder_does_not_see_metadata(kind: bytes) -> None:
    items = {**heic().items, 2: (kind, bytes(30), []), 3: (b"hvc1", b"x", [])}
    data = Heif(items).bytes()
    assert heif.readable(data) == data.replace(b"\0\2\0\0" + kind, b"\0\2\0\0skip")


def test_a_file_of_a_thousand_items_is_read_and_of_no_more() -> None:
    one = (b"hvc1", b"", [])
    thousand = Heif(heic().items | dict.fromkeys(range(2, 1001), one))
    assert refusal(thousand) == ""
    more = replace(thousand, items=thousand.items | {1001: one})
    assert refusal(more) == "UNSUPPORTED_FORMAT: HEIC file of 1,001 items, of at most 1,000"
