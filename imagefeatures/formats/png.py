"""PNG: chunks with a CRC each, the pixels in one zlib stream over several of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.limits import INFLATED_BYTES, Metadata
from imagefeatures.reasons import Reason

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 2**14  # compressed bytes that are inflated at a time


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height as the header chunk says."""
    return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" and len(data) >= 24 else None


def check(data: bytes) -> None:
    """From chunk to chunk to the end chunk: CRCs and metadata. Raises Rejected."""
    metadata = Metadata("PNG")
    for at, kind, content in _chunks(data):
        end = at + 8 + len(content)
        if zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(data[end : end + 4]):
            raise Rejected(Reason.CORRUPT, f"PNG chunk {kind.decode('latin-1')!r} at byte {at:,} has a wrong CRC")
        if kind == b"IEND":
            return
        if kind[0] & 0x20 and kind != b"fdAT":  # needed neither for the picture nor for a frame after it
            metadata.add(12 + len(content))
            metadata.add(_inflated_size(kind, content))
            if kind == b"eXIf":
                tiff.check_exif(bytes(content), metadata)
    raise Rejected(Reason.TRUNCATED, f"PNG of {len(data):,} bytes without its end chunk")


def check_rows(data: bytes) -> None:
    """Inflate the pixels, a piece at a time, only to count them. Raises Rejected (TRUNCATED) when rows are missing.

    Decoders leave the rows black that a complete, but too short stream does not fill. Raises nothing
    else: whatever other fault there is, the decoder has seen it.
    """
    if data[12:16] != b"IHDR":
        return
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    expected = sum(
        rows * (1 + (columns * depth * _CHANNELS[colour] + 7) // 8)  # each row begins with its filter's number
        for columns, rows in _passes(width, height, bool(interlaced))
        if columns
    )
    found = 0
    try:
        for size in _inflated_sizes(data):
            if (found := found + size) >= expected:
                return
    except zlib.error:
        return
    raise Rejected(
        Reason.TRUNCATED, f"PNG of {width} × {height} whose pixels end after {found:,} of {expected:,} bytes"
    )


def _chunks(data: bytes) -> Iterator[tuple[int, bytes, memoryview]]:
    """(where it begins, its kind, its content) of each chunk that is there with its CRC."""
    view, at = memoryview(data), 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        yield at, kind, view[at + 8 : at + 8 + length]
        at += 12 + length


def _inflated_sizes(data: bytes) -> Iterator[int]:
    stream = zlib.decompressobj()
    for _, kind, content in _chunks(data):
        if kind == b"IDAT":
            for at in range(0, len(content), _PIECE):
                rest = content[at : at + _PIECE]
                while rest and not stream.eof:
                    yield len(stream.decompress(rest, INFLATED_BYTES))
                    rest = stream.unconsumed_tail


def _inflated_size(kind: bytes, content: memoryview) -> int:
    """How many bytes a compressed text or profile inflates to; 0 for any other chunk. Raises Rejected."""
    if kind in (b"zTXt", b"iCCP"):  # name, 0, method, stream
        packed = bytes(content).partition(b"\0")[2][1:]
    elif kind == b"iTXt":  # name, 0, flag, method, language, 0, name in that language, 0, text
        rest = bytes(content).partition(b"\0")[2]
        packed = rest[2:].split(b"\0", 2)[-1] if rest[:1] not in (b"", b"\0") else b""
    else:
        return 0
    try:
        size = len(zlib.decompressobj().decompress(packed, INFLATED_BYTES + 1))
    except zlib.error:
        return 0  # decoders go without it
    if size > INFLATED_BYTES:
        raise Rejected(
            Reason.METADATA_TOO_LARGE,
            f"PNG chunk {kind.decode()!r} of {len(content):,} bytes inflates to more than {INFLATED_BYTES:,}",
        )
    return size


def _passes(width: int, height: int, interlaced: bool) -> Iterator[tuple[int, int]]:
    """Columns and rows of each pass over the picture."""
    for x, y, dx, dy in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        yield (width - x + dx - 1) // dx, (height - y + dy - 1) // dy
