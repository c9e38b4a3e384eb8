"""JPEG: segments, each after a marker, and entropy-coded scans between them."""

from __future__ import annotations

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.jpeg_frame import (
    ARITHMETIC,
    END,
    FRAMES,
    LS,
    OF_THE_FRAME,
    SCAN,
    FrameReader,
    check_frame,
    check_scans,
    read_frame,
    segments,
)
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_EXIF, _COMMENT = 0xE1, 0xFE
_COLOURS = {0xE0: (16, b"JFIF\0"), 0xEE: (14, b"Adobe")}  # the least lengths of the markers that say what colours are
_APPLICATION = range(0xE0, 0xF0)


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the frame header; None without one."""
    for marker, start, _ in segments(data):
        if marker in FRAMES:
            return int.from_bytes(data[start + 5 : start + 7]), int.from_bytes(data[start + 3 : start + 5])
        if marker == SCAN:
            break
    return None


def check_mode(data: bytes) -> None:
    """Check that the decoder reads right what the frame declares.

    Raises Rejected (UNSUPPORTED_FORMAT, UNSUPPORTED_MODE).
    """
    frame = read_frame(data)
    if frame is not None:
        check_frame(data, frame)


def is_arithmetic(data: bytes) -> bool:
    """Whether the pixels are in arithmetic coding."""
    frame = read_frame(data)
    return frame is not None and frame.marker in ARITHMETIC


def check(data: bytes, limits: Limits) -> None:
    """Walk the markers up to the end of the image, and check what its frame declares.

    Raises Rejected (TRUNCATED, METADATA_TOO_LARGE, UNSUPPORTED_FORMAT, UNSUPPORTED_MODE).
    """
    metadata, exif, reader = Metadata("JPEG", limits), b"", FrameReader(data)
    scans: list[bytes] = []
    for marker, start, length in segments(data):
        if marker == END:
            tiff.check_exif(exif, metadata)
            if frame := reader.frame():
                check_frame(data, frame)
                check_scans(frame, scans)
            return
        if marker in _APPLICATION or marker == _COMMENT:
            metadata.add(length)
            if marker == _EXIF and data[start + 2 : start + 8] == b"Exif\0\0":
                exif += data[start + 8 : start + length]  # long EXIF is spread over several segments
        if marker == SCAN:
            scans.append(data[start : start + length])
        elif marker in OF_THE_FRAME and not scans:
            reader.see(marker, start)
            if marker == LS and (frame := reader.frame()):  # in its pixels markers would be seen that are none
                check_frame(data, frame)
    raise Rejected(Reason.TRUNCATED, f"JPEG of {len(data):,} bytes without its end marker")


def without_metadata(data: bytes) -> bytes:
    """The file without the segments before its first scan that the decoder may stop at: profiles, texts, previews.

    What says how the colours and the picture are turned is kept, if it is whole.
    """
    kept, position = [], 0
    for marker, start, length in segments(data):
        if marker == SCAN:
            break
        if (marker in _APPLICATION or marker == _COMMENT) and not _is_needed(data, marker, start, length):
            kept.append(data[position : start - 2])
            position = start + length
    return b"".join([*kept, data[position:]])


def _is_needed(data: bytes, marker: int, start: int, length: int) -> bool:
    if marker == _EXIF:
        return data.startswith(b"Exif\0\0", start + 2)
    if marker not in _COLOURS:
        return False
    least, name = _COLOURS[marker]
    return length >= least and data.startswith(name, start + 2)
