"""Oversized metadata and images: refused by their bytes, without inflating or allocating them."""

from __future__ import annotations

import resource
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

import pytest
from PIL import PngImagePlugin

from imagefeatures import formats, images
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from support.photos import encoded, jpeg, picture, png_chunk, turned, zeros_stream
from support.shared import decode

LIMITS = Limits()
INFLATED_BYTES, METADATA_BYTES = LIMITS.max_profile_bytes, LIMITS.max_metadata_bytes
MIB = 2**20


def why(data: bytes, judge: Callable[[bytes, Limits], object] = images.inspect) -> tuple[str, str]:
    with pytest.raises(Rejected) as rejected:
        judge(data, LIMITS)
    return str(rejected.value.reason), rejected.value.detail


def png_with(*chunks: bytes, before_pixels: bool = True) -> bytes:
    data = encoded(picture(), "PNG")
    start = data.index(b"IDAT") - 4 if before_pixels else data.index(b"IEND") - 4
    return data[:start] + b"".join(chunks) + data[start:]


def ztxt(size: int, name: bytes = b"Comment") -> bytes:
    return png_chunk(b"zTXt", name + b"\0\0" + zeros_stream(size))


def itxt(size: int) -> bytes:
    return png_chunk(b"iTXt", b"Comment\0\1\0en\0Kommentar\0" + zeros_stream(size))


def jpeg_with(marker: int, length: int, count: int, start: bytes = b"") -> bytes:
    segment = bytes([0xFF, marker]) + (length + 2).to_bytes(2) + start.ljust(length, b"x")
    return b"\xff\xd8" + segment * count + jpeg()[2:]


def webp_with(kind: bytes, size: int) -> bytes:
    data = encoded(picture(), "WEBP", exif=turned(1))
    data += kind + size.to_bytes(4, "little") + bytes(size)
    return data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]


def gif_with(comments: int) -> bytes:
    data = encoded(picture(), "GIF")
    comment = b"!\xfe" + (b"\xff" + b"c" * 255) * 4096 + b"\0"  # a little over 1 MiB
    return data[:-1] + comment * comments + b";"


def tiff_with(size: int) -> bytes:
    return encoded(picture(), "TIFF", tiffinfo={270: "x" * size})


def exif_bomb(tags: int, size: int) -> bytes:
    """EXIF whose tags all refer to the same bytes."""
    entries = b"".join(struct.pack("<HHII", 0x8000 + number, 7, size, 0) for number in range(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", tags) + entries + b"\0\0\0\0" + bytes(size)


def big_exif_bomb(tags: int, size: int) -> bytes:
    """The same as BigTIFF, which Pillow accepts as EXIF too."""
    entries = b"".join(struct.pack("<HHQQ", 0x8000 + number, 7, size, 0) for number in range(tags))
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, tags) + entries + bytes(8) + bytes(size)


TOO_LARGE = {
    "PNG with 70 × 1 MB zTXt": (lambda: png_with(*[ztxt(1_000_000)] * 70), "PNG with "),
    "the same behind the pixels": (lambda: png_with(*[ztxt(1_000_000)] * 70, before_pixels=False), "PNG with "),
    "PNG with a zTXt of 2 MiB": (lambda: png_with(ztxt(2 * MIB)), "PNG chunk 'zTXt'"),
    "PNG with an iTXt of 2 MiB": (lambda: png_with(itxt(2 * MIB)), "PNG chunk 'iTXt'"),
    "PNG with 20 MiB of tEXt": (lambda: png_with(*[png_chunk(b"tEXt", b"k\0" + bytes(MIB))] * 20), "PNG with "),
    "PNG with an iCCP of 300 MB": (
        lambda: png_with(png_chunk(b"iCCP", b"icc\0\0" + zeros_stream(300_000_000))),
        "PNG chunk 'iCCP'",
    ),
    "PNG with an EXIF bomb": (lambda: png_with(png_chunk(b"eXIf", exif_bomb(1000, 100_000))), "PNG with "),
    "JPEG with 20 MiB of APP2": (lambda: jpeg_with(0xE2, 65_000, 320, b"ICC_PROFILE\0\1\1"), "JPEG with "),
    "JPEG with 20 MiB of comments": (lambda: jpeg_with(0xFE, 65_000, 320), "JPEG with "),
    "JPEG with an EXIF bomb": (
        lambda: jpeg_with(0xE1, 60_000, 1, b"Exif\0\0" + exif_bomb(1000, 40_000)),
        "JPEG with ",
    ),
    "WebP with 20 MiB of ICCP": (lambda: webp_with(b"ICCP", 20 * MIB), "WebP with "),
    "WebP with 20 MiB of XMP": (lambda: webp_with(b"XMP ", 20 * MIB), "WebP with "),
    "WebP with an EXIF bomb": (lambda: encoded(picture(), "WEBP", exif=big_exif_bomb(1000, 100_000)), "WebP with "),
    "GIF with 17 MiB of comments": (lambda: gif_with(17), "GIF with "),
    "TIFF with 17 MiB in a tag": (lambda: tiff_with(17 * MIB), "TIFF with "),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_metadata_over_the_limit_is_refused_from_the_bytes(name: str) -> None:
    make, detail = TOO_LARGE[name]
    data = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reason, text = why(data)
    assert reason == "METADATA_TOO_LARGE"
    assert text.startswith(detail)
    assert f"{INFLATED_BYTES:,}" in text or f"{METADATA_BYTES:,}" in text
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 3 * METADATA_BYTES


MUCH_BUT_ALLOWED = {
    "PNG with 15 × 1 MB zTXt": lambda: png_with(*[ztxt(1_000_000)] * 15),
    "PNG with an iCCP of 1 MiB": lambda: png_with(png_chunk(b"iCCP", b"icc\0\0" + zeros_stream(MIB - 1))),
    "PNG with compressed text that is none": lambda: png_with(
        png_chunk(b"zTXt", b"Comment\0\0no zlib"), png_chunk(b"zTXt", b"")
    ),
    "JPEG with 12 MiB of comments": lambda: jpeg_with(0xFE, 65_000, 190),
    "WebP with 15 MiB of XMP": lambda: webp_with(b"XMP ", 15 * MIB),
    "GIF with 15 MiB of comments": lambda: gif_with(15),
    "TIFF with 15 MiB in a tag": lambda: tiff_with(15 * MIB),
}


@pytest.mark.parametrize("name", MUCH_BUT_ALLOWED)
def test_metadata_under_the_limit_passes(name: str) -> None:
    data = MUCH_BUT_ALLOWED[name]()
    header, decoded = images.inspect(data, LIMITS), decode(data, LIMITS)
    assert (header.width, header.height) == (decoded.width, decoded.height) == (64, 48)


def test_pillows_own_limits_have_the_same_reason() -> None:
    """Only decode alone reaches these limits: in the pipeline inspect rejects such images before."""
    exif = b"Raw profile type exif"  # the only text that Pillow gets
    assert why(png_with(ztxt(2 * MIB, exif)), decode)[0] == "METADATA_TOO_LARGE"
    assert why(png_with(*[ztxt(MIB, exif)] * 70), decode)[0] == "METADATA_TOO_LARGE"
    assert why(png_with(*[ztxt(MIB, exif)] * 70, before_pixels=False), decode)[0] == "METADATA_TOO_LARGE"
    assert decode(png_with(*[ztxt(2 * MIB)] * 70), LIMITS).width == 64
    assert PngImagePlugin.MAX_TEXT_CHUNK == INFLATED_BYTES


def _size(data: bytes, start: int, packing: str, *values: int) -> bytes:
    """The data with the packed values in place of its bytes from `start` on."""
    packed = struct.pack(packing, *values)
    return data[:start] + packed + data[start + len(packed) :]


@lru_cache
def oversized() -> dict[str, bytes]:
    """Small, complete files whose headers declare 16000 × 16000 pixels."""
    side, small = 16_000, picture()
    png, gif, bmp, tiff = (encoded(small, kind) for kind in ("PNG", "GIF", "BMP", "TIFF"))
    lossy, lossless = encoded(small, "WEBP"), encoded(small, "WEBP", lossless=True)
    progressive, plain = encoded(small, progressive=True), encoded(small)
    extended = encoded(small, "WEBP", exif=turned(1))
    header = _size(png[12:29], 4, ">II", side, side)
    return {
        "PNG": png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:],
        "JPEG": _size(plain, plain.index(b"\xff\xc0") + 5, ">HH", side, side),
        "progressive JPEG": _size(progressive, progressive.index(b"\xff\xc2") + 5, ">HH", side, side),
        "GIF screen": _size(gif, 6, "<HH", side, side),
        "GIF frame": _size(gif, gif.index(b",", 13 + 768) + 5, "<HH", side, side),
        "BMP": _size(bmp, 18, "<ii", side, -side),
        "TIFF": tiff.replace(struct.pack("<HHII", 256, 4, 1, 64), struct.pack("<HHII", 256, 4, 1, side)).replace(
            struct.pack("<HHII", 257, 4, 1, 48), struct.pack("<HHII", 257, 4, 1, side)
        ),
        "lossy WebP": _size(lossy, 26, "<HH", side, side),
        "lossless WebP": _size(lossless, 21, "<I", (side - 1) | (side - 1) << 14),
        "extended WebP": _size(extended, 24, "<I", side - 1)[:27] + (side - 1).to_bytes(3, "little") + extended[30:],
    }


@pytest.mark.parametrize("name", oversized())
def test_every_format_is_refused_for_its_size_before_pillow_opens_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(images.Image, "open")
    detail = "16000 × 16000 = 256,000,000, limits.max_pixels is 50,000,000"
    for judge in (images.inspect, decode, formats.check_header):
        assert why(oversized()[name], judge) == ("TOO_MANY_PIXELS", detail)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_size_is_read_as_pillow_reads_it(kind: str) -> None:
    data = encoded(picture(61, 47), kind)
    assert formats._PARSERS[kind].size(data) == (61, 47)
    for end in range(12, len(data), 7):
        formats._PARSERS[kind].size(data[:end])  # an incomplete header is no error here


PICTURES_WITH_MUCH = {
    "a photo of a 360° camera with 17 MiB of XMP": lambda: jpeg_with(0xE1, 65_000, 275, b"http://ns.adobe.com/xmp/"),
    "a TIFF with 17 MiB of layers": lambda: encoded(picture(), "TIFF", tiffinfo={37724: b"x" * (17 * MIB)}),
    "a PNG with a profile of 1.5 MB": lambda: png_with(png_chunk(b"iCCP", b"icc\0\0" + zeros_stream(1_500_000))),
    "a PNG with a text of 1.5 MB": lambda: png_with(ztxt(1_500_000)),
    "a PNG with 20 MB of text": lambda: png_with(*[ztxt(1_000_000)] * 20),
    "a PNG with 70 MB of text": lambda: png_with(*[ztxt(1_000_000)] * 70),
    "a WebP with 17 MiB of XMP": lambda: webp_with(b"XMP ", 17 * MIB),
}


@pytest.mark.parametrize("name", PICTURES_WITH_MUCH)
def test_a_dataset_may_allow_more_metadata(name: str) -> None:
    data = PICTURES_WITH_MUCH[name]()
    reason, detail = why(data)
    assert reason == "METADATA_TOO_LARGE"
    assert ("limits.max_profile_bytes" in detail) == ("1.5 MB" in name)
    assert ("limits.max_metadata_bytes" in detail) == ("1.5 MB" not in name)
    more = Limits(max_metadata_bytes=80 * MIB, max_profile_bytes=2 * MIB)
    assert images.inspect(data, more).width == decode(data, more).width == 64
    assert why(data)[0] == "METADATA_TOO_LARGE"  # what one image was allowed is not what the next one is
    assert decode(jpeg(), LIMITS).width == 64
