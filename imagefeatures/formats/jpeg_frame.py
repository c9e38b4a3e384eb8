"""JPEG: its segments, and what its frame and its scans declare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

END, SCAN = 0xD9, 0xDA
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # 00 is a stuffed byte; 01 and d0 to d7 have no segment
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # these three are no frames
_READ = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}  # baseline, extended and progressive DCT, and the last two by arithmetic coding
_PROGRESSIVE = {0xC2, 0xCA}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_LINES = b"\xff\xdc\x00\x04"  # the segment that declares the height after the first scan
_JFIF, _ADOBE = 0xE0, 0xEE
_YCBCR, _YCCK = 1, 2


@dataclass(frozen=True)
class Frame:
    """A frame header. marker: says how its pixels are coded. components: their identifiers, one byte each.

    transform: of colours, as an Adobe marker before the scan declares it; None without one. jfif: whether it has the
    marker of JFIF, whose colours are always YCbCr.
    """

    marker: int
    precision: int
    width: int
    height: int
    components: bytes
    transform: int | None
    jfif: bool


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, position of its length field, length) of each segment; the end marker has length 0.

    The content of a segment is skipped, since previews inside the metadata have end markers of their own.
    Bytes after the end marker are ignored, since phones append whole films there.
    """
    position = 2
    while match := _MARKER.search(data, position):
        position, marker = match.end(), data[match.end() - 1]
        if marker == END:
            yield marker, position, 0
            return
        if marker != 0xD8:
            length = int.from_bytes(data[position : position + 2])
            yield marker, position, length
            position += length


def read_frame(data: bytes) -> Frame | None:
    """The frame header; None if the file ends, or its pixels begin, before it is complete."""
    start, transform, jfif = None, None, False
    for marker, position, length in segments(data):
        if marker in FRAMES and start is None:
            start = position
        elif marker == _ADOBE and length >= 14 and data[position + 2 : position + 7] == b"Adobe":
            transform = data[position + 13] if position + 13 < len(data) else None
        elif marker == _JFIF and data[position + 2 : position + 7] == b"JFIF\0":
            jfif = True
        elif marker in (SCAN, END):
            break
    if start is None or len(data) < start + 8 or len(data) < start + 8 + 3 * data[start + 7]:
        return None
    count = data[start + 7]
    return Frame(
        marker=data[start - 1],
        precision=data[start + 2],
        width=int.from_bytes(data[start + 5 : start + 7]),
        height=int.from_bytes(data[start + 3 : start + 5]),
        components=data[start + 8 : start + 8 + 3 * count : 3],
        transform=transform,
        jfif=jfif,
    )


def check_frame(data: bytes, frame: Frame) -> None:
    """Check that the decoder reads such a frame right. Raises Rejected (UNSUPPORTED_FORMAT, UNSUPPORTED_MODE)."""
    if frame.marker in _LOSSLESS:
        raise Rejected(Reason.UNSUPPORTED_FORMAT, "found a lossless JPEG image, which is not read")
    if frame.precision != 8:
        raise Rejected(
            Reason.UNSUPPORTED_FORMAT, f"found a JPEG image of {frame.precision} bits a sample, only 8 are read"
        )
    if frame.marker not in _READ:
        raise Rejected(
            Reason.UNSUPPORTED_FORMAT, f"found a hierarchical JPEG image (SOF{frame.marker & 15}), which is not read"
        )
    if not frame.height and _LINES in data:
        lines = data.index(_LINES) + len(_LINES)
        height = int.from_bytes(data[lines : lines + 2])
        raise Rejected(
            Reason.UNSUPPORTED_FORMAT,
            f"found a JPEG image whose height, {height} rows, stands after its pixels (DNL), where it is not read",
        )
    count = len(frame.components)
    if count not in (1, 3, 4):
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a JPEG of {count} components is not read, only of 1, 3 or 4")
    if count == 4 and frame.transform not in (0, _YCCK):
        said = "no Adobe marker" if frame.transform is None else f"an Adobe marker with transform {frame.transform}"
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a JPEG of 4 components with {said} does not say what its inks are")


def declares_ycbcr(data: bytes) -> bool:
    """Whether the markers of a JPEG of 3 components say that its colours are YCbCr, and not RGB."""
    frame = read_frame(data)
    return frame is not None and (frame.jfif or frame.transform == _YCBCR)


def check_scans(data: bytes, headers: list[bytes]) -> None:
    """Check that the scans bring every coefficient of every component, to its last bit.

    Else the picture is blurred, or a component is missing from it, and the decoder says nothing. headers: of each
    scan, from its length field on. Raises Rejected (TRUNCATED).
    """
    frame = read_frame(data)
    if frame is None or not headers:
        return
    progressive = frame.marker in _PROGRESSIVE
    unknown = {component: [-1] * 64 for component in frame.components}  # how many low bits of each coefficient
    for header in headers:
        count = header[2] if len(header) > 2 else 0
        if len(header) < 6 + 2 * count:
            continue
        first, last, bits = header[3 + 2 * count], min(header[4 + 2 * count], 63), header[5 + 2 * count] & 15
        if not progressive:
            first, last, bits = 0, 63, 0
        for component in header[3 : 3 + 2 * count : 2]:
            if component in unknown:
                unknown[component][first : last + 1] = [bits] * (last + 1 - first)
    lacking = ", ".join(str(component) for component, bits_of in unknown.items() if any(bits_of))
    if lacking:
        raise Rejected(Reason.TRUNCATED, f"JPEG whose last scans are missing: component {lacking} is incomplete")
