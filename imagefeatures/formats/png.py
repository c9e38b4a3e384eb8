"""PNG: chunks, each with a CRC; the pixels are one zlib stream over several chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.limits import INFLATED_BYTES, Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PALETTE = 3  # this colour type
_TRANSPARENT_BYTES = {0: 2, 2: 6}  # of grey and of RGB
_ANCILLARY = 0x20  # this bit of a chunk's first letter says that pixels do not need it
_FIRST, _COLOUR_TYPE = 8, 25  # the positions of the first chunk, and of a byte of the header, which it is
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")  # its first picture, or the one that is shown in its place, is in IDAT
_METADATA = {
    *(b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"bKGD", b"hIST", b"sPLT"),
    *(b"sBIT", b"eXIf", b"cICP", b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"oFFs", b"pCAL", b"sCAL", b"sTER", b"gIFg"),
    *(b"gIFx", b"gIFt", b"fRAc", b"dSIG", b"caBX", b"vpAg", b"caNv", b"orNT", *_ANIMATION),
}
"""Chunks that touch no pixel. Not tRNS, which belongs to the colours."""
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_AS_TEXT = b"Raw profile type exif\0"  # as ImageMagick wrote it before there was a chunk for it
_LEAST_BYTES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}
_LONGEST_NAME = 100  # bytes: of a text or profile. The format allows 79
_PIECE_BYTES = 2**14  # how many compressed bytes are inflated at a time


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the header chunk; None if it is incomplete."""
    return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" and len(data) >= 24 else None


def check_mode(data: bytes) -> None:
    """Check that the decoder reads right what the chunks before the pixels declare.

    Raises Rejected (UNSUPPORTED_FORMAT, CORRUPT).
    """
    palette: int | None = None
    for start, kind, content in _chunks(data):
        name = kind.decode("latin-1")
        if kind == b"CgBI":
            raise Rejected(Reason.UNSUPPORTED_FORMAT, "found a PNG image as Apple's tools rewrite it (CgBI)")
        if (start == _FIRST) != (kind == b"IHDR"):
            what = f"begins with the chunk {name!r}" if start == _FIRST else "has a second header"
            raise Rejected(Reason.CORRUPT, f"PNG that {what}")
        if kind == b"IHDR":
            _check_header(content)
        elif kind == b"PLTE":
            if palette is not None and data[_COLOUR_TYPE] == _PALETTE:
                raise Rejected(Reason.CORRUPT, "PNG of palette colours that has a second palette")
            palette = len(content)
        elif kind == b"tRNS" and len(content) < _TRANSPARENT_BYTES.get(data[_COLOUR_TYPE], 0):
            raise Rejected(Reason.CORRUPT, f"PNG with {len(content)} bytes of a transparent colour")
        elif kind == b"IDAT":
            colours = palette or 0
            if data[_COLOUR_TYPE] == _PALETTE and (colours % 3 or not 3 <= colours <= 768):
                raise Rejected(Reason.CORRUPT, f"PNG of palette colours with {colours} bytes of a palette")
            return
        elif kind == b"IEND":  # where the decoder ends without an error, and leaves the picture empty
            raise Rejected(Reason.TRUNCATED, "PNG without pixels before its end chunk")
        elif not kind[0] & _ANCILLARY and _crc_is_right(data, start, kind, content):
            raise Rejected(Reason.UNSUPPORTED_FORMAT, f"found a PNG image with the critical chunk {name!r}")


def palette_colours(data: bytes) -> int:
    """How many colours the palette has; 0 where pixels do not name its colours."""
    if data[_COLOUR_TYPE] != _PALETTE:
        return 0
    return next((len(content) // 3 for _, kind, content in _chunks(data) if kind == b"PLTE"), 0)


def check(data: bytes, limits: Limits) -> None:
    """Walk the chunks up to the end chunk: their CRCs and the metadata.

    Metadata with a wrong CRC count for nothing. Raises Rejected (CORRUPT, METADATA_TOO_LARGE, TRUNCATED).
    """
    metadata = Metadata("PNG", limits)
    for start, kind, content in _chunks(data):
        if not _crc_is_right(data, start, kind, content):
            if kind in _METADATA:
                continue
            raise Rejected(Reason.CORRUPT, f"PNG chunk {kind.decode('latin-1')!r} at byte {start:,} has a wrong CRC")
        if kind == b"IEND":
            return
        if kind[0] & _ANCILLARY and kind != b"fdAT":  # an ancillary chunk, and not a frame of an animation
            metadata.add(12 + len(content))
            metadata.add(_inflated_size(kind, content, limits))
            if kind == b"eXIf":
                tiff.check_exif(bytes(content), metadata)
    raise Rejected(Reason.TRUNCATED, f"PNG of {len(data):,} bytes without its end chunk")


def readable(data: bytes) -> bytes:
    """The file as the decoder reads it right, with the same pixels. The same object if there is nothing to change.

    Chunks at which the decoder would stop, though they touch no pixel, are left out: damaged metadata, animation. So
    are texts. EXIF behind the pixels stands before them, where it is seen without decoding.
    """
    cut, late, pixels = list[tuple[int, int]](), list[bytes](), 0
    for start, kind, content in _chunks(data):
        end = start + 12 + len(content)
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            pixels = pixels or start
        elif _is_left_out(data, start, kind, content):
            cut.append((start, end))
        elif pixels and _is_exif(kind, content):
            cut.append((start, end))
            late.append(data[start:end])
    if not cut:
        return data
    kept, position = list[bytes](), 0
    for start, end in sorted([*cut, (pixels, pixels)]):
        kept.append(data[position:start])
        if start == pixels:
            kept += late
        position = end
    return b"".join([*kept, data[position:]])


def check_rows(data: bytes) -> None:
    """Inflate the pixels, piece by piece, only to count their bytes. Raises Rejected (TRUNCATED) when rows are missing.

    Decoders leave rows black if the stream is complete but too short for them. Other faults are ignored
    here, since the decoder reports them.
    """
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


def plain_stream(data: bytes, channels: int) -> bytes | None:
    """The compressed rows of a picture of 8 bits in so many channels; None where more than they say what it shows.

    That is: it is interlaced, animated, or a colour of it is transparent; or chunks come behind its pixels.
    """
    plain, pieces = struct.pack(">BBBBB", 8, {3: 2, 4: 6}[channels], 0, 0, 0), list[memoryview]()
    for start, kind, content in _chunks(data):
        if kind == b"IDAT":
            pieces.append(content)
        elif kind == b"IEND" and pieces:
            return b"".join(pieces)
        elif pieces or kind == b"tRNS" or kind in _ANIMATION or (start == _FIRST and content[8:] != plain):
            return None
    return None


def _chunks(data: bytes) -> Iterator[tuple[int, bytes, memoryview]]:
    """(first byte's position, kind, content) of each complete chunk."""
    view, position = memoryview(data), _FIRST
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            return
        yield position, kind, view[position + 8 : position + 8 + length]
        position += 12 + length


def _check_header(content: memoryview) -> None:
    if len(content) != 13:
        raise Rejected(Reason.CORRUPT, f"PNG with a header of {len(content)} bytes")
    if content[10] or content[11] or content[12] > 1:
        raise Rejected(
            Reason.CORRUPT, f"PNG of compression {content[10]}, filter {content[11]}, interlacing {content[12]}"
        )


def _crc_is_right(data: bytes, start: int, kind: bytes, content: memoryview) -> bool:
    end = start + 8 + len(content)
    return zlib.crc32(content, zlib.crc32(kind)) == int.from_bytes(data[end : end + 4])


def _is_left_out(data: bytes, start: int, kind: bytes, content: memoryview) -> bool:
    if kind in _ANIMATION:
        return True
    if kind not in _METADATA:
        return False
    # The decoder keeps each text under its keyword beside its own state: one named "bbox" would cut the picture.
    if kind in _TEXTS and not _is_exif(kind, content):
        return True
    if len(content) < _LEAST_BYTES.get(kind, 0) or not _crc_is_right(data, start, kind, content):
        return True
    if kind in (b"iCCP", b"zTXt"):  # name, 0, compression method 0, stream
        rest = bytes(content[:_LONGEST_NAME]).partition(b"\0")[2]
        return (kind == b"iCCP" and not rest) or rest[:1] not in (b"", b"\0")
    return False


def _is_exif(kind: bytes, content: memoryview) -> bool:
    return kind == b"eXIf" or (kind in _TEXTS and bytes(content[: len(_EXIF_AS_TEXT)]) == _EXIF_AS_TEXT)


def _inflated_sizes(data: bytes) -> Iterator[int]:
    """How many bytes of pixels each piece of the stream inflates to. Raises zlib.error."""
    stream = zlib.decompressobj()
    for _, kind, content in _chunks(data):
        if kind == b"IDAT":
            for start in range(0, len(content), _PIECE_BYTES):
                rest: bytes | memoryview = content[start : start + _PIECE_BYTES]
                while rest and not stream.eof:
                    yield len(stream.decompress(rest, INFLATED_BYTES))
                    rest = stream.unconsumed_tail


def _inflated_size(kind: bytes, content: memoryview, limits: Limits) -> int:
    """The inflated size in bytes of a compressed text or profile; 0 for other chunks. Raises Rejected."""
    if kind not in (b"zTXt", b"iCCP", b"iTXt"):
        return 0
    rest = bytes(content).partition(b"\0")[2]
    if kind != b"iTXt":  # name, 0, method, stream
        stream = rest[1:]
    elif rest.startswith(b"\0"):  # not compressed
        return 0
    else:  # name, 0, flag, method, language, 0, name in that language, 0, text
        stream = rest[2:].split(b"\0", 2)[-1]
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
