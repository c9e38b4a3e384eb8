"""JPEG 2000 files put together from boxes and segments, as far as a reader of headers looks at them."""

from __future__ import annotations

import struct

from imagefeatures.formats import jpeg2000

START, END = b"\xff\x4f", b"\xff\xd9"
SRGB, GREY, SYCC = 16, 17, 18
Size = tuple[int, int]


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4) + kind + content


def siz(
    size: Size = (64, 48),
    components: bytes = b"\7\1\1" * 3,
    offset: Size = (0, 0),
    tile: Size = (64, 48),
    tile_offset: Size = (0, 0),
    capabilities: int = 0,
) -> bytes:
    """The segment that describes the picture. size: with the offset."""
    numbers = struct.pack(">H8I", capabilities, *size, *offset, *tile, *tile_offset)
    content = numbers + struct.pack(">H", len(components) // 3) + components
    return b"\xff\x51" + (2 + len(content)).to_bytes(2) + content


def part(tile: int = 0, data: bytes = b"\xff\x93pixels", count: int = 1, length: int | None = None) -> bytes:
    size = 12 + len(data) if length is None else length
    return b"\xff\x90\0\x0a" + struct.pack(">HIBB", tile, size, 0, count) + data


def comment(size: int) -> bytes:
    return b"\xff\x64" + (2 + size).to_bytes(2) + bytes(size)


def stream(*parts: bytes, head: bytes | None = None) -> bytes:
    return START + (siz() if head is None else head) + b"".join(parts or (part(),)) + END


def ihdr(width: int = 64, height: int = 48, count: int = 3) -> bytes:
    return box(b"ihdr", struct.pack(">IIHBBBB", height, width, count, 7, 7, 0, 0))


def colr(space: int) -> bytes:
    return box(b"colr", b"\1\0\0" + space.to_bytes(4))


def profile(space: bytes) -> bytes:
    return box(b"colr", b"\2\0\0" + bytes(16) + space + bytes(8))


def jp2(*boxes: bytes, code: bytes | None = None, brand: bytes = b"jp2 ") -> bytes:
    """A file whose box jp2h holds these boxes, by default those of a picture in sRGB."""
    inside = b"".join(boxes or (ihdr(), colr(SRGB)))
    head = jpeg2000.SIGNATURE + box(b"ftyp", brand + bytes(4) + brand) + box(b"jp2h", inside)
    return head + box(b"jp2c", stream() if code is None else code)
