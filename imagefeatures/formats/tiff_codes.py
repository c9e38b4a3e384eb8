"""TIFF: strips and tiles of JPEG and fax that have lost codes. The decoder reports none, and passes other pixels."""

from __future__ import annotations

from imagefeatures.errors import Rejected
from imagefeatures.formats.tiff_layout import Layout
from imagefeatures.reasons import Reason

_FAX = {2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4"}
_FILLED = 3  # the one whose rows may be filled with zeros up to the next, as slow machines wanted it
_JPEG = 7
_END, _SCAN = b"\xff\xd9", b"\xff\xda"
_HOLE = bytes(16)  # codes have no more than 11 zeros in a row, rows of RLE end with 7 more; strips are padded by a few
_LONG_HOLE = bytes(256)  # more than a row is filled with
_END_OF_LINE = 0b000000000001


def check_codes(data: bytes, layout: Layout) -> None:
    """Check that JPEG data have their end markers, and that there are no zeros in place of fax codes.

    data: with all strips and tiles. Raises Rejected (TRUNCATED, CORRUPT).
    """
    if layout.compression not in (_JPEG, *_FAX):
        return
    what = "tile" if layout.tiled else "strip"
    count = min(len(layout.offsets), len(layout.lengths), layout.parts)
    places = zip(layout.offsets[:count].tolist(), layout.lengths[:count].tolist(), strict=True)
    for part, (start, length) in enumerate(places):
        end = start + length
        if layout.compression == _JPEG:
            # Neither marker stands inside a scan. Bytes behind the end do not matter.
            if length and data.rfind(_END, start, end) <= data.find(_SCAN, start, end):
                raise Rejected(Reason.TRUNCATED, f"TIFF whose {what} {part} of JPEG data has no end marker")
        elif _has_hole(data, start, end, layout):
            name = _FAX[layout.compression]
            raise Rejected(Reason.CORRUPT, f"TIFF whose {what} {part} has zeros in place of codes of {name}")


def _has_hole(data: bytes, start: int, end: int, layout: Layout) -> bool:
    """Whether there are many zeros in a strip of fax, but for those behind an end of line, where no row follows."""
    at = data.find(_HOLE, start, end)
    if at >= 0 and layout.compression == _FILLED:
        at = start + len(data[start:end].rstrip(b"\0"))
        if end - at < len(_LONG_HOLE):
            return False
    if at < 0:
        return False
    before = data[max(start, at - 3) : at]
    if layout.reversed_bits:
        before = bytes(int(f"{byte:08b}"[::-1], 2) for byte in before)
    bits = int.from_bytes(before)
    bits >>= (bits & -bits).bit_length() - 1 if bits else 0  # the last one is the last bit now
    marked = layout.compression == _FILLED and bits & 0b11 == 0b11  # an end of line with the mark of its next row
    return (bits >> marked) & 0xFFF != _END_OF_LINE
