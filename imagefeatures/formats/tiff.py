"""TIFF: a directory of tags with the positions of all other parts. EXIF blocks of other formats are TIFF too."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from imagefeatures.errors import Rejected
from imagefeatures.formats.limits import INFLATED_BYTES, Metadata
from imagefeatures.formats.tiff_codes import check_codes
from imagefeatures.formats.tiff_directory import SIZES, entries, order_of
from imagefeatures.formats.tiff_layout import NEEDED, RAW, STRIP_BYTES, TILE_BYTES, Layout, read_layout
from imagefeatures.formats.tiff_modes import check_layout, check_picture
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_LZW, _DEFLATE, _PACKBITS = 5, (8, 32946), 32773
_OLD_JPEG, _JPEG, _FIRST_PRIVATE = 6, 7, 32768
_HEADER_BYTES = 8  # byte order, mark, offset of the first directory
_ORIENTATION, _WMP = 274, 0xBC01  # the second marks a file of Windows Media Photo, which is another format
_WORDS = {3: "H", 4: "I"}  # the types that the lengths of strips may have, as struct names them
_PIECE_BYTES = 2**14  # how many compressed bytes are inflated at a time
_KNOWN_PRIVATE = {33432, 33723, 34377, 34665, 34675, 34853, 37724}  # rights, IPTC, Photoshop's, EXIF, profile, GPS


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the first directory; None if it is incomplete."""
    layout = read_layout(data)
    return (layout.width, layout.height) if layout else None


def check_mode(data: bytes) -> None:
    """Check that the decoder reads right what the first directory declares.

    Raises Rejected (UNSUPPORTED_FORMAT, UNSUPPORTED_MODE, CORRUPT).
    """
    layout = read_layout(data)
    if layout is not None:
        if layout.odd:
            tag, kind = layout.odd
            raise Rejected(
                Reason.CORRUPT, f"TIFF whose tag {tag} has type {kind}, which is not that of its whole numbers"
            )
        check_picture(data, layout)
        check_layout(data, layout)
        check_parts(layout)


def check(data: bytes, limits: Limits) -> None:
    """Check that the file holds every pixel of its first picture, and count the bytes of the tags.

    Metadata that begin beyond the end are ignored. Raises Rejected (TRUNCATED, CORRUPT, METADATA_TOO_LARGE, and
    UNSUPPORTED_FORMAT for a raw file).
    """
    metadata, needed = Metadata("TIFF", limits), 8
    try:
        for entry in entries(data):
            _, kind, count, start = entry
            length = count * SIZES.get(kind, 0)
            metadata.add(min(length, len(data)))
            if not _is_broken_metadata(entry, len(data)):
                needed = max(needed, start + length)
        layout = read_layout(data)
    except struct.error:
        raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes without its whole directory") from None
    if layout is not None:
        check_picture(data, layout)  # raw files may hold their pixels in any way
        needed = max(needed, end_of_pixels(data, layout))
    if len(data) < needed:
        raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes, its directory refers to {needed:,} bytes")
    if layout is not None:
        check_codes(data, layout)


def check_exif(block: bytes, metadata: Metadata) -> None:
    """Count the bytes of an EXIF block's tags, each on its own: decoders read the bytes that tags share once for each.

    Raises Rejected (METADATA_TOO_LARGE). An unreadable block is ignored.
    """
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    try:
        for _, kind, count, _ in entries(block):
            metadata.add(min(count * SIZES.get(kind, 0), len(block)))
    except struct.error:
        pass


def readable(data: bytes) -> bytes:
    """The file as decoders accept it: without metadata beyond its end, and a last strip that ends with it.

    The same object if there is nothing to do. Every byte keeps its place.
    """
    try:
        found = list(entries(data))
    except struct.error:
        return data
    order = order_of(data)
    changes = {
        _entry_start(data, index) + 2: _nothing(data)
        for index, entry in enumerate(found)
        if _is_broken_metadata(entry, len(data))
    }
    layout = read_layout(data)
    if layout is not None and layout.compression != RAW and len(late := _beyond(data, layout)) == 1:
        (part,) = late
        left = len(data) - int(layout.offsets[part])
        for tag, kind, _, start in found:
            if tag == (TILE_BYTES if layout.tiled else STRIP_BYTES) and kind in _WORDS and left > 0:
                word = order + _WORDS[kind]
                changes[start + int(part) * struct.calcsize(word)] = struct.pack(word, left)
    return _changed(data, changes)


def without_metadata(data: bytes) -> bytes:
    """The file without the tags that no pixel needs, but for its orientation. Every byte keeps its place."""
    try:
        found = list(entries(data))
    except struct.error:
        return data
    dropped = [index for index, (tag, *_) in enumerate(found) if tag not in NEEDED and tag not in (_ORIENTATION, _WMP)]
    return _changed(data, {_entry_start(data, index) + 2: _nothing(data) for index in dropped})


def is_cut(data: bytes) -> bool:
    """Whether a strip or tile ends beyond the file: if it cannot be decoded, its last bytes are missing."""
    layout = read_layout(data)
    return layout is not None and len(_beyond(data, layout)) > 0


def _is_broken_metadata(entry: tuple[int, int, int, int], end: int) -> bool:
    """Whether a tag that no pixel needs names bytes beyond the file, whose end is given.

    In a file that was cut some values begin before its end. So those count as missing, except where nobody knows the
    tag: it may have any length.
    """
    tag, kind, count, start = entry
    unknown = tag >= _FIRST_PRIVATE and tag not in _KNOWN_PRIVATE
    return tag not in NEEDED and start + count * SIZES.get(kind, 0) > end and (start > end or unknown)


def _nothing(data: bytes) -> bytes:
    """The type, count and value of a tag without a meaning: four bytes."""
    return struct.pack(order_of(data) + "HI4x", 1, 4)


def _changed(data: bytes, changes: dict[int, bytes]) -> bytes:
    """The data with other bytes at some places; the same object without changes."""
    if not changes:
        return data
    changed = bytearray(data)
    for start, value in changes.items():
        changed[start : start + len(value)] = value
    return bytes(changed)


def _entry_start(data: bytes, index: int) -> int:
    """The position of an entry of the first directory."""
    (directory,) = struct.unpack_from(order_of(data) + "I", data, 4)
    return int(directory) + 2 + 12 * index


def check_parts(layout: Layout) -> None:
    """Check that there are as many strips or tiles as the picture takes, each somewhere in the file.

    Raises Rejected (CORRUPT, and UNSUPPORTED_MODE where one is left out).
    """
    if not len(layout.offsets):
        return  # the decoder says what is missing
    wanted, found = layout.parts, len(layout.offsets)
    if found < wanted or (found > wanted and layout.compression == RAW) or not wanted:
        what = "tiles" if layout.tiled else "strips"
        raise Rejected(
            Reason.CORRUPT,
            f"TIFF of {layout.width} × {layout.height} with {found} {what}, the picture takes {wanted}",
        )
    _check_places(layout, wanted)
    if len(layout.lengths) < wanted and (layout.compression != RAW or len(layout.lengths)):
        raise Rejected(Reason.CORRUPT, f"TIFF with the lengths of {len(layout.lengths)} of {wanted} strips or tiles")
    if layout.compression == RAW and len(layout.lengths) == wanted > 1:
        needed = _raw_bytes(layout, wanted)
        short = np.flatnonzero(layout.lengths < needed)
        if len(short):
            part, least = short[0], needed[short[0]]
            raise Rejected(
                Reason.CORRUPT, f"TIFF whose strip {part} has {layout.lengths[part]} bytes, its rows take {least}"
            )


def _check_places(layout: Layout, wanted: int) -> None:
    """Check that no strip or tile begins in the header, whose bytes would be taken for pixels.

    GDAL leaves one out, as SPARSE_OK asks for, by no offset and no length. JPEG in the old manner has its pixels in the
    stream that another tag names. Raises Rejected (UNSUPPORTED_MODE, CORRUPT).
    """
    early = np.flatnonzero(layout.offsets[:wanted] < _HEADER_BYTES)
    if not len(early) or layout.compression == _OLD_JPEG:
        return
    part, what = int(early[0]), "tile" if layout.tiled else "strip"
    start, length = layout.offsets[part], layout.lengths[part] if part < len(layout.lengths) else 0
    if not start and not length:
        raise Rejected(
            Reason.UNSUPPORTED_MODE,
            f"a TIFF that leaves out {len(early):,} of {wanted:,} {what}s is not read",
        )
    raise Rejected(Reason.CORRUPT, f"TIFF whose {what} {part} begins at byte {start}, in the header of the file")


def end_of_pixels(data: bytes, layout: Layout) -> int:
    """The byte at which the last pixel ends. It is known exactly without compression.

    One compressed strip may claim more bytes than there are, if it is seen to be whole.
    """
    ends = _ends(layout)
    late = _beyond(data, layout)
    if len(late) == 1 and layout.offsets[late[0]] < len(data) and _shows_its_end(data, layout, int(late[0])):
        ends[late[0]] = len(data)
    return int(ends.max(initial=0))


def _shows_its_end(data: bytes, layout: Layout, part: int) -> bool:
    """Whether a strip that claims bytes beyond the file has the mark at its end, and only its length is wrong.

    The decoder notices by itself when a strip of PackBits, or rows of the others but JPEG, are missing.
    """
    strip = memoryview(data)[int(layout.offsets[part]) :]
    if layout.compression == _JPEG:
        return bytes(strip).rstrip(b"\0").endswith(b"\xff\xd9")
    if layout.compression == _LZW:
        tail = int.from_bytes(strip[-2:])  # 9 of the last code's 9 to 12 bits, 257, and zeros up to a whole byte
        return any(tail & (1 << unused + 9) - 1 == 257 << unused for unused in range(8))
    if layout.compression in _DEFLATE:
        return _stream_ends(strip)
    return layout.compression == _PACKBITS


def _stream_ends(stream: memoryview) -> bool:
    """Whether a zlib stream is whole, with its checksum."""
    inflating = zlib.decompressobj()
    try:
        for start in range(0, len(stream), _PIECE_BYTES):
            rest: bytes | memoryview = stream[start : start + _PIECE_BYTES]
            while rest and not inflating.eof:
                inflating.decompress(rest, INFLATED_BYTES)
                rest = inflating.unconsumed_tail
    except zlib.error:
        return False
    return inflating.eof


def _beyond(data: bytes, layout: Layout) -> np.ndarray:
    """The indices of the strips or tiles that end beyond the file."""
    return np.flatnonzero(_ends(layout) > len(data))


def _ends(layout: Layout) -> np.ndarray:
    """Where each strip or tile ends: uint64 [n]. Without compression that is counted in rows, as decoders do."""
    if not layout.parts:
        return np.empty(0, np.uint64)
    if layout.compression == RAW:
        count = min(len(layout.offsets), layout.parts)
        lengths = _raw_bytes(layout, count)
    else:
        count = min(len(layout.offsets), len(layout.lengths), layout.parts)
        lengths = layout.lengths
    ends: np.ndarray = layout.offsets[:count] + lengths[:count]
    return ends


def _raw_bytes(layout: Layout, count: int) -> np.ndarray:
    """The bytes of the first uncompressed strips or tiles, without rows below the picture: uint64 [count]."""
    columns, rows = layout.part
    across, down = -(-layout.width // columns), -(-layout.height // rows)
    row = np.arange(count) // across % down
    return (np.minimum(rows, layout.height - row * rows) * layout.row_bytes).astype(np.uint64)
