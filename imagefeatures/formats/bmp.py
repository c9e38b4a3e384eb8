"""BMP: headers that say everything; it carries no metadata that a decoder reads."""

from __future__ import annotations

import struct

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height as the header says; a negative height means rows from the top."""
    if len(data) < 26:
        return None
    if int.from_bytes(data[14:18], "little") == 12:  # OS/2's
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<Ii", data, 18)
    return width, abs(height)


def check(data: bytes) -> None:
    """Its length. Raises Rejected."""
    said = max(int.from_bytes(data[2:6], "little"), 26)  # some say 0; the smallest header has 26
    if len(data) < said:
        raise Rejected(Reason.TRUNCATED, f"BMP says {said:,} bytes, {len(data):,} are there")
