"""HEIC and AVIF: what is refused from the bytes of a file, and that it is whole."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from imagefeatures import formats, images
from imagefeatures.errors import Rejected
from imagefeatures.formats import heif
from imagefeatures.formats.isobmff import boxes
from imagefeatures.heic import HeicImageFile
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from support.heif_files import avif, heic, sequence
from support.photos import encoded, picture, turned
from support.shared import decode

LIMITS = Limits()


def why(data: bytes, limits: Limits = LIMITS, judge: Callable[[bytes, Limits], object] = inspect) -> tuple[str, str]:
    with pytest.raises(Rejected) as rejected:
        judge(data, limits)
    return str(rejected.value.reason), rejected.value.detail


def with_size(data: bytes, width: int, height: int) -> bytes:
    """The file with other sides in every property that declares them."""
    at = -1
    changed = bytearray(data)
    while (at := data.find(b"ispe", at + 1)) >= 0:
        changed[at + 8 : at + 16] = struct.pack(">II", width, height)
    return bytes(changed)


@pytest.mark.parametrize("data", [heic(), avif(), heic(96, 96, tile_size=64)], ids=["heic", "avif", "grid"])
def test_a_picture_that_is_too_large_is_refused_before_a_decoder_sees_it(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(images.Image, "open")
    large = with_size(data, 16_000, 16_000)
    detail = "16000 × 16000 = 256,000,000, limits.max_pixels is 50,000,000"
    for judge in (inspect, decode, formats.check_header):
        assert why(large, judge=judge) == ("TOO_MANY_PIXELS", detail)


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ((32_768, 2), ""),
        ((2, 32_768), ""),
        ((32_769, 2), "32,769 × 2"),
        ((2, 40_000), "2 × 40,000"),
        ((16_384, 16_384), ""),
        ((16_385, 16_384), "16,385 × 16,384"),
    ],
)
def test_a_size_that_libavif_refuses_is_named_though_the_format_allows_it(sides: tuple[int, int], words: str) -> None:
    limits = Limits(max_pixels=2**30)
    data = with_size(avif(), *sides)
    if words:
        limit = "no side above 32,768 is read, nor more than 268,435,456 pixels"
        detail = f"found an AVIF image of {words} pixels, {limit}"
        assert why(data, limits, formats.check_header) == ("UNSUPPORTED_FORMAT", detail)
    else:
        assert formats.check_header(data, limits) == "AVIF"
    assert formats.check_header(with_size(heic(), *sides), limits) == "HEIC"


@pytest.mark.parametrize("sides", [(32_768, 2), (2, 32_768)])
def test_a_picture_of_the_longest_side_is_read(sides: tuple[int, int]) -> None:
    assert decode(encoded(Image.new("RGB", sides), "AVIF", speed=10), LIMITS).width == sides[0]


def test_a_grid_that_declares_more_than_its_properties_is_refused() -> None:
    data = heic(96, 96, tile_size=64)
    grid = b"\0\0\1\1" + struct.pack(">HH", 96, 96)
    assert data.count(grid) == 1
    large = data.replace(grid, b"\0\0\1\1" + struct.pack(">HH", 16_000, 16_000))
    assert why(large)[0] == "TOO_MANY_PIXELS"


@pytest.mark.parametrize("sides", [(0, 96), (96, 0)])
def test_a_grid_without_width_or_height_is_no_picture(sides: tuple[int, int]) -> None:
    data = heic(96, 96, tile_size=64)
    empty = data.replace(b"\0\0\1\1" + struct.pack(">HH", 96, 96), b"\0\0\1\1" + struct.pack(">HH", *sides))
    detail = f"HEIC whose items cannot be read: a picture of {sides[0]} × {sides[1]}"
    assert why(empty) == why(empty, judge=decode) == ("CORRUPT", detail)
    with pytest.raises(Rejected, match="CORRUPT: libheif: Memory allocation error: Invalid image size"):
        HeicImageFile(BytesIO(empty)).load()


def test_a_picture_that_is_larger_than_it_says_is_no_picture() -> None:
    assert why(with_size(heic(320, 240), 64, 48), judge=decode)[0] == "CORRUPT"
    assert why(with_size(avif(320, 240), 64, 48)) == (
        "CORRUPT",
        "AVIF with AV1 data of 320 × 240, declared as another size",
    )


def test_av1_data_that_is_too_large_is_refused_whatever_the_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_size(avif(320, 240), 64, 48)
    monkeypatch.delattr(images.Image, "open")
    for judge in (inspect, decode):
        detail = "320 × 240 = 76,800, limits.max_pixels is 70,000"
        assert why(data, Limits(max_pixels=70_000), judge) == ("TOO_MANY_PIXELS", detail)


CHANGED = {
    "another codec": (lambda: heic().replace(b"hvc1", b"vvc1"), "UNSUPPORTED_FORMAT", "picture is coded as 'vvc1'"),
    "AVIF named HEIC": (
        lambda: avif().replace(b"avif", b"heic"),
        "UNSUPPORTED_FORMAT",
        "HEIC file whose picture is coded as 'av01'",
    ),
    "no primary item": (
        lambda: heic().replace(b"pitm\0\0\0\0\0\1", b"pitm\0\0\0\0\0\x63"),
        "UNSUPPORTED_FORMAT",
        "HEIC file without a picture that stands for it",
    ),
    "no size": (lambda: heic().replace(b"ispe", b"free"), "CORRUPT", "does not say how large its picture is"),
    "no configuration": (lambda: heic().replace(b"hvcC", b"free"), "CORRUPT", "has no decoder configuration"),
    "a tile too few": (
        lambda: heic(96, 96, tile_size=64).replace(b"\0\0\1\1\0\x60\0\x60", b"\0\0\1\2\0\x60\0\x60"),
        "CORRUPT",
        "a grid of 2 × 3 tiles has 4",
    ),
    "a property that must be understood": (
        lambda: heic(exif=turned(6).tobytes()).replace(b"irot", b"iscl"),
        "UNSUPPORTED_FORMAT",
        "HEIC file that must be read with iscl",
    ),
    "a mirror before a turn in an AVIF": (
        lambda: (
            avif(exif=turned(7).tobytes()).replace(b"irot", b"turn").replace(b"imir", b"irot").replace(b"turn", b"imir")
        ),
        "UNSUPPORTED_FORMAT",
        "AVIF file that must be read with imir",
    ),
    "a colour matrix without a rule": (
        lambda: heic().replace(b"nclx\0\1\0\x0d\0\6", b"nclx\0\1\0\x0d\0\x0e"),
        "UNSUPPORTED_MODE",
        "HEIC with the colour matrix 14 of ITU-T H.273",
    ),
    "a crop in an AVIF": (
        lambda: avif().replace(b"\0\0\0\x10pixi\0\0\0\0\3\x08\x08\x08", b"\0\0\0\x10clap\0\0\0\0\3\x08\x08\x08"),
        "UNSUPPORTED_FORMAT",
        "AVIF file that must be read with clap",
    ),
    "9 bits": (
        lambda: _with_depth(heic(), 1, 1),
        "UNSUPPORTED_MODE",
        "HEIC of 9 and 9 bits a channel",
    ),
    "two depths": (
        lambda: _with_depth(heic(), 0, 2),
        "UNSUPPORTED_MODE",
        "HEIC of 8 and 10 bits a channel",
    ),
}


def _with_depth(data: bytes, luma: int, chroma: int) -> bytes:
    at = data.index(b"hvcC") + 4
    return data[: at + 17] + bytes([0xF8 | luma, 0xF8 | chroma]) + data[at + 19 :]


@pytest.mark.parametrize("name", CHANGED)
def test_what_is_not_provably_read_right_is_refused_from_the_header(name: str) -> None:
    make, reason, detail = CHANGED[name]
    data = make()
    for judge in (inspect, decode):
        found = why(data, judge=judge)
        assert found[0] == reason
        assert detail in found[1]


def test_the_same_file_unchanged_is_read() -> None:
    for data in (heic(), avif(), heic(96, 96, tile_size=64)):
        assert inspect(data, LIMITS).mode == "RGB"


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_metadata_is_counted(kind: str) -> None:
    image = Image.fromarray(picture())
    data = encoded(image, kind, xmp=b"<x>" + b" " * 2**20 + b"</x>", exif=turned(1).tobytes())
    assert inspect(data, LIMITS).width == 64
    limits = Limits(max_metadata_bytes=2**20)
    assert why(data, limits)[0] == "METADATA_TOO_LARGE"
    assert "limits.max_metadata_bytes" in why(data, limits)[1]


def test_an_exif_bomb_is_counted_by_its_claims() -> None:
    entries = b"".join(struct.pack("<HHII", 0x8000 + number, 7, 40_000, 0) for number in range(1000))
    bomb = b"II*\0\x08\0\0\0" + struct.pack("<H", 1000) + entries + bytes(40_000)
    assert why(encoded(Image.fromarray(picture()), "HEIC", exif=bomb))[0] == "METADATA_TOO_LARGE"


@pytest.mark.parametrize("data", [heic(96, 96, tile_size=64), avif()], ids=["heic", "avif"])
def test_a_file_without_one_byte_of_one_item_is_truncated(data: bytes) -> None:
    (mdat,) = [box for box in boxes(data, 0, len(data)) if box.kind == b"mdat"]
    endless = data[: mdat.start] + bytes(4) + data[mdat.start + 4 :]  # a box up to the end of the file, however long
    assert inspect(endless, LIMITS) == inspect(data, LIMITS)
    assert why(endless[:-1])[0] == "TRUNCATED"


def test_a_table_of_items_without_end_takes_no_time() -> None:
    """65,535 parts of no bytes each, for as many items."""
    data = heic()
    at = data.index(b"iloc")
    size = int.from_bytes(data[at - 4 : at])
    bomb = b"iloc\0\0\0\0\0\0\xff\xff" + b"\0\1\0\0\xff\xff" * ((size - 12) // 6)
    assert why(data[:at] + bomb.ljust(size - 4, b"\0") + data[at + size - 4 :])[0] == "CORRUPT"


def test_more_items_than_libheif_takes_are_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(96, 96, tile_size=64)
    assert heif._MOST_ITEMS == 1000
    monkeypatch.setattr(heif, "_MOST_ITEMS", 5)  # four tiles and their grid
    assert inspect(data, LIMITS).width == 96
    monkeypatch.setattr(heif, "_MOST_ITEMS", 4)
    assert why(data) == ("UNSUPPORTED_FORMAT", "HEIC file of 5 items, of at most 4")


def test_a_track_that_is_too_large_is_refused() -> None:
    data = sequence()
    at = data.index(b"tkhd") - 4
    end = at + int.from_bytes(data[at : at + 4])
    large = data[: end - 8] + struct.pack(">II", 16_000 << 16, 16_000 << 16) + data[end:]
    assert why(large) == ("TOO_MANY_PIXELS", "16000 × 16000 = 256,000,000, limits.max_pixels is 50,000,000")


def test_a_sequence_without_a_still_picture_is_named() -> None:
    data = sequence()
    meta, moov = (next(box for box in boxes(data, 0, len(data)) if box.kind == kind) for kind in (b"meta", b"moov"))
    film = data[: meta.start + 4] + b"free" + data[meta.start + 8 :]
    assert why(film) == ("UNSUPPORTED_FORMAT", "AVIF sequence without a picture that stands for it")
    assert moov.start > meta.start
    assert why(data[: moov.start])[0] == "TRUNCATED"


@pytest.mark.parametrize("kind", [b"iinf", b"iloc", b"iref", b"ipma"])
def test_a_table_of_millions_is_refused_unread(kind: bytes) -> None:
    data = heic(96, 96, tile_size=64, exif=turned(6).tobytes())
    at = data.index(kind) - 4
    end = at + int.from_bytes(data[at : at + 4])
    more = bytes(2 * 2**20)
    longer = data[:end] + more + data[end:]
    for outer in {b"iinf": [], b"iloc": [], b"iref": [], b"ipma": [b"iprp"]}[kind] + [kind, b"meta"]:
        longer = _grown(longer, outer, len(more))
    started = time.process_time()
    reason, detail = why(longer)
    assert time.process_time() - started < 1
    assert reason == "CORRUPT"
    assert "a table has 2,0" in detail


def _grown(data: bytes, kind: bytes, count: int) -> bytes:
    """The file whose first box of a kind says that it is longer."""
    at = data.index(kind) - 4
    return data[:at] + (int.from_bytes(data[at : at + 4]) + count).to_bytes(4) + data[at + 4 :]
