"""WebP: a RIFF file, whose header holds the file's length, and chunks."""

from __future__ import annotations

from collections.abc import Iterator

from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.limits import Metadata
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_ANIMATED = 2  # this flag
_FILE_HEADER, _FRAME_HEADER = 12, 16  # bytes before the first chunk
_PIXELS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the canvas from the first chunk; None if it is incomplete or unknown."""
    head = data[12:30]
    if len(head) < 18:
        return None
    if head[:4] == b"VP8X":
        return 1 + int.from_bytes(head[12:15], "little"), 1 + int.from_bytes(head[15:18], "little")
    if head[:4] == b"VP8L":
        bits = int.from_bytes(head[9:13], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[:4] == b"VP8 ":
        return int.from_bytes(head[14:16], "little") & 0x3FFF, int.from_bytes(head[16:18], "little") & 0x3FFF
    return None


def check_mode(data: bytes) -> None:
    """Check that the first frame of an animation covers its canvas: nothing says what colour is around it.

    Raises Rejected (UNSUPPORTED_MODE, and CORRUPT where its pixels are fewer than it says).
    """
    canvas = size(data)
    if canvas is None or data[12:16] != b"VP8X" or not data[20] & _ANIMATED:
        return
    for kind, content in _chunks(data, len(data)):
        if kind == b"ANMF" and len(content) >= 16:
            left, top, width, height = (int.from_bytes(content[at : at + 3], "little") for at in (0, 3, 6, 9))
            frame = (width + 1, height + 1)
            if (left, top) != (0, 0) or frame != canvas:
                raise Rejected(
                    Reason.UNSUPPORTED_MODE,
                    f"a WebP whose first frame, {_words(frame)}, leaves out parts of {_words(canvas)} is not read",
                )
            pixels = _frame_size(bytes(content))
            if pixels not in (None, frame):
                found = f"holds pixels of {_words(pixels)}, and says {_words(frame)}"
                raise Rejected(Reason.CORRUPT, f"WebP whose first frame {found}")
            return


def _frame_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height of the pixels in the chunk of a frame; None if they are incomplete."""
    start = _FRAME_HEADER
    while frame[start : start + 4] not in (b"VP8 ", b"VP8L"):
        if start + 8 > len(frame):
            return None
        length = int.from_bytes(frame[start + 4 : start + 8], "little")
        start += 8 + length + length % 2
    return size(bytes(_FILE_HEADER) + frame[start:])


def _words(sides: tuple[int, int] | None) -> str:
    return f"{sides[0]} × {sides[1]}" if sides else ""


def check(data: bytes, limits: Limits) -> None:
    """Check the length, and count the metadata. Raises Rejected (TRUNCATED, METADATA_TOO_LARGE)."""
    declared = int.from_bytes(data[4:8], "little") + 8
    if len(data) < declared:
        raise Rejected(Reason.TRUNCATED, f"WebP of {len(data):,} bytes, its header declares {declared:,} bytes")
    metadata = Metadata("WebP", limits)
    for kind, content in _chunks(data, declared):
        if kind not in _PIXELS:
            metadata.add(8 + len(content))
        if kind == b"EXIF":
            tiff.check_exif(bytes(content), metadata)


def picture(data: bytes) -> bytes | None:
    """The chunk of the one picture of a file, with its header: what libwebp's demuxer gives the decoder, and no more.

    None where there are other pixels besides, such as alpha, or the chunk is cut.
    """
    end = min(len(data), int.from_bytes(data[4:8], "little") + 8)
    found = [place for place in _places(data, end) if place[0] in _PIXELS - {b"VP8X"}]
    if len(found) != 1 or found[0][0] not in (b"VP8 ", b"VP8L"):
        return None
    _, start, length = found[0]
    stop = start + 8 + length + length % 2
    return data[start:stop] if stop <= end else None


def _chunks(data: bytes, end: int) -> Iterator[tuple[bytes, memoryview]]:
    view = memoryview(data)
    for kind, start, length in _places(data, end):
        yield kind, view[start + 8 : start + 8 + length]


def _places(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and declared length of each chunk. The length is without header and padding."""
    position = 12
    while position + 8 <= end:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], position, length
        position += 8 + length + length % 2
