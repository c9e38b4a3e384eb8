"""What image containers say of themselves, from bytes alone: which format, and whether the end is there.

Pure Python over a few dozen bytes of each file; nothing is decoded or allocated. What cannot be
seen from outside (an error inside the compressed data) is found by the decoder.
"""

from __future__ import annotations

import re
import struct
import zlib

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

_OTHERS = (  # only to name in the detail what was found instead
    (b"%PDF-", "a PDF document"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"8BPS", "a Photoshop document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"{", "JSON text"),
    (b"[", "JSON text"),
)


def sniff(data: bytes) -> str:
    """The image format that the first bytes show. Raises Rejected (UNSUPPORTED_FORMAT)."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if data.startswith(b"BM"):
        return "BMP"
    raise Rejected(Reason.UNSUPPORTED_FORMAT, f"found {_guess(data)}, expected one of {', '.join(FORMATS)}")


def check(data: bytes) -> str:
    """The image's format, once its container is found whole. Raises Rejected."""
    kind = sniff(data)
    _WHOLE[kind](data)
    return kind


def _guess(data: bytes) -> str:
    data = data[:600].removeprefix(b"\xef\xbb\xbf")  # a byte order mark, as some editors put before text
    head = data[:512].lstrip().lower()
    for start, name in _OTHERS:
        if head.startswith(start.lower()):
            return "an SVG drawing" if start == b"<?xml" and b"<svg" in head else name
    try:
        text = data[:512].decode()
    except UnicodeDecodeError as error:
        text = data[: error.start].decode() if error.start > 500 else ""
    if text and all(c.isprintable() or c.isspace() for c in text):
        return f"text ({text[:40].strip()!r})"
    return f"unknown bytes ({data[:8].hex(' ')})"


_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # 00 is a stuffed byte, 01 and d0 to d7 stand alone


def _jpeg(data: bytes) -> None:
    # From marker to marker: previews inside the metadata end with an end marker of their own, and phones
    # append whole films behind the real one.
    at = 2
    while found := _JPEG_MARKER.search(data, at):
        at, marker = found.end(), data[found.end() - 1]
        if marker == 0xD9:
            return
        if marker != 0xD8:
            at += int.from_bytes(data[at : at + 2])
    raise Rejected(Reason.TRUNCATED, f"JPEG of {len(data):,} bytes without its end marker")


def _png(data: bytes) -> None:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise Rejected(Reason.CORRUPT, f"PNG chunk {kind.decode('latin-1')!r} at byte {at:,} has a wrong CRC")
        if kind == b"IEND":
            return
        at = end
    raise Rejected(Reason.TRUNCATED, f"PNG of {len(data):,} bytes without its end chunk")


def _webp(data: bytes) -> None:
    said = int.from_bytes(data[4:8], "little") + 8
    if len(data) < said:
        raise Rejected(Reason.TRUNCATED, f"WebP says {said:,} bytes, {len(data):,} are there")


def _gif(data: bytes) -> None:
    at = 13 + _gif_palette(data, 10)
    while at < len(data):
        if data[at] == 0x3B:  # the trailer
            return
        if data[at] == 0x2C:  # an image: descriptor, palette, code size
            at += 11 + _gif_palette(data, at + 9)
        elif data[at] == 0x21:  # an extension and its label
            at += 2
        else:  # decoders skip what they do not know
            at += 1
            continue
        while at < len(data) and data[at]:  # its data, in blocks that begin with their length
            at += 1 + data[at]
        at += 1
    raise Rejected(Reason.TRUNCATED, f"GIF of {len(data):,} bytes without its trailer")


def _gif_palette(data: bytes, flags_at: int) -> int:
    flags = data[flags_at] if flags_at < len(data) else 0
    return 6 << (flags & 7) if flags & 0x80 else 0


def _bmp(data: bytes) -> None:
    said = max(int.from_bytes(data[2:6], "little"), 26)  # some say 0; the smallest header has 26
    if len(data) < said:
        raise Rejected(Reason.TRUNCATED, f"BMP says {said:,} bytes, {len(data):,} are there")


_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_PLACES = {273: 279, 324: 325}  # tags: where the strips or tiles lie, and how long each is


def _tiff(data: bytes) -> None:
    order = "<" if data.startswith(b"I") else ">"
    said, numbers = 8, {}
    try:
        (directory,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, directory)
        said = directory + 2 + 12 * count + 4
        for entry in range(directory + 2, said - 4, 12):
            tag, kind, length, at = struct.unpack_from(f"{order}HHII", data, entry)
            if (size := length * _TIFF_SIZES.get(kind, 0)) > 4:
                said = max(said, at + size)
            else:
                at = entry + 8  # a short value stands in place of its address
            if tag in (*_TIFF_PLACES, *_TIFF_PLACES.values()) and kind in (3, 4):
                numbers[tag] = struct.unpack_from(f"{order}{length}{'H' if kind == 3 else 'I'}", data, at)
    except struct.error:
        raise Rejected(Reason.TRUNCATED, f"TIFF of {len(data):,} bytes without its whole directory") from None
    for starts, lengths in _TIFF_PLACES.items():
        said = max([said, *map(sum, zip(numbers.get(starts, ()), numbers.get(lengths, ()), strict=False))])
    if len(data) < said:
        raise Rejected(Reason.TRUNCATED, f"TIFF says {said:,} bytes, {len(data):,} are there")


_WHOLE = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "GIF": _gif, "BMP": _bmp, "TIFF": _tiff}
