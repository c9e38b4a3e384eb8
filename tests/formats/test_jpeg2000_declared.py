"""What a JPEG 2000 file declares, field by field: size, tiles and their parts, boxes, metadata, and where it ends."""

from __future__ import annotations

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import jpeg2000
from imagefeatures.limits import Limits
from support.jpeg2000_files import END, SRGB, START, box, colr, comment, ihdr, jp2, part, siz, stream


def mode(data: bytes) -> str:
    try:
        jpeg2000.check_mode(data)
    except Rejected as why:
        return str(why)
    return ""


def verdict(data: bytes, most: int = 2**24) -> str:
    try:
        jpeg2000.check(data, Limits(max_metadata_bytes=most))
    except Rejected as why:
        return str(why)
    return ""


# The size


def test_the_size_is_that_of_the_picture_on_its_canvas() -> None:
    assert jpeg2000.size(stream()) == jpeg2000.size(jp2()) == (64, 48)
    assert jpeg2000.size(stream(head=siz((70_000, 48), offset=(6, 8)))) == (69_994, 40)
    assert jpeg2000.size(jp2()[:40]) is None
    assert jpeg2000.size(stream()[:30]) is None
    assert jpeg2000.size(b"no codestream") is None


@pytest.mark.parametrize(
    "head",
    [
        siz(tile=(0, 48)),
        siz(tile=(64, 0)),
        siz((64, 48), offset=(64, 0)),
        siz((64, 48), offset=(0, 48)),
        siz((64, 48), offset=(65, 0)),
    ],
)
def test_a_picture_or_a_tile_without_a_side_is_corrupt(head: bytes) -> None:
    data = stream(head=head)
    found = "CORRUPT: JPEG 2000 whose header cannot be read: its picture or its tiles have no width or no height"
    assert mode(data) == found
    assert jpeg2000.size(data) is None
    assert verdict(data) == ""  # what is wrong with it is said by the other check


def test_a_segment_that_is_cut_or_shorter_than_its_components_is_told() -> None:
    data = stream()
    whole = START + siz()
    assert mode(whole) == ""
    for length in range(4, len(whole)):
        assert mode(whole[:length]) == ""  # a cut file is judged by the other check
        cut = f"TRUNCATED: JPEG 2000 of {length} bytes whose codestream is cut: "
        assert verdict(whole[:length]) == cut + "its first segment is incomplete"
    assert verdict(whole).endswith(f" is cut: it ends after {len(whole)} bytes, {len(whole) + 2} are needed")
    assert verdict(data[:-2]).startswith("TRUNCATED: ")
    for said in (0, 1, 2):  # a length that holds at most itself
        empty = START + b"\xff\x51" + said.to_bytes(2)
        assert mode(empty) == "CORRUPT: JPEG 2000 whose header cannot be read: it ends after 6 bytes, 8 are needed"
    short = data[:40] + b"\xff\xff" + data[42:]  # components without end
    assert mode(short).startswith("CORRUPT: JPEG 2000 whose header cannot be read: it ends after ")


# Tiles and their parts


@pytest.mark.parametrize(
    ("head", "tiles"),
    [
        (siz(tile=(64, 48)), 1),
        (siz(tile=(63, 48)), 2),
        (siz(tile=(32, 47)), 4),
        (siz(tile=(22, 48)), 3),
        (siz(offset=(20, 0), tile=(32, 48), tile_offset=(20, 0)), 2),
        (siz(offset=(20, 20), tile=(32, 48), tile_offset=(0, 10)), 2),
        (siz(tile=(1000, 1000)), 1),
    ],
)
def test_every_tile_of_the_picture_must_be_there(head: bytes, tiles: int) -> None:
    parts = [part(number) for number in range(tiles)]
    assert verdict(stream(*parts, head=head)) == ""
    data = stream(*parts[1:], comment(2), head=head)
    detail = f"JPEG 2000 of {len(data)} bytes whose codestream is cut: it has {tiles - 1} of {tiles} tiles"
    assert verdict(data) == f"TRUNCATED: {detail}"


def test_a_tile_has_as_many_parts_as_one_of_them_says() -> None:
    two = siz(tile=(32, 48))
    assert verdict(stream(part(0, count=2), part(1), part(0, count=0), head=two)) == ""
    assert verdict(stream(part(0, count=0), part(1), part(0, count=2), head=two)) == ""
    assert verdict(stream(part(0, count=0), part(1, count=0), head=two)) == ""
    assert verdict(stream(part(0, count=3), part(1), part(0, count=0), head=two)).endswith("it has 1 of 2 tiles")
    assert verdict(stream(part(0, count=0), part(1), part(1, count=3), head=two)).endswith("it has 1 of 2 tiles")


def test_a_part_has_at_least_its_header_and_ends_in_the_file() -> None:
    least = part(data=b"\xff\x93", length=14)
    assert verdict(stream(least)) == ""
    for length in (1, 12, 13):
        assert verdict(stream(part(7, length=length))).endswith("the part of tile 7 has no end")
    assert "it ends after" in verdict(stream(part(length=22)))


def test_a_part_of_unknown_length_ends_at_the_last_end_marker() -> None:
    assert verdict(stream(part(length=0))) == ""
    assert verdict(stream(part(data=b"\xff\x93" + END + b"more", length=0))) == ""
    assert verdict(stream(part(7, length=0))[:-2]).endswith("the part of tile 7 has no end")
    appended = jp2(code=stream(part(length=0))) + box(b"xml ", END)
    assert verdict(appended) == ""


def test_what_is_no_marker_is_named_by_its_place() -> None:
    data = stream(part(), b"junk")
    place = data.index(b"junk")
    assert verdict(data) == f"CORRUPT: JPEG 2000 without a marker at byte {place:,}"
    assert verdict(stream(b"\xff\x52\0\0", part())) == ""  # a length that holds not even itself
    assert verdict(stream(b"\xff\x52\0\5abc", part())) == ""


# Boxes


def test_a_file_is_whole_with_its_codestream() -> None:
    data = jp2()
    assert verdict(data) == mode(data) == ""
    for length in range(12, len(data)):
        assert verdict(data[:length]).startswith(f"TRUNCATED: JPEG 2000 of {length} bytes ")
    start = data.index(b"jp2c")
    more = int.from_bytes(data[start - 4 : start]) + 1  # than there is, though the codestream itself has its end
    detail = f"JPEG 2000 of {len(data)} bytes without its whole codestream"
    assert verdict(data[: start - 4] + more.to_bytes(4) + data[start:]) == f"TRUNCATED: {detail}"
    detail = f"JPEG 2000 of {start} bytes without its whole codestream"
    assert verdict(data[:start]) == f"TRUNCATED: {detail}"


def test_metadata_are_counted_to_the_byte() -> None:
    data = jp2()
    for made, count in (
        (data + box(b"xml ", bytes(20)), 28),
        (data + box(b"uuid", bytes(20)) + box(b"res ", b""), 36),
        (data + box(b"free", bytes(20)) + box(b"rreq", bytes(9)), 0),
        (data + box(b"xml ", bytes(20))[:-1], 0),  # which is no box any more
        (jp2(code=stream(comment(100), part(), comment(7))), 102 + 9),
        (jp2(code=stream(b"\xff\x52\0\x0c" + bytes(10), part())), 0),
    ):
        more = made[:12] + box(b"xml ", bytes(3)) + made[12:]
        assert verdict(more, count + 11) == ""
        much = f"METADATA_TOO_LARGE: JPEG 2000 with {count + 11} bytes of metadata or more, {count + 10} are allowed"
        assert verdict(more, count + 10).startswith(much)
    assert verdict(stream(comment(50)), 51).startswith("METADATA_TOO_LARGE: ")
    assert verdict(stream(comment(50), part()), 52) == ""


@pytest.mark.parametrize("brand", [b"jp2 ", b"jpx ", b"jph ", b"jpm ", b"mjp2"])
def test_the_kind_of_the_file_is_that_of_a_picture(brand: bytes) -> None:
    named = f"UNSUPPORTED_FORMAT: found JPEG 2000 of the kind {brand.decode()!r}, not a JP2"
    assert mode(jp2(brand=brand)) == ("" if brand in (b"jp2 ", b"jpx ", b"jph ") else named)
    without = jp2().replace(b"ftyp", b"free")
    assert mode(without) == "UNSUPPORTED_FORMAT: found JPEG 2000 of the kind '', not a JP2"


def test_the_boxes_stand_before_the_codestream_and_say_the_same() -> None:
    corrupt = "CORRUPT: JPEG 2000 whose header cannot be read: "
    data = jp2()
    start, code = data.index(b"jp2h") - 4, data.index(b"jp2c") - 4
    assert mode(data[:start] + data[code:] + data[start:code]) == corrupt + "no box jp2h before the codestream"
    assert mode(jp2(colr(SRGB))) == corrupt + "no box ihdr"
    for width, height, count in ((65, 48, 3), (64, 49, 3), (64, 48, 1)):
        said = f"its boxes say {width} × {height} and {count} components, its codestream 64 × 48 and 3"
        assert mode(jp2(ihdr(width, height, count))) == corrupt + said
    assert mode(jp2(ihdr())) == ""
    assert mode(jp2(box(b"ihdr", bytes(9)))).startswith(corrupt + "it ends after ")
    for kind in (b"pclr", b"cmap"):
        assert mode(jp2(ihdr(), box(kind))) == "UNSUPPORTED_MODE: JPEG 2000 with a palette"
