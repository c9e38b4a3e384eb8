"""PNG: chunks, each with a CRC; the pixels are one zlib stream over several chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE_BYTES = 2**14  # how many compressed bytes are inflated at a time
_INFLATED_BYTES = 2**20  # the most that a piece of them may be inflated to at a time


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the header chunk; None if it is incomplete."""
    return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" and len(data) >= 24 else None


def check(data: bytes, limits: Limits) -> None:
    """Walk the chunks up to the end chunk: their CRCs and the metadata.

    Raises Rejected (CORRUPT, METADATA_TOO_LARGE, TRUNCATED).
    """
    metadata = Metadata("PNG", limits)
    for start, kind, content in _chunks(data):
        end = start + 8 + len(content)
        if zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(data[end : end + 4]):
            raise Rejected(Reason.CORRUPT, f"PNG chunk {kind.decode('latin-1')!r} at byte {start:,} has a wrong CRC")
        if kind == b"IEND":
            return
        if kind[0] & 0x20 and kind != b"fdAT":  # an ancillary chunk, and not a frame of an animation
            metadata.add(12 + len(content))
            metadata.add(_inflated_size(kind, content, limits))
            if kind == b"eXIf":
                tiff.check_exif(bytes(content), metadata)
    raise Rejected(Reason.TRUNCATED, f"PNG of {len(data):,} bytes without its end chunk")


def check_rows(data: bytes) -> None:
    """Inflate the pixels, piece by piece, only to count their bytes. Raises Rejected (TRUNCATED) when rows are missing.

    Decoders leave rows black if the stream is complete but too short for them. Other faults are ignored
    here, since the decoder reports them.
    """
    if data[12:16] != b"IHDR":
        return
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    expected = sum(
        rows * (1 + (columns * depth * _CHANNELS[colour] + 7) // 8)  # each row begins with one byte, its filter type
        for columns, rows in _passes(width, height, bool(interlaced))
        if columns
    )
    inflated = 0
    try:
        for size in _inflated_sizes(data):
            inflated += size
            if inflated >= expected:
                return
    except zlib.error:
        return
    raise Rejected(
        Reason.TRUNCATED, f"PNG of {width} × {height} whose pixels end after {inflated:,} of {expected:,} bytes"
    )


def _chunks(data: bytes) -> Iterator[tuple[int, bytes, memoryview]]:
    """(first byte's position, kind, content) of each complete chunk."""
    view, position = memoryview(data), 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            return
        yield position, kind, view[position + 8 : position + 8 + length]
        position += 12 + length


def _inflated_sizes(data: bytes) -> Iterator[int]:
    """How many bytes of pixels each piece of the stream inflates to. Raises zlib.error."""
    stream = zlib.decompressobj()
    for _, kind, content in _chunks(data):
        if kind == b"IDAT":
            for start in range(0, len(content), _PIECE_BYTES):
                rest: bytes | memoryview = content[start : start + _PIECE_BYTES]
                while rest and not stream.eof:
                    yield len(stream.decompress(rest, _INFLATED_BYTES))
                    rest = stream.unconsumed_tail


def _inflated_size(kind: bytes, content: memoryview, limits: Limits) -> int:
    """The inflated size in bytes of a compressed text or profile; 0 for other chunks. Raises Rejected."""
    if kind in (b"zTXt", b"iCCP"):  # name, 0, method, stream
        stream = bytes(content).partition(b"\0")[2][1:]
    elif kind == b"iTXt":  # name, 0, flag, method, language, 0, name in that language, 0, text
        rest = bytes(content).partition(b"\0")[2]
        stream = rest[2:].split(b"\0", 2)[-1] if rest[:1] not in (b"", b"\0") else b""
    else:
        return 0
    try:
        size = len(zlib.decompressobj().decompress(stream, limits.max_profile_bytes + 1))
    except zlib.error:
        return 0  # decoders ignore a chunk that they cannot inflate
    if size > limits.max_profile_bytes:
        raise Rejected(
            Reason.METADATA_TOO_LARGE,
            f"PNG chunk {kind.decode()!r} of {len(content):,} bytes inflates to more than "
            f"{limits.max_profile_bytes:,} (limits.max_profile_bytes)",
        )
    return size


def _passes(width: int, height: int, interlaced: bool) -> Iterator[tuple[int, int]]:
    """Columns and rows of each pass: one, or the seven of an interlaced image."""
    for x, y, dx, dy in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        yield (width - x + dx - 1) // dx, (height - y + dy - 1) // dy
