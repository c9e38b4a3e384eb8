"""JPEG 2000: a codestream of marker segments and tile-parts, alone or in the boxes of a JP2 file.

Pillow hands OpenJPEG's samples on without OpenJPEG's own conversions. So only what needs none of them is read: samples
without sign of one depth and full resolution, in the order of their colours, and no palette.
"""

from __future__ import annotations

from dataclasses import dataclass

from imagefeatures.errors import Rejected
from imagefeatures.formats.isobmff import Box, Reader, boxes
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"

_TILE_PART, _END, _COMMENT = 0xFF90, 0xFFD9, 0xFF64
_COMPONENTS = {16: (3, 4), 17: (1, 2), 18: (3,)}  # how many, by the enumerated colour space: sRGB, grey, sYCC
_PROFILES = {b"RGB ": (3, 4), b"GRAY": (1, 2)}  # by the colour space of an ICC profile
_PREMULTIPLIED = 2  # this kind of channel
_PART_2, _HIGH_THROUGHPUT = 0x8000, 0x4000  # capabilities
_NEEDED = {b"jP  ", b"ftyp", b"jp2h", b"jp2c", b"rreq", b"free"}  # boxes that are no metadata


@dataclass(frozen=True)
class _Header:
    """The marker segment SIZ. depths: bits of each component, with 128 added where they have a sign."""

    capabilities: int
    width: int
    height: int
    tiles: int
    depths: list[int]
    steps: set[int]

    @classmethod
    def read(cls, data: bytes, start: int, end: int) -> _Header:
        reader = Reader(data, start + 6, end)
        capabilities = reader.number(2)
        right, bottom, left, top, *tile = (reader.number(4) for _ in range(8))
        count = reader.number(2)
        components = [reader.take(3) for _ in range(count)]
        tile_width, tile_height, tile_left, tile_top = tile
        if not tile_width or not tile_height or right <= left or bottom <= top:
            raise ValueError("its picture or its tiles have no width or no height")
        columns, rows = -(-(right - tile_left) // tile_width), -(-(bottom - tile_top) // tile_height)
        depths, steps = [1 + part[0] for part in components], {step for part in components for step in part[1:]}
        return cls(capabilities, right - left, bottom - top, columns * rows, depths, steps)


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height; None if they cannot be read."""
    codestream = _codestream(data)
    header = _read_header(data, codestream) if codestream else None
    return (header.width, header.height) if header else None


def check_mode(data: bytes) -> None:
    """Check that the decoder reads right what the boxes and the codestream declare.

    Raises Rejected (UNSUPPORTED_FORMAT, UNSUPPORTED_MODE, and CORRUPT for a header that contradicts itself).
    """
    codestream = _codestream(data)
    if codestream is None or not _segment_is_whole(data, codestream):
        return
    try:
        header = _Header.read(data, codestream.content, codestream.end)
        _check_samples(header)
        if codestream.kind == b"jp2c":
            _check_boxes(data, codestream, header)
        elif len(header.depths) not in (1, 3):
            raise _unsupported(f"{len(header.depths)} components, and no box that says what they are")
    except ValueError as error:
        raise Rejected(Reason.CORRUPT, f"JPEG 2000 whose header cannot be read: {error}") from None


def check(data: bytes, limits: Limits) -> None:
    """Walk the boxes and the codestream up to its end marker.

    Raises Rejected (TRUNCATED, METADATA_TOO_LARGE, CORRUPT).
    """
    metadata = Metadata("JPEG 2000", limits)
    codestream = _codestream(data)
    for box in boxes(data, 0, len(data)) if data.startswith(SIGNATURE) else ():
        if box.kind not in _NEEDED and box.end <= len(data):
            metadata.add(box.end - box.start)
    if codestream is None or codestream.end > len(data):
        raise Rejected(Reason.TRUNCATED, f"JPEG 2000 of {len(data):,} bytes without its whole codestream")
    try:
        if not _segment_is_whole(data, codestream):
            raise ValueError("its first segment is incomplete")
        header = _read_header(data, codestream)
        if header:  # check_mode tells what is wrong with another
            _walk(data, codestream, header, metadata)
    except ValueError as error:
        raise Rejected(Reason.TRUNCATED, f"JPEG 2000 of {len(data):,} bytes whose codestream is cut: {error}") from None


def _walk(data: bytes, codestream: Box, header: _Header, metadata: Metadata) -> None:
    """Go from marker to marker up to the end. Raises ValueError when the codestream ends before."""
    reader = Reader(data, codestream.content + 2, codestream.end)
    parts: dict[int, tuple[int, int]] = {}  # by tile: how many there are, and how many it says there are
    while (marker := reader.number(2)) != _END:
        if marker >> 8 != 0xFF:
            raise Rejected(Reason.CORRUPT, f"JPEG 2000 without a marker at byte {reader.position - 2:,}")
        if marker != _TILE_PART:
            length = reader.number(2)
            reader.take(max(length - 2, 0))
            metadata.add(length if marker == _COMMENT else 0)
            continue
        start = reader.position - 2
        reader.take(2)
        tile, length, _, count = (reader.number(width) for width in (2, 4, 1, 1))
        found, said = parts.get(tile, (0, 0))
        parts[tile] = found + 1, max(count, said)
        if not length:  # up to the end marker
            length = data.rfind(_END.to_bytes(2), start, codestream.end) - start
        if length < 14:
            raise ValueError(f"the part of tile {tile} has no end")
        reader.take(start + length - reader.position)
    whole = sum(found >= said for found, said in parts.values())
    if whole < header.tiles:
        raise ValueError(f"it has {whole} of {header.tiles} tiles")


def _segment_is_whole(data: bytes, codestream: Box) -> bool:
    """Whether the segment that describes the picture is there, as long as it says that it is."""
    start = codestream.content + 4
    return start + max(int.from_bytes(data[start : start + 2]), 2) <= len(data)


def _read_header(data: bytes, codestream: Box) -> _Header | None:
    try:
        return _Header.read(data, codestream.content, codestream.end)
    except ValueError:
        return None


def _codestream(data: bytes) -> Box | None:
    """Where the codestream is: a box, or the whole file as one; None if the data ends before it."""
    if data.startswith(CODESTREAM):
        return Box(b"", 0, 0, len(data))
    return next((box for box in boxes(data, 0, len(data)) if box.kind == b"jp2c"), None)


def _check_samples(header: _Header) -> None:
    if header.capabilities & (_PART_2 | _HIGH_THROUGHPUT):
        raise Rejected(Reason.UNSUPPORTED_FORMAT, "found JPEG 2000 with extensions (part 2 or high throughput)")
    if any(depth > 128 for depth in header.depths):
        raise _unsupported("samples with a sign")
    if header.steps != {1}:
        raise _unsupported("components of less resolution than the picture")
    count, depths = len(header.depths), set(header.depths)
    if count > 4 or len(depths) != 1:
        raise _unsupported(f"{count} components of {', '.join(map(str, sorted(depths)))} bits")
    (depth,) = depths
    if not 8 <= depth <= (16 if count == 1 else 8):
        raise _unsupported(f"{count} {'component' if count == 1 else 'components'} of {depth} bits")


def _check_boxes(data: bytes, codestream: Box, header: _Header) -> None:
    """Hold the boxes before the codestream against its header. Raises Rejected, and ValueError when they are cut."""
    brand = next((data[box.content : box.content + 4] for box in boxes(data, 0, len(data)) if box.kind == b"ftyp"), b"")
    if brand not in (b"jp2 ", b"jpx ", b"jph "):
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"found JPEG 2000 of the kind {brand.decode('latin-1')!r}, not a JP2")
    super_box = next((box for box in boxes(data, 0, codestream.start) if box.kind == b"jp2h"), None)
    if super_box is None:
        raise ValueError("no box jp2h before the codestream")
    found: dict[bytes, Box] = {}
    for box in boxes(data, super_box.content, super_box.end):
        found.setdefault(box.kind, box)  # of several colour spaces the first counts
    if b"ihdr" not in found:
        raise ValueError("no box ihdr")
    reader = Reader(data, found[b"ihdr"].content, found[b"ihdr"].end)
    height, width, count = reader.number(4), reader.number(4), reader.number(2)
    if (width, height, count) != (header.width, header.height, len(header.depths)):
        raise ValueError(
            f"its boxes say {width} × {height} and {count} components, "
            f"its codestream {header.width} × {header.height} and {len(header.depths)}"
        )
    if b"pclr" in found or b"cmap" in found:
        raise _unsupported("a palette")
    if b"colr" in found:
        _check_colours(Reader(data, found[b"colr"].content, found[b"colr"].end), count)
    elif count not in (1, 3) and b"cdef" not in found:
        raise _unsupported(f"{count} components, and no box that says what they are")
    elif any(box.kind == b"jplh" for box in boxes(data, 0, codestream.start)):
        raise _unsupported("its colour space in another box (jplh)")
    if b"cdef" in found:
        _check_channels(Reader(data, found[b"cdef"].content, found[b"cdef"].end), count)


def _check_colours(reader: Reader, count: int) -> None:
    """Raises Rejected for a colour space that is not the one that so many components are taken for."""
    method = reader.number(1)
    reader.take(2)
    if method == 1:
        space = reader.number(4)
        if count not in _COMPONENTS.get(space, ()):
            raise _unsupported(f"{count} components in the colour space {space} of ISO/IEC 15444")
    elif method == 2:
        profile = reader.take(20)[16:]
        if count not in _PROFILES.get(profile, ()):
            raise _unsupported(f"{count} components with a colour profile for {profile.decode('latin-1')!r}")
    else:
        raise _unsupported(f"a colour space of method {method}")


def _check_channels(reader: Reader, count: int) -> None:
    """Raises Rejected when the components are not in the order of their colours, with what is none behind them."""
    colours = 3 if count > 2 else 1
    for _ in range(reader.number(2)):
        number, kind, colour = reader.number(2), reader.number(2), reader.number(2)
        if (kind, colour) != (0, number + 1) if number < colours else kind == 0:
            raise _unsupported("components that are not in the order of their colours")
        if kind == _PREMULTIPLIED:
            raise _unsupported("colours that were multiplied by their opacity")


def _unsupported(found: str) -> Rejected:
    return Rejected(Reason.UNSUPPORTED_MODE, f"JPEG 2000 with {found}")
