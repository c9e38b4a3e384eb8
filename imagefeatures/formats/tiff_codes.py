"""TIFF: strips and tiles of JPEG and fax that have lost codes. The decoder reports none, and passes other pixels.

Whether fax has all its rows is told once it is decoded: `imagefeatures.libtiff`.
"""

from __future__ import annotations

import numpy as np

from imagefeatures.errors import Rejected
from imagefeatures.formats.jpeg_frame import SCAN, check_scans, read_frame, segments
from imagefeatures.formats.tiff_layout import FAX_OPTIONS, Layout
from imagefeatures.reasons import Reason

FAX = {2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4"}
_FILLED = 3  # the one whose rows may be filled with zeros up to the next, as slow machines wanted it
_JPEG = 7
_END, _SCAN = b"\xff\xd9", b"\xff\xda"
_HOLE = bytes(16)  # codes have no more than 11 zeros in a row, rows of RLE end with 7 more; strips are padded by a few
_LONG_HOLE = bytes(256)  # more than a row is filled with
_END_OF_LINE = 0b000000000001
_TWO_DIMENSIONS = 1
_PIECE_BYTES = 2**14  # of fax that are searched at a time
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def check_codes(data: bytes, layout: Layout) -> None:
    """Check that JPEG data have their end markers, rows and columns, and that fax codes are no zeros.

    data: with all strips and tiles. Raises Rejected (TRUNCATED, CORRUPT).
    """
    if layout.compression not in (_JPEG, *FAX):
        return
    what = "tile" if layout.tiled else "strip"
    count, in_a_plane = min(len(layout.offsets), len(layout.lengths), layout.parts), layout.parts_of_plane
    places = zip(layout.offsets[:count].tolist(), layout.lengths[:count].tolist(), strict=True)
    for part, (start, length) in enumerate(places):
        end = start + length
        if layout.compression == _JPEG:
            # Neither marker stands inside a scan. Bytes behind the end do not matter.
            if length and data.rfind(_END, start, end) <= data.find(_SCAN, start, end):
                raise Rejected(Reason.TRUNCATED, f"TIFF whose {what} {part} of JPEG data has no end marker")
            shown = layout.shown(part) if part < in_a_plane else (0, 0)  # a pixel of other planes may stand for several
            _check_jpeg(data[start:end], shown, f"{what} {part}")
        elif _has_hole(data, start, end, layout):
            name = FAX[layout.compression]
            raise Rejected(Reason.CORRUPT, f"TIFF whose {what} {part} has zeros in place of codes of {name}")


def rows_of_fax_3(strip: bytes, layout: Layout) -> int | None:
    """How many rows stand behind the marks in a strip of fax 3, which has one before each row; None without a mark."""
    codes = strip.translate(REVERSED) if layout.reversed_bits else strip
    marked = layout.one(FAX_OPTIONS, 0) & _TWO_DIMENSIONS  # behind each end of line one bit says how the row is coded
    padded = np.frombuffer(codes + bytes(3), np.uint8)
    marks = rows = 0
    for start in range(0, len(codes), _PIECE_BYTES):
        piece = padded[start : start + _PIECE_BYTES + 3].astype(np.uint32)
        words = piece[:-3] << 24 | piece[1:-2] << 16 | piece[2:-1] << 8 | piece[3:]
        windows = words[:, None] << np.arange(8, dtype=np.uint32)  # of each bit that one and the 24 behind it
        are_marks = windows >> 20 == _END_OF_LINE
        are_codes = (windows << (12 + marked)) >> 21 != 0  # no row begins with 11 zeros
        marks += int(are_marks.sum())
        rows += int((are_marks & are_codes).sum())
    return rows if marks else None


def _check_jpeg(stream: bytes, shown: tuple[int, int], place: str) -> None:
    """Check that a strip or tile has all pixels that are shown of it: the decoder leaves those that are missing.

    shown: columns and rows. place: its name. Raises Rejected (CORRUPT, TRUNCATED).
    """
    frame = read_frame(stream)
    if frame is None:
        return  # the decoder says so
    if frame.width < shown[0] or frame.height < shown[1]:
        found, wanted = (f"{width:,} × {height:,}" for width, height in ((frame.width, frame.height), shown))
        raise Rejected(Reason.CORRUPT, f"TIFF whose {place} holds a JPEG of {found}, its pixels take {wanted}")
    check_scans(frame, [stream[start : start + length] for marker, start, length in segments(stream) if marker == SCAN])


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
        before = before.translate(REVERSED)
    bits = int.from_bytes(before)
    bits >>= (bits & -bits).bit_length() - 1 if bits else 0  # the last one is the last bit now
    marked = layout.compression == _FILLED and bits & 0b11 == 0b11  # an end of line with the mark of its next row
    return (bits >> marked) & 0xFFF != _END_OF_LINE
