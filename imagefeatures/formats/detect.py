"""The detection of a format by its first bytes: names and content types are ignored."""

from __future__ import annotations

from collections.abc import Sequence

from imagefeatures.errors import Rejected
from imagefeatures.limits import FORMATS
from imagefeatures.reasons import Reason

_OTHER_FORMATS = (  # for the detail of a rejection, which names what was found instead
    (b"%PDF-", "a PDF document"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"8BPS", "a Photoshop document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),  # in the wrapper of DOS programs
    (b"SIMPLE  =", "a FITS image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file that it stands for"),
    (b"{", "JSON text"),
    (b"[", "JSON text"),
)
MAGIC_BYTES = 8
"""So many bytes are shown of a file that nothing is known of: formats name themselves in them."""

_BRANDS = {  # of the ISO base media file format: what phones write beside, or instead of, a JPEG
    b"heic": "a HEIC image",
    b"heix": "a HEIC image",
    b"mif1": "a HEIF image",
    b"avif": "an AVIF image",
    b"qt  ": "a QuickTime film",
    b"mp42": "an MP4 film",
    b"isom": "an MP4 film",
}


def detect_format(data: bytes, allowed: Sequence[str] = FORMATS) -> str:
    """The image format of the first bytes. Raises Rejected (UNSUPPORTED_FORMAT) when it is not allowed."""
    kind = _format(data)
    if kind is None or kind not in allowed:
        found = f"a {kind} image" if kind else _describe(data)
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"found {found}, expected one of {', '.join(allowed)}")
    return kind


def _format(data: bytes) -> str | None:
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
    return None


def _describe(data: bytes) -> str:
    """What the bytes seem to be, for the detail of a rejection. No text is shown of what may be somebody's secret."""
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        return _BRANDS[data[8:12]]
    data = data[:600].removeprefix(b"\xef\xbb\xbf")  # the byte order mark that some editors put before text
    head = data[:512].lstrip().lower()
    for start, name in _OTHER_FORMATS:
        if head.startswith(start.lower()):
            return "an SVG drawing" if start == b"<?xml" and b"<svg" in head else name
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16"
    # Bytes above 127 are letters in one encoding or another; texts have no control characters besides these.
    if data and all(byte >= 32 or byte in b"\t\n\f\r\x1b" for byte in data[:512]) and 127 not in data[:512]:
        return "text"
    return f"unknown bytes ({data[:MAGIC_BYTES].hex(' ')})"
