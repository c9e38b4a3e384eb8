"""JPEG: its segments, and what its frame and its scans declare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from imagefeatures.bicubic import compiled
from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

END, SCAN = 0xD9, 0xDA
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # 00 is a stuffed byte; 01 and d0 to d7 have no segment
LS = 0xF7  # the frame of JPEG-LS, another format that begins as JPEG does
FRAMES = {*range(0xC0, 0xD0), LS} - {0xC4, 0xC8, 0xCC}  # these three are no frames
ARITHMETIC = {0xC9, 0xCA}  # sequential and progressive
_READ = {0xC0, 0xC1, 0xC2, *ARITHMETIC}  # by Huffman's coding baseline, extended and progressive
_PROGRESSIVE = {0xC2, 0xCA}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_MOST_SIDE = 65_500  # pixels: the format allows 35 more, and libjpeg refuses them
_LINES = b"\xff\xdc\x00\x04"  # the segment that declares the height after the first scan
_JFIF, _ADOBE = 0xE0, 0xEE
OF_THE_FRAME = {_JFIF, _ADOBE, *FRAMES}
"""The markers that a FrameReader must see."""

_YCBCR, _YCCK = 1, 2


class Frame(NamedTuple):
    """A frame header. marker: says how its pixels are coded. components: their identifiers, one byte each.

    transform: of colours, as an Adobe marker before the scan declares it; None without one. jfif: whether it has the
    marker of JFIF, whose colours are always YCbCr. sampling: of each component one byte, horizontally its upper half.
    """

    marker: int
    precision: int
    width: int
    height: int
    components: bytes
    transform: int | None
    jfif: bool
    sampling: bytes


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, position of its length field, length) of each segment; the end marker has length 0.

    The content of a segment is skipped, since previews inside the metadata have end markers of their own.
    Bytes after the end marker are ignored, since phones append whole films there.
    """
    position = 2
    while (found := _next_marker(data, position)) >= 0:
        position, marker = found + 2, data[found + 1]
        if marker == END:
            yield marker, position, 0
            return
        if marker != 0xD8:
            length = int.from_bytes(data[position : position + 2])
            yield marker, position, length
            position += length


def _next_marker(data: bytes, start: int) -> int:
    """The place of the first marker of a segment or of the end, from `start` on; -1 without one."""
    if compiled and hasattr(compiled, "marker"):  # not without a compiler, nor in a build of an older version
        return int(compiled.marker(data, start))
    match = _MARKER.search(data, start)
    return match.start() if match else -1


class FrameReader:
    """Finds the frame header and the markers of its colours among the segments before the first scan."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._start: int | None = None
        self._transform: int | None = None
        self._jfif = False

    def see(self, marker: int, start: int) -> None:
        """A segment with one of the markers above. start: of its length field."""
        if marker in FRAMES:
            self._start = start if self._start is None else self._start
        elif marker == _JFIF:
            self._jfif = self._jfif or self._data.startswith(b"JFIF\0", start + 2)
        elif self._data.startswith(b"Adobe", start + 2):
            end = start + int.from_bytes(self._data[start : start + 2])
            self._transform = self._data[start + 13] if start + 13 < min(end, len(self._data)) else None

    def frame(self) -> Frame | None:
        """The frame header; None if there is none, or it is incomplete."""
        data, start = self._data, self._start
        if start is None or len(data) < start + 8 or len(data) < start + 8 + 3 * data[start + 7]:
            return None
        return Frame(
            marker=data[start - 1],
            precision=data[start + 2],
            width=int.from_bytes(data[start + 5 : start + 7]),
            height=int.from_bytes(data[start + 3 : start + 5]),
            components=data[start + 8 : start + 8 + 3 * data[start + 7] : 3],
            transform=self._transform,
            jfif=self._jfif,
            sampling=data[start + 9 : start + 8 + 3 * data[start + 7] : 3],
        )


def read_frame(data: bytes) -> Frame | None:
    """The frame header; None if the file ends, or its pixels begin, before it is complete."""
    reader = FrameReader(data)
    for marker, start, _ in segments(data):
        if marker == SCAN:
            break
        if marker in OF_THE_FRAME:
            reader.see(marker, start)
    return reader.frame()


def check_frame(data: bytes, frame: Frame) -> None:
    """Check that the decoder reads such a frame right. Raises Rejected (UNSUPPORTED_FORMAT, UNSUPPORTED_MODE)."""
    if frame.marker == LS:
        raise Rejected(Reason.UNSUPPORTED_FORMAT, "found a JPEG-LS image, which is not read")
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
    if max(frame.width, frame.height) > _MOST_SIDE:
        size = f"{frame.width:,} × {frame.height:,}"
        raise Rejected(
            Reason.UNSUPPORTED_FORMAT, f"found a JPEG image of {size} pixels, no side above {_MOST_SIDE:,} is read"
        )
    count = len(frame.components)
    if count not in (1, 3, 4):
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a JPEG of {count} components is not read, only of 1, 3 or 4")
    if count == 4 and frame.transform not in (0, _YCCK):
        said = "no Adobe marker" if frame.transform is None else f"an Adobe marker with transform {frame.transform}"
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a JPEG of 4 components with {said} does not say what its inks are")
    if _is_fractional(frame.sampling):
        factors = ", ".join(f"{byte >> 4} × {byte & 15}" for byte in frame.sampling)
        raise Rejected(
            Reason.UNSUPPORTED_MODE,
            f"a JPEG whose components are sampled {factors} is only read where each divides the largest",
        )


def _is_fractional(sampling: bytes) -> bool:
    """Whether a pixel of a component covers no whole number of the picture's. What no file may say is left out."""
    across, down = [byte >> 4 for byte in sampling], [byte & 15 for byte in sampling]
    if not all(1 <= factor <= 4 for factor in (*across, *down)):
        return False
    return any(max(factors) % factor for factors in (across, down) for factor in factors)


def declares_ycbcr(data: bytes) -> bool:
    """Whether the markers of a JPEG of 3 components say that its colours are YCbCr, and not RGB."""
    frame = read_frame(data)
    return frame is not None and (frame.jfif or frame.transform == _YCBCR)


def check_scans(frame: Frame, headers: list[bytes]) -> None:
    """Check that the scans bring every coefficient of every component, to its last bit.

    Else the picture is blurred, or a component is missing from it, and the decoder says nothing. headers: of each
    scan, from its length field on. Raises Rejected (TRUNCATED).
    """
    count = len(frame.components)
    progressive = frame.marker in _PROGRESSIVE
    if not headers or (not progressive and headers[0][2:3] == bytes([count])):  # one scan of all, as nearly always
        return
    scans = [_read_scan(header) for header in headers]
    if progressive:
        unknown = {component: bytearray(b"\xff" * 64) for component in frame.components}  # low bits of each coefficient
        for components, first, last, bits in scans:
            for component in components:
                if component in unknown:
                    unknown[component][first : last + 1] = bytes([bits]) * (last + 1 - first)
        lacking = [component for component, bits_of in unknown.items() if any(bits_of)]
    else:
        lacking = [component for component in frame.components if all(component not in scan[0] for scan in scans)]
    if lacking:
        names = ", ".join(map(str, lacking))
        raise Rejected(Reason.TRUNCATED, f"JPEG whose last scans are missing: component {names} is incomplete")


def _read_scan(header: bytes) -> tuple[bytes, int, int, int]:
    """The components of a scan, its first and last coefficient, and how many low bits it leaves out."""
    if len(header) < 6 or len(header) < 6 + 2 * header[2]:
        return b"", 0, 0, 0
    count = header[2]
    return (
        header[3 : 3 + 2 * count : 2],
        header[3 + 2 * count],
        min(header[4 + 2 * count], 63),
        header[5 + 2 * count] & 15,
    )
