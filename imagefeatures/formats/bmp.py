"""BMP: fixed headers, and no metadata that a decoder reads."""

from __future__ import annotations

import struct

from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the header, where a negative height means rows from the top; None if it is incomplete."""
    if len(data) < 26:
        return None
    if int.from_bytes(data[14:18], "little") == 12:  # the header of OS/2
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<Ii", data, 18)
    return width, abs(height)


def check(data: bytes, limits: Limits) -> None:
    """Check the length. Raises Rejected (TRUNCATED)."""
    declared = max(int.from_bytes(data[2:6], "little"), 26)  # some files declare 0; the smallest header has 26
    if len(data) < declared:
        raise Rejected(Reason.TRUNCATED, f"BMP of {len(data):,} bytes, its header declares {declared:,} bytes")
