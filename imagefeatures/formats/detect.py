"""The detection of a format by its first bytes: names and content types are ignored."""

from __future__ import annotations

from collections.abc import Sequence

from imagefeatures.errors import Rejected
from imagefeatures.formats import jpeg2000
from imagefeatures.formats.names import describe
from imagefeatures.limits import FORMATS
from imagefeatures.reasons import Reason

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_ANY_CODEC = {b"mif1", b"mif2", b"msf1"}


def detect_format(data: bytes, allowed: Sequence[str] = FORMATS) -> str:
    """The image format of the first bytes. Raises Rejected (UNSUPPORTED_FORMAT) when it is not allowed."""
    kind = _format(data)
    if kind is None or kind not in allowed:
        article = "an" if kind == "AVIF" else "a"
        found = f"{article} {kind} image" if kind else describe(data)
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
    if data[4:8] == b"ftyp":
        return _heif(data)
    if data.startswith(jpeg2000.CODESTREAM):
        return "JPEG2000"
    if data.startswith(jpeg2000.SIGNATURE) and data[20:24] not in (b"mjp2", b"jpm "):
        return "JPEG2000"
    return None


def _heif(data: bytes) -> str | None:
    """HEIC or AVIF, by the brand of the file, or by those that it is compatible with."""
    size, brand = int.from_bytes(data[:4]), data[8:12]
    others = {data[at : at + 4] for at in range(16, min(size, len(data), 512), 4)} if brand in _ANY_CODEC else {brand}
    if others & _HEIC_BRANDS:
        return "HEIC"
    return "AVIF" if others & _AVIF_BRANDS else None
